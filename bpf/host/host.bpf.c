/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The node itself as an endpoint: what its own sockets (and those of host-network pods) send and receive, counted as if it
 * were a pod on interface EW_HOST_INTERFACE. Netfilter's LOCAL_OUT and LOCAL_IN see exactly that: no forwarded packet, no
 * masqueraded one. The counting is flow's own, compiled once more over a view of the packet's first bytes.
 */
#define EW_HOST
#include "../vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "host.h"
#include "kernel.h"
#include "view.h"

#define __sk_buff ew_view
#define bpf_skb_load_bytes view_load_bytes
#define READ(view, offset, to) view_load_bytes(view, offset, to, sizeof(*(to)))
#define bpf_ktime_get_coarse_ns bpf_ktime_get_ns /* the coarse one is not for netfilter */
#define bpf_tail_call(ctx, map, slot) ((void)0) /* DNS of the node is not read */
#include "socket.h"
#include "../flow/flow.bpf.c"

#define NF_ACCEPT 1
#define NF_INET_LOCAL_OUT 3
#define NFPROTO_IPV4 2
#define IFF_LOOPBACK 8

/* UDP ports of this node's tunnels: key 2 B in host order, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u16);
	__type(value, __u32);
} host_tunnels SEC(".maps");

/* [0]: the agent that counts. Another one's programs, about to be taken away or not yet in charge, do nothing. 4 B, 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} host_owner SEC(".maps");

const volatile __u32 owner SEC(".rodata.owner") = 0;

static __always_inline bool in_charge(void)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&host_owner, &zero);

	return value && *(volatile __u32 *)value == owner;
}

static __always_inline bool is_loopback(const struct net_device___host *device)
{
	__u32 flags = 0;

	if (device)
		bpf_core_read(&flags, sizeof(flags), &device->flags);
	return flags & IFF_LOOPBACK;
}

/* Pods' packets in an envelope are the pods' own edges, seen at their interfaces. With a stack of its own: the caller's is full. */
static __noinline bool is_envelope(struct ew_view *view)
{
	__u8 protocol = 0;
	__u32 offset = ETH_HEADER + sizeof(struct ipv6_header);
	struct ipv6_fragment fragment;
	struct ipv4_header ip;
	struct ports ports;
	__u16 port;

	if (view->protocol == bpf_htons(ETHERTYPE_IPV4)) {
		if (view_load_bytes(view, ETH_HEADER, &ip, sizeof(ip)) < 0)
			return false;
		protocol = ip.protocol;
		offset = ETH_HEADER + (ip.version_ihl & 0x0f) * 4;
	} else if (view_load_bytes(view, ETH_HEADER + 6, &protocol, sizeof(protocol)) < 0 ||
		   skip_extensions(view, &offset, &protocol, &fragment) != PARSED) { /* Linux' own tunnels put an option before */
		return false;
	}
	if (protocol == PROTO_IPIP || protocol == PROTO_IPV6 || protocol == PROTO_GRE || protocol == PROTO_ESP)
		return true;
	if (protocol != PROTO_UDP || view_load_bytes(view, offset, &ports, sizeof(ports)) < 0)
		return false;
	port = bpf_ntohs(ports.dst);
	return bpf_map_lookup_elem(&host_tunnels, &port) != 0;
}

static __always_inline void count_envelope(void)
{
	__u32 ifindex = EW_HOST_INTERFACE;
	struct ew_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);

	if (interface)
		add_to_books(&interface->set[read_epoch()].events[EW_EVENT_ENCAPSULATED], 1);
}

/* A packet that nothing could be read of, because this CPU had no view left for it. */
static __always_inline void count_unread(struct sk_buff___host *skb, __u32 dir)
{
	__u32 ifindex = EW_HOST_INTERFACE, len = 0;
	struct ew_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	struct packet p = {};
	struct ew_interface_set *books;

	if (!interface)
		return;
	bpf_core_read(&len, sizeof(len), &skb->len);
	p.bytes = len;
	books = &interface->set[read_epoch()];
	add_to_books(&books->hook[dir].bytes, len);
	add_to_books(&books->hook[dir].packets, 1);
	count_lost(books, EW_LOST_TRUNCATED, &p);
}

SEC("netfilter")
int ew_host(struct nf_context *ctx)
{
	struct nf_hook_state___host *state = ctx->state;
	struct sk_buff___host *skb = ctx->skb;
	struct net_device___host *in = 0, *out = 0;
	struct ew_view *view;
	__u8 hook = 0, family = 0;
	__u32 dir;

	if (!in_charge())
		return NF_ACCEPT;
	bpf_core_read(&hook, sizeof(hook), &state->hook);
	bpf_core_read(&family, sizeof(family), &state->pf);
	bpf_core_read(&in, sizeof(in), &state->in);
	bpf_core_read(&out, sizeof(out), &state->out);
	if (is_loopback(hook == NF_INET_LOCAL_OUT ? out : in))
		return NF_ACCEPT;
	dir = hook == NF_INET_LOCAL_OUT ? EW_FROM_POD : EW_TO_POD;
	view = view_claim();
	if (!view) {
		count_unread(skb, dir);
		return NF_ACCEPT;
	}
	view_take(view, skb, family == NFPROTO_IPV4 ? bpf_htons(ETHERTYPE_IPV4) : bpf_htons(ETHERTYPE_IPV6));
	if (is_envelope(view))
		count_envelope();
	else
		observe(view, dir);
	view_release(view);
	return NF_ACCEPT;
}
