/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The drain, run by the agent (BPF_PROG_RUN) after it moved the epoch on and every program that could still write the old
 * set has ended. It takes the old set of every entry, writes a record of what each has counted, and ends the life of
 * closed and idle entries. Only this program deletes.
 */
#ifndef EW_FLOW_DRAIN_H
#define EW_FLOW_DRAIN_H

#include "books.h"
#include "combine.h"
#include "listener.h"
#include "record.h"
#include "role.h"
#include "sets.h"

#define EW_DRAIN_CONTINUE 0
#define EW_DRAIN_STOP 1

/* Whether the entry still waits for what will name it: the first answer tells the backend of a Service. To what was denied
 * nobody answers, and people wait for it. */
static __always_inline bool waiting(const struct ew_flow *flow, const struct ew_set *set, const struct ew_drain *d)
{
	if (set->denied)
		return false;
	return !(flow->flags & (EW_FLAG_SEEN_TO_POD | EW_FLAG_RST)) && d->now_ns < flow->opened_ns + d->carry_ns;
}

/* Move the old set into the next window, in the flow's account and in the interface's alike. */
static __always_inline bool carry(struct ew_flow *flow, const struct ew_flow_key *key, struct ew_drain *d)
{
	__u32 ifindex = key->ifindex, old = d->set & 1;
	struct ew_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	struct ew_set *from = &flow->set[old], *to = &flow->set[!old];
	struct ew_amount *hook_from, *hook_to;
	int dir;

	if (!interface)
		return false;
	for (dir = 0; dir < 2; dir++) {
		hook_from = &interface->set[old].hook[dir];
		hook_to = &interface->set[!old].hook[dir];
		__sync_fetch_and_add(&to->bytes[dir], from->bytes[dir]);
		__sync_fetch_and_add((__u64 *)&to->tally[dir], *(__u64 *)&from->tally[dir]);
		__sync_fetch_and_add(&hook_to->bytes, from->bytes[dir]);
		__sync_fetch_and_add(&hook_to->packets, from->tally[dir].packets);
		__sync_fetch_and_add(&hook_from->bytes, -from->bytes[dir]);
		__sync_fetch_and_add(&hook_from->packets, -(__u64)from->tally[dir].packets);
	}
	__sync_fetch_and_add(&to->opens, from->opens);
	__sync_fetch_and_add(&to->answered, from->answered);
	to->first_ns = from->first_ns;
	if (!to->last_ns)
		to->last_ns = from->last_ns;
	__sync_fetch_and_add(&to->denied, from->denied);
	__sync_fetch_and_add(&to->would_deny, from->would_deny);
	__sync_fetch_and_add(&flow->unjudged[!old], flow->unjudged[old]);
	flow->unjudged[old] = 0;
	clear(from);
	d->carried += 1;
	return true;
}

static __always_inline bool ended(const struct ew_flow *flow, const struct ew_flow_key *key, const struct ew_drain *d)
{
	__u32 fins = EW_FLAG_FIN_FROM_POD | EW_FLAG_FIN_TO_POD;
	bool closed = (flow->flags & EW_FLAG_RST) || (flow->flags & fins) == fins;
	bool cut_off = flow->verdict.ruling == EW_RULING_DENY && flow->verdict.enforced;
	bool talked = (flow->flags & EW_FLAG_SEEN_TO_POD) && (flow->flags & EW_FLAG_SEEN_FROM_POD);
	__u64 quiet_ns = d->idle_other_ns;

	if (closed)
		quiet_ns = d->closed_ns;
	else if (has_handshake(key->protocol) && talked && !cut_off)
		quiet_ns = d->idle_tcp_ns;
	return key->ghost || d->now_ns > flow->quiet_since_ns + quiet_ns;
}

static __always_inline bool gone(const struct ew_flow_key *key)
{
	__u32 ifindex = key->ifindex;

	return !bpf_map_lookup_elem(&interfaces, &ifindex);
}

static __always_inline bool on_hold(const struct ew_flow_key *key)
{
	__u32 ifindex = key->ifindex;

	return bpf_map_lookup_elem(&held, &ifindex) != 0;
}

#ifndef EW_HOST
static long drain_flow(void *map, const struct ew_flow_key *key, struct ew_flow *flow, struct ew_drain *d)
{
	struct ew_set *set = &flow->set[d->set & 1], *other = &flow->set[!(d->set & 1)];
	struct ew_record *record;

	if (flow->tick == d->tick || (d->hold && on_hold(key)))
		return EW_DRAIN_CONTINUE;
	if (d->purge && gone(key)) {
		bpf_map_delete_elem(map, key);
		count_deleted(key);
		d->deleted += 1;
		return EW_DRAIN_CONTINUE;
	}
	if (counted(set) && !(waiting(flow, set, d) && carry(flow, key, d))) {
		record = next_record(d);
		if (!record) {
			d->full = 1;
			return EW_DRAIN_STOP;
		}
		__builtin_memset(record, 0, sizeof(*record));
		if (flow->role_source < EW_SOURCE_LISTENER && pod_listens(key)) {
			if (enforcing && flow->role != EW_ROLE_SERVER)
				undo_verdict(flow);
			flow->role = EW_ROLE_SERVER;
			flow->role_source = EW_SOURCE_LISTENER;
		}
		write_ends(record, key, flow->role);
		write_nat(record, flow);
		write_owner(record, flow);
		record->role_source = flow->role_source;
		write_amounts(record, set, flow->role != EW_ROLE_SERVER);
		if (enforcing) {
			write_verdicts(record, set, allowed_packets(flow, set, flow->unjudged[d->set & 1]),
				       flow->allow_reason, flow->deny_reason);
			flow->unjudged[d->set & 1] = 0;
		}
		hand_out(d, record);
		flow->quiet_since_ns = set->last_ns;
		clear(set);
	}
	flow->tick = d->tick;
	if (!counted(other) && ended(flow, key, d)) {
		bpf_map_delete_elem(map, key);
		count_deleted(key);
		d->deleted += 1;
	} else {
		d->entries += 1;
	}
	return EW_DRAIN_CONTINUE;
}

static long drain_overflow(void *map, const struct ew_flow_key *key, struct ew_overflow *entry, struct ew_drain *d)
{
	struct ew_set *set = &entry->set[d->set & 1], *other = &entry->set[!(d->set & 1)];
	struct ew_record *record;

	if (entry->tick == d->tick || (d->hold && on_hold(key)))
		return EW_DRAIN_CONTINUE;
	entry->tick = d->tick;
	if (!counted(set) || (d->purge && gone(key))) {
		if (!counted(other) || (d->purge && gone(key)))
			bpf_map_delete_elem(map, key);
		return EW_DRAIN_CONTINUE;
	}
	record = next_record(d);
	if (!record) {
		entry->tick = 0;
		d->full = 1;
		return EW_DRAIN_STOP;
	}
	__builtin_memset(record, 0, sizeof(*record));
	write_ends(record, key, key->variant);
	record->role_source = entry->role_source;
	record->counted_in = EW_COUNTED_IN_OVERFLOW;
	write_amounts(record, set, key->variant != EW_ROLE_SERVER);
	write_verdicts(record, set, entry->allowed[d->set & 1], entry->allow_reason, entry->deny_reason);
	entry->allowed[d->set & 1] = 0;
	hand_out(d, record);
	clear(set);
	d->overflow_entries += 1;
	return EW_DRAIN_CONTINUE;
}

SEC("syscall")
int ew_drain(struct ew_drain *argument)
{
	struct ew_drain d = *argument;

	d.records = 0;
	d.full = 0;
	bpf_for_each_map_elem(&flows, drain_flow, &d, 0);
	if (!d.full)
		bpf_for_each_map_elem(&overflow, drain_overflow, &d, 0);
	*argument = d;
	return 0;
}
#endif

#endif
