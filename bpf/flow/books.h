/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The books of one interface: entries that live, and packets that no record has. */
#ifndef EW_FLOW_BOOKS_H
#define EW_FLOW_BOOKS_H

#include "maps.h"
#include "packet.h"

/* Add to this CPU's books. tc's programs run with softirqs off, one at a time on a CPU; those at LOCAL_OUT are interrupted. */
static __always_inline void add_to_books(__u64 *to, __u64 amount)
{
#ifdef EW_HOST
	__sync_fetch_and_add(to, amount);
#else
	*to += amount;
#endif
}

/* Where an entry is built. */
static __always_inline struct ew_flow *scratch_of(const struct packet *p)
{
#ifdef EW_HOST
	return p->scratch;
#else
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
#endif
}

static __always_inline __u64 *active_of(struct ew_interface *interface, __u8 protocol)
{
	if (protocol == PROTO_TCP)
		return &interface->active[EW_ACTIVE_TCP];
	if (protocol == PROTO_UDP)
		return &interface->active[EW_ACTIVE_UDP];
	if (protocol == PROTO_ICMP || protocol == PROTO_ICMPV6)
		return &interface->active[EW_ACTIVE_ICMP];
	if (protocol == PROTO_SCTP)
		return &interface->active[EW_ACTIVE_SCTP];
	return &interface->active[EW_ACTIVE_OTHER];
}

/* One more entry of the flow map. */
static __always_inline void count_made(const struct packet *p)
{
	add_to_books(active_of(p->interface, p->key->protocol), 1);
}

/* One less: counted by a drain, which packets may interrupt. */
static __always_inline void count_deleted(const struct ew_flow_key *key)
{
	__u32 ifindex = key->ifindex;
	struct ew_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);

	if (interface)
		__sync_fetch_and_add(active_of(interface, key->protocol), -1);
}

static __always_inline void count_lost(struct ew_interface_set *books, enum ew_lost cause, const struct packet *p)
{
	add_to_books(&books->lost[cause].bytes, p->bytes);
	add_to_books(&books->lost[cause].packets, 1);
}

#endif
