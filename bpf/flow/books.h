/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The books of one interface: entries that live, and packets that no record has. */
#ifndef EW_FLOW_BOOKS_H
#define EW_FLOW_BOOKS_H

#include "maps.h"
#include "packet.h"

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
	books->lost[cause].bytes += p->bytes;
	books->lost[cause].packets += 1;
}

#endif
