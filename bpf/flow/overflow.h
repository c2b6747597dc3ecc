/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Packets that found no room for an entry: counted by edge, in a map of their own. */
#ifndef EW_FLOW_OVERFLOW_H
#define EW_FLOW_OVERFLOW_H

#include "books.h"
#include "verdict.h"

/* The pod's role from this packet and the node's tables alone; returns how it is known. */
static __always_inline enum ew_role_source role_without_entry(struct __sk_buff *skb, struct packet *p)
{
	struct tracked t = {};
	enum ew_role role = handshake_role(p);
	enum ew_role_source source = EW_SOURCE_HANDSHAKE;

	if (role == EW_ROLE_UNKNOWN && p->dir == EW_TO_POD && read_conntrack(skb, &t)) {
		role = tracked_role(p->key, &t);
		source = EW_SOURCE_CONNTRACK;
	}
	if (role == EW_ROLE_UNKNOWN) {
		role = listener_role(p->key);
		source = EW_SOURCE_LISTENER;
	}
	p->key->variant = role;
	if (role != EW_ROLE_SERVER)
		p->key->pod_port = 0;
	if (role != EW_ROLE_CLIENT)
		p->key->peer_port = 0;
	return role == EW_ROLE_UNKNOWN ? EW_SOURCE_UNKNOWN : source;
}

static __always_inline struct ew_overflow *open_overflow(const struct packet *p)
{
	struct ew_overflow *fresh = (void *)scratch_of(p); /* an ew_flow is larger */

	if (!fresh)
		return 0;
	__builtin_memset(fresh, 0, sizeof(*fresh));
	bpf_map_update_elem(&overflow, p->key, fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&overflow, p->key);
}

/* False when the packet is denied. */
static __always_inline bool count_overflow(struct __sk_buff *skb, struct packet *p, struct ew_interface_set *books)
{
	struct ew_overflow *entry;
	struct ew_set *set;
	struct answer a = {};
	bool passes = !enforcing || passes_without_entry(skb, p, books, &a);
	enum ew_role_source source = role_without_entry(skb, p);

	add_to_books(&books->events[EW_EVENT_FLOW_MAP_FULL], 1);
	entry = bpf_map_lookup_elem(&overflow, p->key);
	if (!entry)
		entry = open_overflow(p);
	if (!entry) {
		count_lost(books, EW_LOST_OVERFLOW_FULL, p);
		return passes;
	}
	if (entry->role_source < source)
		entry->role_source = source;
	set = this_set(entry->set, p->set);
	count(set, p);
	if (is_syn(p))
		__sync_fetch_and_add(&set->opens, 1);
	if (is_syn_ack(p))
		__sync_fetch_and_add(&set->answered, 1);
	if (enforcing && a.ruling == EW_RULING_ALLOW)
		__sync_fetch_and_add(&entry->allowed[p->set & 1], 1);
	if (enforcing && a.ruling == EW_RULING_DENY)
		__sync_fetch_and_add(a.enforced ? &set->denied : &set->would_deny, 1);
	if (enforcing)
		give_reason(&entry->allow_reason, &entry->deny_reason, &a);
	return passes;
}

#endif
