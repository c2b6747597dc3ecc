/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Counts every packet of a pod at the host's end of its veth, once into the interface's books and once into the entry of
 * its connection. Both go into the sets of one epoch, so that a drain finds both accounts of the same packets.
 */
#include "../vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "flow.h"
#include "packet.h"
#include "maps.h"
#include "policy_maps.h"
#include "conntrack.h"
#include "listener.h"
#include "role.h"
#include "tables.h"
#include "judge.h"
#include "drain.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DNS_PORTS 4

/* Ports where DNS is spoken, 0 for none. The agent says which before it loads. */
const volatile __u16 dns_at[DNS_PORTS] SEC(".rodata.dns_at") = {53};
#define TCX_NEXT -1 /* for clsact: TC_ACT_UNSPEC; both leave the packet to whoever comes next */
#define TC_ACT_SHOT 2

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

static __always_inline void count_lost(struct ew_interface_set *books, enum ew_lost cause, const struct packet *p)
{
	books->lost[cause].bytes += p->bytes;
	books->lost[cause].packets += 1;
}

/* --- the life of an entry ------------------------------------------------------------------------------------------ */

static __always_inline void begin(struct ew_flow *flow, const struct packet *p)
{
	flow->opened_ns = p->now_ns;
	flow->quiet_since_ns = p->now_ns;
	first_role(flow, p);
	if (p->key->protocol != PROTO_TCP) {
		flow->flags = EW_FLAG_OPEN;
	} else if (is_syn(p)) {
		flow->flags = EW_FLAG_OPEN | EW_FLAG_SYN;
		flow->isn = p->seq;
	}
	this_set(flow->set, p->set)->opens = !!(flow->flags & EW_FLAG_OPEN);
}

static __always_inline struct ew_flow *open(struct packet *p)
{
	__u32 zero = 0;
	struct ew_flow *fresh = bpf_map_lookup_elem(&scratch, &zero);

	if (!fresh)
		return 0;
	__builtin_memset(fresh, 0, sizeof(*fresh));
	begin(fresh, p);
	if (!bpf_map_update_elem(&flows, p->key, fresh, BPF_NOEXIST)) /* full, or another CPU was first: the lookup tells */
		count_active(p->key, 1);
	return bpf_map_lookup_elem(&flows, p->key);
}

/* What the ended connection counted in this epoch moves to an entry of its own: its Service may have had another
 * backend. When that fails the amounts stay, and are recorded with the new connection. */
static __always_inline void leave_ghost(struct ew_flow *flow, const struct packet *p)
{
	struct ew_flow_key key = *p->key;
	__u32 zero = 0;
	struct ew_flow *ghost = bpf_map_lookup_elem(&scratch, &zero);
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
	count_active(&key, 1);
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
	if (flow->flags & (EW_FLAG_NAT | EW_FLAG_SNAT))
		leave_ghost(flow, p);
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
	return flow->role != EW_ROLE_UNKNOWN && !(p->tcp_flags & TCP_RST);
}

static __always_inline void track(struct __sk_buff *skb, struct ew_flow *flow, const struct packet *p)
{
	__u32 wanted = seen_flag(p->dir);

	if (p->tcp_flags & TCP_RST)
		wanted |= EW_FLAG_RST;
	if (p->tcp_flags & TCP_FIN)
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

/* --- what is decided about it ----------------------------------------------------------------------------------------- */

static __always_inline void give_reason(__u32 *allow, __u32 *deny, const struct answer *a)
{
	if (a->ruling == EW_RULING_ALLOW)
		*allow = a->reason;
	else if (a->ruling == EW_RULING_DENY)
		*deny = a->reason;
}

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

/* Whoever spoke first was denied and never got through, so this packet of the other end's is no answer: it opens. TCP says
 * so by itself. */
static __always_inline bool turns(struct ew_flow *flow, const struct packet *p)
{
	__u32 opener = flow->role == EW_ROLE_CLIENT ? EW_FROM_POD : EW_TO_POD;

	if (p->key->protocol == PROTO_TCP || p->key->variant != EW_VARIANT_NONE || p->quote)
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

static __always_inline bool passes_unread(const struct packet *p, enum verdict why, struct ew_interface_set *books)
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

/* --- without room for an entry ------------------------------------------------------------------------------------- */

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
	__u32 zero = 0;
	struct ew_overflow *fresh = bpf_map_lookup_elem(&scratch, &zero); /* an ew_flow is larger */

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

	books->events[EW_EVENT_FLOW_MAP_FULL] += 1;
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

/* --- one packet ---------------------------------------------------------------------------------------------------- */

/* An ICMP error belongs to the connection it is about, and shares its fate; `gone_on` false: that is not here. */
static __always_inline bool count_error(struct __sk_buff *skb, struct packet *p, struct ew_interface_set *books, bool *found)
{
	struct ew_flow_key key = {}, *own = p->key;
	struct ew_flow *flow;
	bool passed;

	if (!p->quote || !quoted_flow(skb, p, &key))
		return true;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return true;
	*found = true;
	count(this_set(flow->set, p->set), p);
	p->key = &key;
	passed = !enforcing || passes(skb, flow, p, books);
	p->key = own;
	return passed;
}

/* False when the packet is denied. */
static __always_inline bool count_flow(struct __sk_buff *skb, struct packet *p, struct ew_interface_set *books)
{
	struct ew_flow *flow = bpf_map_lookup_elem(&flows, p->key);

	if (!flow) {
		flow = open(p);
	} else if (is_syn(p)) {
		if (enforcing && turned_away(skb, flow, p, books))
			return false;
		restart(flow, p);
	}
	if (!flow)
		return count_overflow(skb, p, books);
	count(this_set(flow->set, p->set), p);
	if (enforcing && !passes(skb, flow, p, books))
		return false;
	track(skb, flow, p);
	return true;
}

static __always_inline __u32 read_epoch(void)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&epoch, &zero);

	return value ? *(volatile __u32 *)value & 1 : 0;
}

/* Before counting: without room for an entry the ports are elided from the key. */
static __always_inline bool is_dns(const struct ew_flow_key *key)
{
	int i;

	if (key->protocol != PROTO_UDP && key->protocol != PROTO_TCP)
		return false;
	for (i = 0; i < DNS_PORTS; i++)
		if (dns_at[i] && (key->pod_port == dns_at[i] || key->peer_port == dns_at[i]))
			return true;
	return false;
}

static __always_inline int observe(struct __sk_buff *skb, __u32 dir)
{
	__u32 ifindex = skb->ifindex;
	struct ew_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	struct ew_interface_set *books;
	struct ew_flow_key key = {};
	struct packet p = {.key = &key, .dir = dir};
	enum verdict verdict;
	bool dns, error = false;

	if (!interface)
		return TCX_NEXT; /* being taken away */
	p.set = read_epoch();
	key.ifindex = ifindex;
	books = &interface->set[p.set];
	if (skb->protocol != bpf_htons(ETHERTYPE_IPV4) && skb->protocol != bpf_htons(ETHERTYPE_IPV6)) {
		books->events[EW_EVENT_NON_IP] += 1;
		return TCX_NEXT;
	}
	verdict = parse(skb, &p);
	if (verdict == PARSED_NEIGHBOUR) {
		books->events[EW_EVENT_NEIGHBOUR] += 1;
		return TCX_NEXT;
	}
	p.bytes = skb->len - ETH_HEADER;
	p.segments = skb->gso_segs ?: 1;
	p.now_ns = bpf_ktime_get_coarse_ns();
	books->hook[dir].bytes += p.bytes;
	books->hook[dir].packets += 1;
	if (verdict != PARSED) {
		count_lost(books, verdict == PARSED_FRAGMENT ? EW_LOST_FRAGMENT : EW_LOST_TRUNCATED, &p);
		return !enforcing || passes_unread(&p, verdict, books) ? TCX_NEXT : TC_ACT_SHOT;
	}
	if (!count_error(skb, &p, books, &error))
		return TC_ACT_SHOT;
	if (error)
		return TCX_NEXT;
	dns = is_dns(&key);
	if (!count_flow(skb, &p, books))
		return TC_ACT_SHOT;
	if (dns)
		bpf_tail_call(skb, &dns_tail, dir); /* returns only when nobody is there */
	return TCX_NEXT;
}

#ifndef EW_HOST
SEC("tc")
int ew_from_pod(struct __sk_buff *skb)
{
	return observe(skb, EW_FROM_POD);
}

SEC("tc")
int ew_to_pod(struct __sk_buff *skb)
{
	return observe(skb, EW_TO_POD);
}
#endif
