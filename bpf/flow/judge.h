/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is decided about a packet at a pod's own interface (docs/enforcement.md): who opened its connection, who is at the other
 * end, and what the tables say of the two. Nothing is counted here.
 */
#ifndef EW_FLOW_JUDGE_H
#define EW_FLOW_JUDGE_H

/* Everything about one packet that a judgement needs and finds: too much for the stack. */
struct ew_case {
	struct ew_flow_key key;
	__u32 dir;
	__u32 tcp_flags;
	struct ew_policy_state state;
	struct ew_policed sides;
	struct question question;
	struct answer answer;
	struct tracked tracked;
	__u32 role;
	__u8 asked; /* conntrack knows the connection */
	__u8 known; /* and with the same initiator as we do */
	__u8 pad[2];
};

/* One at a time on each CPU: these programs are never interrupted by themselves. Key 4 B, value 184 B per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ew_case);
} cases SEC(".maps");

/* Both sides of the pod; false when neither is decided. A pod nobody knows has the posture where pods live. */
static __always_inline bool find_sides(struct ew_case *c)
{
	struct ew_policed_key wanted = {.set = c->question.set, .ifindex = c->key.ifindex};
	const struct ew_policed *found = bpf_map_lookup_elem(&policed, &wanted);
	struct ew_side *side = c->sides.side;

	if (found)
		c->sides = *found;
	else if (c->state.unknown_mode != EW_MODE_OFF && in_pod_ranges(c->question.set, c->key.pod_addr))
		side[EW_EGRESS].mode = side[EW_INGRESS].mode = c->state.unknown_mode;
	return side[EW_EGRESS].mode != EW_MODE_OFF || side[EW_INGRESS].mode != EW_MODE_OFF;
}

static __always_inline bool link_local(const __u8 *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80; /* RFC 4291 section 2.5.6: never forwarded */
}

/* Whether the pod sends with an address that is not its own. A pod the plan does not know has none to compare with. */
static __always_inline bool spoofed(const struct ew_case *c, const struct ew_flow *flow)
{
	if (!c->sides.side[EW_EGRESS].row && !c->sides.side[EW_INGRESS].row)
		return false;
	if (c->dir == EW_TO_POD && !(flow && (flow->flags & EW_FLAG_SEEN_FROM_POD)))
		return false;
	return pod_interface(c->question.set, c->key.pod_addr) != c->key.ifindex && !link_local(c->key.pod_addr);
}

/* Who opened it, as the entry or this packet tells. An ICMP error about nothing we know is its sender's own. */
static __always_inline void first_opinion(struct ew_case *c, const struct ew_flow *flow)
{
	const struct packet p = {.key = &c->key, .dir = c->dir, .tcp_flags = c->tcp_flags};

	if (c->key.variant == EW_VARIANT_ICMP_OTHER)
		c->role = c->dir == EW_FROM_POD ? EW_ROLE_CLIENT : EW_ROLE_SERVER;
	else
		c->role = flow ? flow->role : handshake_role(&p);
}

/* Ask conntrack, and believe it more than what the first packet we saw looked like. */
static __always_inline void second_opinion(struct __sk_buff *skb, struct ew_case *c, struct ew_flow *flow)
{
	__u32 role;

	if (c->key.variant == EW_VARIANT_ICMP_OTHER)
		return;
	if (c->dir == EW_TO_POD)
		c->asked = read_conntrack(skb, &c->tracked);
	else if ((c->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		c->asked = find_conntrack(skb, &c->key, &c->tracked);
	if (!c->asked)
		return;
	role = tracked_role(&c->key, &c->tracked);
	if (flow && !(flow->flags & EW_FLAG_TURNED)) {
		note(flow, &c->key, &c->tracked, role);
		c->role = flow->role;
	} else if (!flow && c->role == EW_ROLE_UNKNOWN) {
		c->role = role;
	}
	c->known = role != EW_ROLE_UNKNOWN && role == c->role;
}

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

/* A case to be judged; null only if there were no map. */
static __always_inline struct ew_case *open_case(const struct packet *p, const struct ew_policy_state *state)
{
	__u32 zero = 0;
	struct ew_case *c = bpf_map_lookup_elem(&cases, &zero);

	if (!c)
		return 0;
	__builtin_memset(c, 0, sizeof(*c));
	c->key = *p->key;
	c->dir = p->dir;
	c->tcp_flags = p->tcp_flags;
	c->state = *state;
	c->question.set = state->generation & 1;
	c->question.prefix = PREFIX_PORT;
	c->question.posture = state->posture;
	c->question.protocol = p->key->protocol;
	return c;
}

#endif
