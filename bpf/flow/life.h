/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life of an entry: its beginning, a new connection in the place of an old one, what its packets tell. A drain ends it. */
#ifndef EW_FLOW_LIFE_H
#define EW_FLOW_LIFE_H

#include "books.h"
#include "packet.h"
#include "role.h"
#include "sets.h"

static __always_inline void begin(struct ew_flow *flow, const struct packet *p)
{
	flow->opened_ns = p->now_ns;
	flow->quiet_since_ns = p->now_ns;
	first_role(flow, p);
	if (!has_handshake(p->key->protocol)) {
		flow->flags = EW_FLAG_OPEN;
	} else if (is_syn(p)) {
		flow->flags = EW_FLAG_OPEN | EW_FLAG_SYN;
		flow->isn = p->seq;
	}
	this_set(flow->set, p->set)->opens = !!(flow->flags & EW_FLAG_OPEN);
}

static __always_inline struct ew_flow *open(struct packet *p)
{
	struct ew_flow *fresh = scratch_of(p);

	if (!fresh)
		return 0;
	__builtin_memset(fresh, 0, sizeof(*fresh));
	begin(fresh, p);
	if (!bpf_map_update_elem(&flows, p->key, fresh, BPF_NOEXIST)) /* full, or another CPU was first: the lookup tells */
		count_made(p);
	return bpf_map_lookup_elem(&flows, p->key);
}

/* What the ended connection counted in this epoch moves to an entry of its own: its Service may have had another
 * backend, its socket another owner. When that fails the amounts stay, and are recorded with the new connection. */
static __always_inline void leave_ghost(struct ew_flow *flow, const struct packet *p)
{
	struct ew_flow_key key = *p->key;
	struct ew_flow *ghost = scratch_of(p);
	struct ew_set *set = this_set(flow->set, p->set), *moved;

	if (!ghost || !counted(set))
		return;
	__builtin_memcpy(ghost, flow, sizeof(*ghost));
	__builtin_memset(ghost->set, 0, sizeof(ghost->set));
	ghost->unjudged[!(p->set & 1)] = 0;
	moved = this_set(ghost->set, p->set);
	*moved = *set;
	ghost->flags |= EW_FLAG_RST;
	key.ghost = 1 + (p->seq % 255);
	if (bpf_map_update_elem(&flows, &key, ghost, BPF_NOEXIST))
		return;
	count_made(p);
	take(set, moved);
	__sync_fetch_and_add(&flow->unjudged[p->set & 1], -ghost->unjudged[p->set & 1]);
	set->first_ns = 0;
	set->opens = 0;
	set->answered = 0;
}

/* A SYN with another sequence number is a new connection on an old 5-tuple. */
static __always_inline void restart(struct ew_flow *flow, const struct packet *p)
{
	if ((flow->flags & EW_FLAG_SYN) && flow->isn == p->seq)
		return; /* the same SYN again: a retransmission */
	if ((flow->flags & (EW_FLAG_NAT | EW_FLAG_SNAT)) || flow->cgroup)
		leave_ghost(flow, p);
	flow->cgroup = 0;
	flow->role = handshake_role(p);
	flow->role_source = EW_SOURCE_HANDSHAKE;
	flow->isn = p->seq;
	flow->opened_ns = p->now_ns;
	flow->flags = EW_FLAG_OPEN | EW_FLAG_SYN;
	if (enforcing)
		undo_verdict(flow);
	__sync_fetch_and_add(&this_set(flow->set, p->set)->opens, 1);
}

static __always_inline __u32 seen_flag(__u32 dir)
{
	return dir == EW_FROM_POD ? EW_FLAG_SEEN_FROM_POD : EW_FLAG_SEEN_TO_POD;
}

/* The first packet from the other end, unless it refuses. */
static __always_inline bool answers(const struct ew_flow *flow, const struct packet *p)
{
	bool by_server = (flow->role == EW_ROLE_CLIENT) == (p->dir == EW_TO_POD);

	if ((flow->flags & (EW_FLAG_OPEN | EW_FLAG_ANSWERED)) != EW_FLAG_OPEN || !by_server)
		return false;
	return flow->role != EW_ROLE_UNKNOWN && !(p->flags & TCP_RST);
}

static __always_inline void track(struct __sk_buff *skb, struct ew_flow *flow, const struct packet *p)
{
	__u32 wanted = seen_flag(p->dir);

	if (p->flags & TCP_RST)
		wanted |= EW_FLAG_RST;
	if (p->flags & TCP_FIN)
		wanted |= p->dir == EW_FROM_POD ? EW_FLAG_FIN_FROM_POD : EW_FLAG_FIN_TO_POD;
	if (p->dir == EW_TO_POD && !(flow->flags & EW_FLAG_CT_READ))
		learn(skb, flow, p);
	if (answers(flow, p))
		wanted |= EW_FLAG_ANSWERED;
	if ((flow->flags & wanted) == wanted)
		return;
	wanted &= ~__sync_fetch_and_or(&flow->flags, wanted);
	if (wanted & EW_FLAG_ANSWERED)
		__sync_fetch_and_add(&this_set(flow->set, p->set)->answered, 1);
}

#endif
