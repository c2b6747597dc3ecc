/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is decided about a packet at a pod's own interface (docs/enforcement.md): who opened its connection, who is at the other
 * end, and what the tables say of the two. Nothing is counted here.
 */
#ifndef EW_FLOW_JUDGE_H
#define EW_FLOW_JUDGE_H

#include "case.h"

static __always_inline void allow_itself(struct ew_case *c)
{
	c->answer.enforced = c->question.side.mode == EW_MODE_ENFORCE;
	rule(&c->answer, EW_RULING_ALLOW, EW_REASON_ITSELF);
}

/* Where the packets of a connection go that the pod opened to no pod's address. False: it is not known here. */
static __always_inline bool find_backend(struct ew_case *c, const struct ew_flow *flow, __u8 *backend)
{
	copy_address(backend, c->key.peer_addr);
	if (c->known) {
		copy_address(backend, c->tracked.answerer);
		c->question.port = c->tracked.answerer_port;
		c->answer.translated = translated(&c->tracked);
	} else if (c->dir == EW_FROM_POD && !c->asked) {
		if (can_find_conntrack(c->key.protocol) || !flow || !(flow->flags & EW_FLAG_NAT))
			return false;
		copy_address(backend, flow->nat_addr);
		c->question.port = flow->nat_port;
		c->answer.translated = 1;
	}
	return true;
}

/* The pod opened it. */
static __always_inline void judge_egress(struct ew_case *c, const struct ew_flow *flow)
{
	const struct ew_identity *who;
	__u8 backend[16];

	c->question.side = c->sides.side[EW_EGRESS];
	c->question.port = c->key.peer_port;
	if (c->question.side.mode == EW_MODE_OFF)
		return;
	who = identify(c->question.set, c->key.peer_addr);
	if (who && who->kind == EW_IDENTITY_POD) {
		if (same_address(c->key.peer_addr, c->key.pod_addr))
			allow_itself(c);
		else
			ask(&c->question, who, &c->answer);
		return;
	}
	if (!find_backend(c, flow, backend)) {
		c->answer.pending = 1;
		return;
	}
	if (same_address(backend, c->key.pod_addr))
		allow_itself(c);
	else
		ask(&c->question, identify(c->question.set, backend), &c->answer);
}

/* The other end opened it. */
static __always_inline void judge_ingress(struct __sk_buff *skb, struct ew_case *c, const struct ew_flow *flow)
{
	struct answer *a = &c->answer;
	__u8 initiator[16];

	c->question.side = c->sides.side[EW_INGRESS];
	c->question.port = c->key.pod_port;
	if (c->question.side.mode == EW_MODE_OFF)
		return;
	if (c->known)
		copy_address(initiator, c->tracked.initiator);
	else if (flow && (flow->flags & EW_FLAG_SNAT))
		copy_address(initiator, flow->initiator_addr);
	else
		copy_address(initiator, c->key.peer_addr);
	a->translated = !same_address(initiator, c->key.peer_addr);
	if (same_address(initiator, c->key.pod_addr)) {
		allow_itself(c);
		return;
	}
	ask(&c->question, identify(c->question.set, initiator), a);
	/* The node's own packets come from no interface: whoever is somewhere else only uses its address. */
	if (a->reason == EW_REASON_OWN_NODE && !a->translated && c->dir == EW_TO_POD && skb->ingress_ifindex)
		rule(a, EW_RULING_DENY, EW_REASON_SPOOFED);
}

/* Nobody knows who opened it: it passes when it may have been opened by either. */
static __always_inline void judge_either(struct ew_case *c)
{
	const struct ew_identity *who = identify(c->question.set, c->key.peer_addr);
	struct answer other = {};

	c->question.side = c->sides.side[EW_INGRESS];
	c->question.port = c->key.pod_port;
	ask(&c->question, who, &c->answer);
	c->question.side = c->sides.side[EW_EGRESS];
	c->question.port = c->key.peer_port;
	ask(&c->question, who, &other);
	c->answer.enforced = c->answer.enforced && other.enforced;
	if (c->answer.ruling != EW_RULING_DENY || other.ruling != EW_RULING_DENY)
		rule(&c->answer, EW_RULING_ALLOW, EW_REASON_UNDECIDED);
}

static __always_inline bool enforces(const struct ew_side *side)
{
	return side->mode == EW_MODE_ENFORCE;
}

/* Not static, so that the verifier looks at it once and not once for each way that leads here. `flow` null: the map is full. */
__noinline int judge(struct __sk_buff *skb, struct ew_case *c, struct ew_flow *flow)
{
	if (!c || !find_sides(c))
		return 0;
	if (spoofed(c, flow)) {
		c->answer.enforced = enforces(&c->sides.side[EW_EGRESS]) || enforces(&c->sides.side[EW_INGRESS]);
		rule(&c->answer, EW_RULING_DENY, EW_REASON_SPOOFED);
		return 0;
	}
	first_opinion(c, flow);
	second_opinion(skb, c, flow);
	if (c->role == EW_ROLE_UNKNOWN)
		c->role = listener_role(&c->key);
	if (c->role == EW_ROLE_CLIENT)
		judge_egress(c, flow);
	else if (c->role == EW_ROLE_SERVER)
		judge_ingress(skb, c, flow);
	else
		judge_either(c);
	return 0;
}

/* A packet whose ports cannot be read: it passes where this peer may use all of the protocol's. */
__noinline int judge_unread(struct ew_case *c, __u32 reason)
{
	if (!c || !find_sides(c))
		return 0;
	c->question.side = c->sides.side[c->dir & 1];
	c->question.prefix = PREFIX_PROTOCOL;
	ask(&c->question, identify(c->question.set, c->key.peer_addr), &c->answer);
	if (c->answer.ruling == EW_RULING_DENY)
		c->answer.reason = reason;
	return 0;
}

#endif
