/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a judgement stands on: both sides of the pod, and who opened the connection as far as anybody knows. */
#ifndef EW_FLOW_CASE_H
#define EW_FLOW_CASE_H

#include "conntrack.h"
#include "packet.h"
#include "role.h"
#include "tables.h"

/* Everything about one packet that a judgement needs and finds: too much for the stack. */
struct ew_case {
	struct ew_flow_key key;
	__u32 dir;
	__u32 flags;
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

/* One at a time on each CPU: tc runs these programs with softirqs off, and nothing is enforced
 * on the node itself (`EW_HOST`). Key 4 B, value 180 B per CPU. */
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
	const struct packet p = {.key = &c->key, .dir = c->dir, .flags = c->flags};

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
	else if ((c->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
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
	c->flags = p->flags;
	c->state = *state;
	c->question.set = state->generation & 1;
	c->question.prefix = PREFIX_PORT;
	c->question.posture = state->posture;
	c->question.protocol = p->key->protocol;
	return c;
}

#endif
