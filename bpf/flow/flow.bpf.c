/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Counts every packet of a pod at the host's end of its veth, once into the interface's books and once into the entry of
 * its connection. Both go into the sets of one epoch, so that a drain finds both accounts of the same packets.
 */
#include "../vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "books.h"
#include "life.h"
#include "overflow.h"
#include "parse.h"
#include "quote.h"
#include "sets.h"
#include "verdict.h"
#include "drain.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DNS_PORTS 4
#define TCX_NEXT -1 /* for clsact: TC_ACT_UNSPEC; both leave the packet to whoever comes next */
#define TC_ACT_SHOT 2

/* Ports where DNS is spoken, 0 for none. The agent says which before it loads. */
const volatile __u16 dns_at[DNS_PORTS] SEC(".rodata.dns_at") = {53};

/* An ICMP error belongs to the connection it is about, and shares its fate. `found`: that has an entry. */
static __always_inline bool count_error(struct __sk_buff *skb, struct packet *p, struct ew_interface_set *books, bool *found)
{
	struct ew_flow_key key = {}, *own = p->key;
	struct ew_flow *flow;
	bool passed;

	if (!p->quote || !quoted_flow(skb, p, &key))
		return true;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return true;
	*found = true;
	count(this_set(flow->set, p->set), p);
	p->key = &key;
	passed = !enforcing || passes(skb, flow, p, books);
	p->key = own;
	return passed;
}

/* False when the packet is denied. */
static __always_inline bool count_flow(struct __sk_buff *skb, struct packet *p, struct ew_interface_set *books)
{
	struct ew_flow *flow = bpf_map_lookup_elem(&flows, p->key);

	if (!flow) {
		flow = open(p);
	} else if (is_syn(p)) {
		if (enforcing && turned_away(skb, flow, p, books))
			return false;
		restart(flow, p);
	}
	if (!flow)
		return count_overflow(skb, p, books);
	count(this_set(flow->set, p->set), p);
	if (enforcing && !passes(skb, flow, p, books))
		return false;
#ifdef EW_HOST
	note_socket(skb, flow);
#endif
	track(skb, flow, p);
	return true;
}

static __always_inline __u32 read_epoch(void)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&epoch, &zero);

	return value ? *(volatile __u32 *)value & 1 : 0;
}

/* Before counting: without room for an entry the ports are elided from the key. */
static __always_inline bool is_dns(const struct ew_flow_key *key)
{
	int i;

	if (key->protocol != PROTO_UDP && key->protocol != PROTO_TCP)
		return false;
	for (i = 0; i < DNS_PORTS; i++)
		if (dns_at[i] && (key->pod_port == dns_at[i] || key->peer_port == dns_at[i]))
			return true;
	return false;
}

static __always_inline int observe(struct __sk_buff *skb, __u32 dir)
{
	__u32 ifindex = skb->ifindex;
	struct ew_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	struct ew_interface_set *books;
	struct ew_flow_key key = {};
	struct packet p = {.key = &key, .interface = interface, .dir = dir};
	enum parsed parsed;
	bool dns, error = false;

	if (!interface)
		return TCX_NEXT; /* being taken away */
	p.set = read_epoch();
	key.ifindex = ifindex;
#ifdef EW_HOST
	p.scratch = &skb->scratch;
#endif
	books = &interface->set[p.set];
	if (skb->protocol != bpf_htons(ETHERTYPE_IPV4) && skb->protocol != bpf_htons(ETHERTYPE_IPV6)) {
		add_to_books(&books->events[EW_EVENT_NON_IP], 1);
		return TCX_NEXT;
	}
	parsed = parse(skb, &p);
	if (parsed == PARSED_NEIGHBOUR) {
		add_to_books(&books->events[EW_EVENT_NEIGHBOUR], 1);
		return TCX_NEXT;
	}
	p.bytes = skb->len - ETH_HEADER;
	p.segments = skb->gso_segs ?: 1;
	p.now_ns = bpf_ktime_get_coarse_ns();
	add_to_books(&books->hook[dir].bytes, p.bytes);
	add_to_books(&books->hook[dir].packets, 1);
	if (parsed != PARSED) {
		count_lost(books, parsed == PARSED_FRAGMENT ? EW_LOST_FRAGMENT : EW_LOST_TRUNCATED, &p);
		return !enforcing || passes_unread(&p, parsed, books) ? TCX_NEXT : TC_ACT_SHOT;
	}
	if (!count_error(skb, &p, books, &error))
		return TC_ACT_SHOT;
	if (error)
		return TCX_NEXT;
	dns = is_dns(&key);
	if (!count_flow(skb, &p, books))
		return TC_ACT_SHOT;
	if (dns)
		bpf_tail_call(skb, &dns_tail, dir); /* returns only when nobody is there */
	return TCX_NEXT;
}

#ifndef EW_HOST
SEC("tc")
int ew_from_pod(struct __sk_buff *skb)
{
	return observe(skb, EW_FROM_POD);
}

SEC("tc")
int ew_to_pod(struct __sk_buff *skb)
{
	return observe(skb, EW_TO_POD);
}
#endif
