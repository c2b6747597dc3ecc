// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Decides what pods send to addresses that the kernel may translate: at FORWARD, where the backend is known and the packet has
 * not left yet (docs/enforcement.md). The verdict goes into the flow entry of the pod's interface, so that the pod's own hook
 * applies it to all that follows. Also holds back what nobody else looks at: pods that no plan knows and no hook sees.
 */
#include "../vmlinux.h"
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#define EW_NETFILTER
#include "../flow/conntrack.h"
#include "../flow/maps.h"
#include "../flow/packet.h"
#include "../flow/policy_maps.h"
#include "../flow/sets.h"
#include "../flow/tables.h"
#include "forward.h"
#include "passing.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NF_DROP 0
#define NF_ACCEPT 1

/* 1: also look at packets of known connections, because the pods' hooks cannot ask conntrack. A section of its own. */
const volatile __u8 every_packet SEC(".rodata.every_packet") = 0;

/* key: enum forward_counter, value: 8 bytes per CPU */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FORWARD_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} forward_counters SEC(".maps");

static __always_inline void add_one(enum forward_counter which)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&forward_counters, &key);

	if (value)
		*value += 1;
}

/* As the pod's own hook keys the connection: before any translation. */
static __always_inline void flow_key_of(struct ew_flow_key *to, const struct passing *p, __u32 ifindex)
{
	copy_address(to->pod_addr, p->t.initiator);
	copy_address(to->peer_addr, p->t.asked);
	to->ifindex = ifindex;
	to->pod_port = p->t.initiator_port;
	to->peer_port = p->t.asked_port;
	to->protocol = p->protocol;
	to->variant = p->variant;
}

static __always_inline __u32 epoch_set(void)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&epoch, &zero);

	return value ? *(volatile __u32 *)value & 1 : 0;
}

/* What conntrack knows of the connection belongs to its entry, from the first packet on. */
static __always_inline void keep_translation(struct ew_flow *flow, const struct passing *p)
{
	if (!p->tracked)
		return;
	if (flow->role_source < EW_SOURCE_CONNTRACK) {
		flow->role = EW_ROLE_CLIENT;
		flow->role_source = EW_SOURCE_CONNTRACK;
	}
	if (translated(&p->t)) {
		copy_address(flow->nat_addr, p->t.answerer);
		flow->nat_port = p->t.answerer_port;
		__sync_fetch_and_or(&flow->flags, EW_FLAG_NAT | EW_FLAG_CT_READ);
	} else {
		__sync_fetch_and_or(&flow->flags, EW_FLAG_CT_READ);
		if (flow->flags & EW_FLAG_NAT)
			__sync_fetch_and_and(&flow->flags, ~EW_FLAG_NAT);
	}
}

/* The pod's hook counted this packet as one that nobody judged. */
static __always_inline void count_verdict(struct ew_flow *flow, const struct answer *a, bool was_pending)
{
	__u32 set = epoch_set();

	if (a->ruling == EW_RULING_DENY)
		__sync_fetch_and_add(a->enforced ? &this_set(flow->set, set)->denied : &this_set(flow->set, set)->would_deny, 1);
	if (was_pending && a->ruling != EW_RULING_NONE)
		__sync_fetch_and_add(&flow->unjudged[set & 1], -1);
}

static __always_inline void keep_verdict(struct ew_flow *flow, const struct passing *p, const struct answer *a, __u32 generation)
{
	struct ew_verdict verdict = {.generation = generation, .ruling = a->ruling, .enforced = a->enforced};
	bool was_pending = flow->verdict.generation != generation;

	keep_translation(flow, p);
	give_reason(&flow->allow_reason, &flow->deny_reason, a);
	count_verdict(flow, a, was_pending);
	if (a->ruling == EW_RULING_DENY && a->enforced && p->tracked && translated(&p->t))
		verdict.generation = 0; /* the next attempt may get another backend */
	*(volatile __u64 *)&flow->verdict = *(__u64 *)&verdict;
}

/* The edge's entry in the overflow map: without the initiator's port. */
static __always_inline void count_without_entry(struct ew_flow_key *key, const struct answer *a)
{
	__u32 set = epoch_set();
	struct ew_overflow *entry;

	add_one(FORWARD_WITHOUT_ENTRY);
	key->pod_port = 0;
	key->variant = EW_ROLE_CLIENT;
	entry = bpf_map_lookup_elem(&overflow, key);
	if (!entry)
		return;
	if (a->ruling == EW_RULING_ALLOW)
		__sync_fetch_and_add(&entry->allowed[set & 1], 1);
	else if (a->ruling == EW_RULING_DENY)
		__sync_fetch_and_add(a->enforced ? &this_set(entry->set, set)->denied : &this_set(entry->set, set)->would_deny, 1);
	give_reason(&entry->allow_reason, &entry->deny_reason, a);
}

/* Whether the entry's verdict was about the backend that this packet goes to. */
static __always_inline bool same_backend(const struct ew_flow *flow, const struct passing *p)
{
	if (!p->tracked || !translated(&p->t))
		return !(flow->flags & EW_FLAG_NAT);
	return (flow->flags & EW_FLAG_NAT) && flow->nat_port == p->t.answerer_port && same_address(flow->nat_addr, p->t.answerer);
}

/* Whether the pod's own hook has decided about this packet already. A packet that conntrack calls new may have got another
 * backend than the one before it. */
static __always_inline bool decided(const struct ew_flow *flow, const struct passing *p, __u32 generation)
{
	if (flow->role == EW_ROLE_SERVER && flow->role_source >= EW_SOURCE_LISTENER)
		return true; /* a connection that conntrack forgot, and now takes for the other way round */
	if (flow->verdict.generation != generation)
		return false;
	return !p->tracked || p->info != IP_CT_NEW || same_backend(flow, p);
}

static __always_inline void question_of(struct question *q, const struct passing *p, const struct ew_policy_state *state, __u16 port)
{
	q->set = state->generation & 1;
	q->prefix = PREFIX_PORT;
	q->port = port;
	q->protocol = p->protocol;
	q->posture = state->posture;
}

static __always_inline int judge_pod(const struct passing *p, const struct ew_policy_state *state, const struct ew_policed *sides,
				     __u32 ifindex)
{
	const struct ew_identity *who;
	struct ew_flow_key key = {};
	struct question q = {};
	struct answer a = {};
	struct ew_flow *flow;

	question_of(&q, p, state, p->t.answerer_port);
	q.side = sides->side[EW_EGRESS];
	who = identify(q.set, p->t.asked);
	if (who && who->kind == EW_IDENTITY_POD)
		return NF_ACCEPT; /* decided at the pod's hook: nobody translates pods' addresses */
	flow_key_of(&key, p, ifindex);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (q.side.mode == EW_MODE_OFF) {
		if (flow)
			keep_translation(flow, p); /* nobody answers what the other end denies, and both name one edge */
		return NF_ACCEPT;
	}
	if (flow && decided(flow, p, state->generation))
		return NF_ACCEPT;
	if (same_address(p->t.answerer, p->t.initiator)) {
		a.enforced = q.side.mode == EW_MODE_ENFORCE;
		rule(&a, EW_RULING_ALLOW, EW_REASON_ITSELF);
	} else {
		ask(&q, identify(q.set, p->t.answerer), &a);
	}
	add_one(FORWARD_JUDGED);
	if (flow)
		keep_verdict(flow, p, &a, state->generation);
	else
		count_without_entry(&key, &a);
	if (a.ruling != EW_RULING_DENY)
		return NF_ACCEPT;
	add_one(a.enforced ? FORWARD_DENIED : FORWARD_WOULD_DENY);
	return a.enforced ? NF_DROP : NF_ACCEPT;
}

/* --- pods that no plan knows ---------------------------------------------------------------------------------------- */

static __always_inline bool hooked(__u32 ifindex)
{
	return bpf_map_lookup_elem(&interfaces, &ifindex) != 0;
}

static __always_inline bool known_link(__u32 ifindex)
{
	return !ifindex || bpf_map_lookup_elem(&links, &ifindex) != 0 || hooked(ifindex);
}

/* Whether one end is a pod of this node that nobody knows: by its address, or by the link it is behind. */
static __always_inline bool unknown_pod(__u32 set, const __u8 *address, __u32 ifindex)
{
	if (pod_interface(set, address))
		return false;
	return in_pod_ranges(set, address) || !known_link(ifindex);
}

/* Only a posture of deny has anything to say, and never about the node itself. */
static __always_inline bool posture_denies(const struct passing *p, const struct ew_policy_state *state)
{
	__u32 set = state->generation & 1;
	const struct ew_identity *who;

	if (unknown_pod(set, p->t.initiator, p->in)) {
		who = identify(set, p->t.answerer);
		if (!who || who->identity != EW_OWN_NODE)
			return true;
	}
	if (!hooked(p->out) && unknown_pod(set, p->t.answerer, p->out)) { /* a hooked one decides by itself */
		who = identify(set, p->t.initiator);
		return !who || who->identity != EW_OWN_NODE;
	}
	return false;
}

static __always_inline int judge_unknown(const struct passing *p, const struct ew_policy_state *state)
{
	if (state->posture != EW_RULING_DENY || state->unknown_mode == EW_MODE_OFF || !posture_denies(p, state))
		return NF_ACCEPT;
	add_one(state->unknown_mode == EW_MODE_ENFORCE ? FORWARD_UNKNOWN_DENIED : FORWARD_UNKNOWN_WOULD_DENY);
	return state->unknown_mode == EW_MODE_ENFORCE ? NF_DROP : NF_ACCEPT;
}

/* --- one packet ----------------------------------------------------------------------------------------------------- */

static __noinline int judge_packet(const struct passing *p, const struct ew_policy_state *state)
{
	__u32 set = state->generation & 1, ifindex = pod_interface(set, p->t.initiator);
	struct ew_policed_key key = {.set = set, .ifindex = ifindex};
	const struct ew_policed *sides = ifindex ? bpf_map_lookup_elem(&policed, &key) : 0;
	int verdict = sides ? judge_pod(p, state, sides, ifindex) : NF_ACCEPT;

	return verdict == NF_DROP ? NF_DROP : judge_unknown(p, state);
}

SEC("netfilter")
int ew_forward(struct bpf_nf_ctx *ctx)
{
	struct ew_policy_state state;
	struct passing p = {};

	if (known_connection(ctx, every_packet))
		return NF_ACCEPT;
	read_state(&state);
	if (!state.generation || !read_passing(ctx, &p))
		return NF_ACCEPT;
	if (zoned(ctx))
		add_one(FORWARD_ZONED);
	return judge_packet(&p, &state);
}
