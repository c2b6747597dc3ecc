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

/* One more (or less) entry of the flow map. */
static __always_inline void count_active(const struct ew_flow_key *key, __s64 change)
{
	__u32 ifindex = key->ifindex;
	struct ew_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	__u64 *counter;

	if (!interface)
		return;
	counter = &interface->active[EW_ACTIVE_OTHER];
	if (key->protocol == PROTO_TCP)
		counter = &interface->active[EW_ACTIVE_TCP];
	else if (key->protocol == PROTO_UDP)
		counter = &interface->active[EW_ACTIVE_UDP];
	else if (key->protocol == PROTO_ICMP || key->protocol == PROTO_ICMPV6)
		counter = &interface->active[EW_ACTIVE_ICMP];
	else if (key->protocol == PROTO_SCTP)
		counter = &interface->active[EW_ACTIVE_SCTP];
	__sync_fetch_and_add(counter, change);
}

static __always_inline void count_lost(struct ew_interface_set *books, enum ew_lost cause, const struct packet *p)
{
	add_to_books(&books->lost[cause].bytes, p->bytes);
	add_to_books(&books->lost[cause].packets, 1);
}

#endif
