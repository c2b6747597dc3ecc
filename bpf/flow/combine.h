/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Records of one edge that a drain wrote become one, so that 100,000 connections of 1,000 edges are 1,000 records: the agent
 * need not add them up, and one walk of the map is enough. What is not found here (too many edges for the hints) is a record of
 * its own; the agent adds up what it gets in any case. Nothing needs to be cleared: a hint is believed only when it points to
 * a record of this very run that says the same.
 */
#ifndef EW_FLOW_COMBINE_H
#define EW_FLOW_COMBINE_H

#include "maps.h"

#define EW_RECORD_KEY_WORDS 8
_Static_assert(__builtin_offsetof(struct ew_record, bytes) == EW_RECORD_KEY_WORDS * 8, "the key is what comes before the amounts");

/* Who, what, and which rules decided: records that agree in all of it can be one. */
static __always_inline __u64 hash_record(const struct ew_record *r)
{
	const __u64 *word = (const __u64 *)r;
	__u64 hash = (__u64)r->allow_reason << 32 | r->deny_reason;
	int i;

#pragma unroll
	for (i = 0; i < EW_RECORD_KEY_WORDS; i++)
		hash = (hash ^ word[i] ^ (hash >> 29)) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 32);
}

static __always_inline bool same_record(const struct ew_record *a, const struct ew_record *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;
	__u64 differs = 0;
	int i;

#pragma unroll
	for (i = 0; i < EW_RECORD_KEY_WORDS; i++)
		differs |= x[i] ^ y[i];
	return !differs && a->allow_reason == b->allow_reason && a->deny_reason == b->deny_reason;
}

/* Packets and segments are 32 bits wide; nothing else grows faster. */
static __always_inline bool fits(const struct ew_record *a, const struct ew_record *b)
{
	__u32 most = a->tally[0].packets | a->tally[1].packets | a->tally[0].segments | a->tally[1].segments |
		     b->tally[0].packets | b->tally[1].packets | b->tally[0].segments | b->tally[1].segments;

	return !(most >> 31);
}

static __always_inline void add_record(struct ew_record *to, const struct ew_record *r)
{
	int i;

#pragma unroll
	for (i = 0; i < 2; i++) {
		to->bytes[i] += r->bytes[i];
		to->tally[i].packets += r->tally[i].packets;
		to->tally[i].segments += r->tally[i].segments;
	}
	if (r->first_ns < to->first_ns)
		to->first_ns = r->first_ns;
	if (r->last_ns > to->last_ns)
		to->last_ns = r->last_ns;
	to->opens += r->opens;
	to->answered += r->answered;
	to->allowed += r->allowed;
	to->denied += r->denied;
	to->would_deny += r->would_deny;
}

/* `r` is complete, at [d->records]: it becomes part of a record before it, or stays and counts as one more. */
static __always_inline void hand_out(struct ew_drain *d, const struct ew_record *r)
{
	__u64 hash = hash_record(r), tag = hash & ~0xffffffffULL;
	__u32 set = hash & (EW_HINT_SETS - 1), at = d->records, index;
	struct ew_hints *found = bpf_map_lookup_elem(&hints, &set);
	struct ew_record *known;
	int i;

	if (found) {
#pragma unroll
		for (i = 0; i < EW_HINT_WAYS; i++) {
			index = found->hint[i];
			if ((found->hint[i] & ~0xffffffffULL) != tag || index >= at)
				continue;
			known = bpf_map_lookup_elem(&records, &index);
			if (known && same_record(known, r) && fits(known, r)) {
				add_record(known, r);
				return;
			}
		}
		found->hint[at & (EW_HINT_WAYS - 1)] = tag | at;
	}
	d->records = at + 1;
}

#endif
