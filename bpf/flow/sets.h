/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The counters of an epoch: which set is meant, and adding to it. Any CPU may do so at any time. */
#ifndef EW_FLOW_SETS_H
#define EW_FLOW_SETS_H

#include "flow.h"
#include "packet.h"

/* The set of this epoch. The barrier keeps the mask that the verifier wants to see. */
static __always_inline struct ew_set *this_set(struct ew_set *sets, __u32 set)
{
	asm volatile("" : "+r"(set));
	return &sets[set & 1];
}

static __always_inline void add(__u64 *to, __u64 amount)
{
	__sync_fetch_and_add(to, amount);
}

static __always_inline void count(struct ew_set *set, const struct packet *p)
{
	add(&set->bytes[p->dir], p->bytes);
	add((__u64 *)&set->tally[p->dir], ((__u64)p->segments << 32) | 1);
	if (!set->first_ns)
		set->first_ns = p->now_ns;
	set->last_ns = p->now_ns;
}

static __always_inline void take(struct ew_set *from, const struct ew_set *amounts)
{
	int dir;

	for (dir = 0; dir < 2; dir++) {
		add(&from->bytes[dir], -amounts->bytes[dir]);
		add((__u64 *)&from->tally[dir], -*(const __u64 *)&amounts->tally[dir]);
	}
	__sync_fetch_and_add(&from->denied, -amounts->denied);
	__sync_fetch_and_add(&from->would_deny, -amounts->would_deny);
}

static __always_inline bool counted(const struct ew_set *set)
{
	return set->tally[0].packets || set->tally[1].packets || set->denied || set->would_deny;
}

static __always_inline void clear(struct ew_set *set)
{
	__builtin_memset(set, 0, sizeof(*set));
}

#endif
