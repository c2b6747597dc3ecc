/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* One question to the plan's tables: may this peer use that port of a pod, in that direction. Knows no packets. */
#ifndef EW_FLOW_TABLES_H
#define EW_FLOW_TABLES_H

#include "packet.h"
#include "policy_maps.h"

#define PREFIX_ADDRESS (32 + 128)
#define PREFIX_PORT (32 + 32 + 8 + 16)
#define PREFIX_PROTOCOL (32 + 32 + 8)

struct question {
	__u32 set;
	struct ew_side side;
	__u32 prefix; /* PREFIX_PORT, or PREFIX_PROTOCOL when the port is not known: then all of them are meant */
	__u16 port;
	__u8 protocol;
	__u8 posture;
};

struct answer {
	__u32 reason;
	__u8 ruling; /* enum ew_ruling */
	__u8 enforced;
	__u8 pending;	 /* the backend is not known here: FORWARD decides */
	__u8 translated; /* by the kernel: the same packet may mean another backend next time */
};

/* What is in force, read once: a generation and what belongs to it are one word. */
static __always_inline void read_state(struct ew_policy_state *to)
{
	__u32 zero = 0;
	void *state = bpf_map_lookup_elem(&policy_state, &zero);

	*(__u64 *)to = state ? *(volatile __u64 *)state : 0;
}

static __always_inline void fill_address_key(struct ew_address_key *to, __u32 set, const __u8 *address)
{
	to->prefix = PREFIX_ADDRESS;
	to->set = set;
	copy_address(to->address, address);
}

static __noinline struct ew_identity *identify(__u32 set, const __u8 *address)
{
	struct ew_address_key key;

	fill_address_key(&key, set, address);
	return bpf_map_lookup_elem(&identities, &key);
}

static __always_inline bool in_pod_ranges(__u32 set, const __u8 *address)
{
	struct ew_address_key key;

	fill_address_key(&key, set, address);
	return bpf_map_lookup_elem(&pod_ranges, &key) != 0;
}

/* The interface of the local pod that has the address; 0: none has, or it has no interface yet. */
static __always_inline __u32 pod_interface(__u32 set, const __u8 *address)
{
	struct ew_pod_address_key key = {.set = set};
	__u32 *ifindex;

	copy_address(key.address, address);
	ifindex = bpf_map_lookup_elem(&pod_addresses, &key);
	return ifindex ? *ifindex : 0;
}

static __always_inline void rule(struct answer *a, __u8 ruling, __u32 reason)
{
	a->ruling = ruling;
	a->reason = reason;
}

/* The row for this peer: its cell's, else the table's default. */
static __always_inline __u32 row_of(const struct question *q, __u32 identity)
{
	struct ew_cell_key key = {.set = q->set, .table = q->side.table, .identity = identity};
	__u32 *row = bpf_map_lookup_elem(&cells, &key);

	return row ? *row : q->side.row;
}

/* Keep the reason of the last verdict of its kind. */
static __always_inline void give_reason(__u32 *allow, __u32 *deny, const struct answer *a)
{
	if (a->ruling == EW_RULING_ALLOW)
		*allow = a->reason;
	else if (a->ruling == EW_RULING_DENY)
		*deny = a->reason;
}

/* `who`: the peer's identity; null where the plan knows none for it, which is a defect of the plan. */
static __noinline int ask(const struct question *q, const struct ew_identity *who, struct answer *a)
{
	struct ew_port_key key = {.prefix = q->prefix, .set = q->set};
	struct ew_decision *found;

	if (q->side.mode == EW_MODE_OFF)
		return 0;
	a->enforced = q->side.mode == EW_MODE_ENFORCE;
	if (who && who->identity == EW_OWN_NODE) {
		rule(a, EW_RULING_ALLOW, EW_REASON_OWN_NODE);
		return 0;
	}
	if (!q->side.row) {
		rule(a, q->posture, EW_REASON_POSTURE);
		return 0;
	}
	rule(a, EW_RULING_DENY, EW_REASON_NO_TABLE);
	if (!who)
		return 0;
	key.row = row_of(q, who->identity);
	if (has_ports(q->protocol)) {
		key.protocol = q->protocol;
		key.port[0] = q->port >> 8;
		key.port[1] = q->port;
	}
	found = bpf_map_lookup_elem(&ports, &key);
	if (found)
		rule(a, found->ruling, found->reason);
	return 0;
}

#endif
