/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is done about a packet: the verdict that its entry keeps, a new one where that does not hold, and one without any entry. */
#ifndef EW_FLOW_VERDICT_H
#define EW_FLOW_VERDICT_H

#include "judge.h"
#include "life.h"
#include "sets.h"

static __always_inline bool denies(const struct answer *a)
{
	return a->ruling == EW_RULING_DENY && a->enforced;
}

/* Judge anew, and keep the verdict where the next packet will surely mean the same. False: nobody can tell here. */
static __always_inline bool decide(struct __sk_buff *skb, struct ew_flow *flow, const struct packet *p,
			      const struct ew_policy_state *state, struct ew_verdict *verdict)
{
	struct ew_case *c = open_case(p, state);

	if (!c)
		return false;
	judge(skb, c, flow);
	if (c->answer.pending)
		return false;
	verdict->generation = state->generation;
	verdict->ruling = c->answer.ruling;
	verdict->enforced = c->answer.enforced;
	give_reason(&flow->allow_reason, &flow->deny_reason, &c->answer);
	if (p->key->variant != EW_VARIANT_ICMP_OTHER && !(c->answer.translated && denies(&c->answer)))
		*(volatile __u64 *)&flow->verdict = *(__u64 *)verdict;
	return true;
}

/* Whoever spoke first was denied and never got through, so this packet of the other end's is no answer: it opens. TCP and
 * SCTP say so by themselves. */
static __always_inline bool turns(struct ew_flow *flow, const struct packet *p)
{
	__u32 opener = flow->role == EW_ROLE_CLIENT ? EW_FROM_POD : EW_TO_POD;

	if (has_handshake(p->key->protocol) || p->key->variant != EW_VARIANT_NONE || p->quote)
		return false;
	if (flow->role == EW_ROLE_UNKNOWN || p->dir == opener || (flow->flags & seen_flag(opener)))
		return false;
	flow->role = p->dir == EW_FROM_POD ? EW_ROLE_CLIENT : EW_ROLE_SERVER;
	flow->role_source = EW_SOURCE_FIRST_PACKET;
	flag(flow, EW_FLAG_NAT | EW_FLAG_SNAT, false);
	flag(flow, EW_FLAG_TURNED | EW_FLAG_CT_READ, true);
	return true;
}

/* Whether the verdict in the entry is of this generation, and about this packet's connection. */
static __always_inline bool valid(struct __sk_buff *skb, struct ew_flow *flow, const struct packet *p,
				  const struct ew_verdict *verdict, __u32 generation)
{
	if (verdict->generation != generation)
		return false;
	if (verdict->ruling == EW_RULING_DENY)
		return !turns(flow, p);
	/* behind an address that many share, the same ports may be another one's by now */
	return !(p->dir == EW_TO_POD && (flow->flags & EW_FLAG_SNAT) && is_new(skb));
}

static __always_inline bool passes(struct __sk_buff *skb, struct ew_flow *flow, const struct packet *p,
				   struct ew_interface_set *books)
{
	struct ew_set *set = this_set(flow->set, p->set);
	struct ew_policy_state state;
	struct ew_verdict verdict;

	read_state(&state);
	*(__u64 *)&verdict = *(volatile __u64 *)&flow->verdict;
	if (!state.generation)
		goto unjudged;
	if (!valid(skb, flow, p, &verdict, state.generation)) {
		if (!decide(skb, flow, p, &state, &verdict))
			goto unjudged;
		if (verdict.ruling == EW_RULING_ALLOW && flow->allow_reason == EW_REASON_UNDECIDED)
			books->events[EW_EVENT_UNDECIDED] += 1;
	}
	if (verdict.ruling == EW_RULING_ALLOW)
		return true;
	if (verdict.ruling == EW_RULING_DENY) {
		__sync_fetch_and_add(verdict.enforced ? &set->denied : &set->would_deny, 1);
		return !verdict.enforced;
	}
unjudged:
	__sync_fetch_and_add(&flow->unjudged[p->set & 1], 1);
	return true;
}

/* A SYN against the direction of a known connection that is denied must not end that connection: anybody could send it. */
static __always_inline bool turned_away(struct __sk_buff *skb, struct ew_flow *flow, const struct packet *p,
					struct ew_interface_set *books)
{
	struct ew_policy_state state;
	struct ew_case *c;

	if (flow->role == EW_ROLE_UNKNOWN || flow->role == handshake_role(p))
		return false;
	read_state(&state);
	if (!state.generation)
		return false;
	c = open_case(p, &state);
	if (!c)
		return false;
	judge(skb, c, 0);
	if (!denies(&c->answer))
		return false;
	count(this_set(flow->set, p->set), p);
	__sync_fetch_and_add(&this_set(flow->set, p->set)->denied, 1);
	give_reason(&flow->allow_reason, &flow->deny_reason, &c->answer);
	return true;
}

static __always_inline bool passes_without_entry(struct __sk_buff *skb, const struct packet *p, struct ew_interface_set *books,
						 struct answer *a)
{
	struct ew_policy_state state;
	struct ew_case *c;

	read_state(&state);
	c = state.generation ? open_case(p, &state) : 0;
	if (c) {
		judge(skb, c, 0);
		*a = c->answer;
	}
	if (a->pending)
		a->ruling = EW_RULING_NONE;
	if (a->ruling == EW_RULING_ALLOW && a->reason == EW_REASON_UNDECIDED)
		books->events[EW_EVENT_UNDECIDED] += 1;
	return !denies(a);
}

static __always_inline bool passes_unread(const struct packet *p, enum parsed why, struct ew_interface_set *books)
{
	struct ew_policy_state state;
	struct ew_case *c;

	read_state(&state);
	c = state.generation ? open_case(p, &state) : 0;
	if (!c)
		return true;
	judge_unread(c, why == PARSED_FRAGMENT ? EW_REASON_FRAGMENT : EW_REASON_TRUNCATED);
	if (c->answer.ruling != EW_RULING_DENY)
		return true;
	books->events[c->answer.enforced ? EW_EVENT_UNREAD_DENIED : EW_EVENT_UNREAD_WOULD_DENY] += 1;
	return !c->answer.enforced;
}

#endif
