/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who opened the connection: told by its packets, the pod's sockets and conntrack, the strongest of which is believed. */
#ifndef EW_FLOW_ROLE_H
#define EW_FLOW_ROLE_H

#include "conntrack.h"
#include "listener.h"
#include "policy_maps.h"

static __always_inline bool is_syn(const struct packet *p)
{
	return (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

static __always_inline bool is_syn_ack(const struct packet *p)
{
	return (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK);
}

/* The pod's role, if this packet is part of a handshake. */
static __always_inline enum ew_role handshake_role(const struct packet *p)
{
	if (is_syn(p))
		return p->dir == EW_FROM_POD ? EW_ROLE_CLIENT : EW_ROLE_SERVER;
	if (is_syn_ack(p))
		return p->dir == EW_FROM_POD ? EW_ROLE_SERVER : EW_ROLE_CLIENT;
	if (p->key->variant == EW_VARIANT_ECHO_CLIENT)
		return EW_ROLE_CLIENT;
	if (p->key->variant == EW_VARIANT_ECHO_SERVER)
		return EW_ROLE_SERVER;
	return EW_ROLE_UNKNOWN;
}

static __always_inline void first_role(struct ew_flow *flow, const struct packet *p)
{
	flow->role = handshake_role(p);
	if (flow->role != EW_ROLE_UNKNOWN) {
		flow->role_source = EW_SOURCE_HANDSHAKE;
		return;
	}
	if (pod_listens(p->key)) {
		flow->role = EW_ROLE_SERVER;
		flow->role_source = EW_SOURCE_LISTENER;
		return;
	}
	if (has_handshake(p->key->protocol) || p->key->variant == EW_VARIANT_ICMP_OTHER)
		return;
	flow->role = p->dir == EW_FROM_POD ? EW_ROLE_CLIENT : EW_ROLE_SERVER;
	flow->role_source = EW_SOURCE_FIRST_PACKET;
}

static __always_inline void flag(struct ew_flow *flow, __u32 which, bool on)
{
	if (on)
		__sync_fetch_and_or(&flow->flags, which);
	else if (flow->flags & which)
		__sync_fetch_and_and(&flow->flags, ~which);
}

/* What was decided holds for the initiator that was believed in. */
static __always_inline void undo_verdict(struct ew_flow *flow)
{
	*(volatile __u64 *)&flow->verdict = 0;
}

/* Keep what conntrack says of the connection: the true initiator, and the other address of a Service. */
static __always_inline void note(struct ew_flow *flow, const struct ew_flow_key *key, const struct tracked *t, __u32 role)
{
	if (role == EW_ROLE_UNKNOWN)
		return;
	flag(flow, EW_FLAG_CT_READ, true);
	if (flow->role_source < EW_SOURCE_CONNTRACK) {
		if (enforcing && flow->role != role)
			undo_verdict(flow);
		flow->role = role;
		flow->role_source = EW_SOURCE_CONNTRACK;
	}
	if (translated(t)) {
		copy_address(flow->nat_addr, role == EW_ROLE_CLIENT ? t->answerer : t->asked);
		flow->nat_port = role == EW_ROLE_CLIENT ? t->answerer_port : t->asked_port;
	}
	flag(flow, EW_FLAG_NAT, translated(t));
	if (role == EW_ROLE_SERVER && !same_address(t->initiator, key->peer_addr)) {
		copy_address(flow->initiator_addr, t->initiator);
		flag(flow, EW_FLAG_SNAT, true);
	}
}

/* Ask conntrack once per connection. */
static __always_inline void learn(struct __sk_buff *skb, struct ew_flow *flow, const struct packet *p)
{
#ifdef EW_HOST /* whose stack is full; no entry is being built */
	struct tracked *t = (void *)p->scratch;

	__builtin_memset(t, 0, sizeof(*t));
#else
	struct tracked space = {}, *t = &space;
#endif

	if (__sync_fetch_and_or(&flow->flags, EW_FLAG_CT_READ) & EW_FLAG_CT_READ)
		return;
	if (read_conntrack(skb, t))
		note(flow, p->key, t, tracked_role(p->key, t));
}

#endif
