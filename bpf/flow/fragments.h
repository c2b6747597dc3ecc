/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Only the first fragment of a packet has ports: what it said is kept for the ones behind it. */
#ifndef EW_FLOW_FRAGMENTS_H
#define EW_FLOW_FRAGMENTS_H

#include "packet.h"

#define FRAGMENT_PATIENCE_NS 30000000000ULL /* as long as Linux waits for the rest (net.ipv4.ipfrag_time) */

/* One fragmented packet (RFC 791 and RFC 8200 section 4.5: addresses, identification and, in IPv4, the protocol). */
struct fragment_key {
	__u8 pod_addr[16];
	__u8 peer_addr[16];
	__u32 ifindex;
	__u32 identification;
	__u8 protocol; /* of the IPv4 header; of IPv6 PROTO_FRAGMENT: only the first one's next header means something */
	__u8 dir;
	__u8 pad[2];
};

struct fragment_first {
	__u64 seen_ns;
	__u16 pod_port;
	__u16 peer_port;
	__u8 protocol;
	__u8 variant;
	__u8 pad[2];
};

/* LRU: packets that were not completed push each other out. Key 44 B, value 16 B. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct fragment_key);
	__type(value, struct fragment_first);
} fragments SEC(".maps");

static __always_inline void fill_fragment_key(struct fragment_key *to, const struct packet *p, __u32 identification, __u8 protocol)
{
	copy_address(to->pod_addr, p->key->pod_addr);
	copy_address(to->peer_addr, p->key->peer_addr);
	to->ifindex = p->key->ifindex;
	to->identification = identification;
	to->protocol = protocol;
	to->dir = p->dir;
}

static __always_inline void remember_first(const struct packet *p, __u32 identification, __u8 protocol)
{
	struct fragment_key key = {};
	struct fragment_first first = {};

	fill_fragment_key(&key, p, identification, protocol);
	first.seen_ns = bpf_ktime_get_coarse_ns();
	first.pod_port = p->key->pod_port;
	first.peer_port = p->key->peer_port;
	first.protocol = p->key->protocol;
	first.variant = p->key->variant;
	bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
}

/* The packet's key as its first fragment had it; false when that was not seen. */
static __always_inline bool recall_first(const struct packet *p, __u32 identification, __u8 protocol)
{
	struct fragment_key key = {};
	struct fragment_first *first;

	fill_fragment_key(&key, p, identification, protocol);
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || bpf_ktime_get_coarse_ns() > first->seen_ns + FRAGMENT_PATIENCE_NS)
		return false;
	p->key->pod_port = first->pod_port;
	p->key->peer_port = first->peer_port;
	p->key->protocol = first->protocol;
	p->key->variant = first->variant;
	return true;
}

#endif
