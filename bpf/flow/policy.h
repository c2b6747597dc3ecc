/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The ABI of enforcement between the flow and forward objects and the agent (docs/enforcement.md). Keys of LPM maps begin
 * with their prefix length in bits, which counts the set and all that follows. Mirrored by src/eastwest/agent/policy/abi.py.
 */
#ifndef EW_POLICY_H
#define EW_POLICY_H

enum ew_mode {
	EW_MODE_OFF = 0,
	EW_MODE_AUDIT = 1,
	EW_MODE_ENFORCE = 2,
};

enum ew_ruling {
	EW_RULING_NONE = 0,
	EW_RULING_ALLOW = 1,
	EW_RULING_DENY = 2,
};

enum ew_identity_kind {
	EW_IDENTITY_OTHER = 0,
	EW_IDENTITY_POD = 1,
};

#define EW_OWN_NODE 0xffffffff
#define EW_EGRESS 0  /* index of a side = the direction of its first packet at the hook: EW_FROM_POD */
#define EW_INGRESS 1 /* EW_TO_POD */

/* Reasons the kernel gives by itself, from the top of the numbers down; all others are the plan's. */
#define EW_REASON_POSTURE 0xffffffff  /* a pod the plan does not know */
#define EW_REASON_OWN_NODE 0xfffffffe
#define EW_REASON_ITSELF 0xfffffffd   /* a pod and its own address */
#define EW_REASON_SPOOFED 0xfffffffc
#define EW_REASON_FRAGMENT 0xfffffffb /* a later fragment, its first was not seen */
#define EW_REASON_TRUNCATED 0xfffffffa
#define EW_REASON_UNDECIDED 0xfffffff9 /* initiator unknown, either orientation allowed */
#define EW_REASON_NO_TABLE 0xfffffff8 /* the plan has no answer: a defect, denied */

struct ew_policy_state {
	__u32 generation; /* 0: nothing in force; & 1 is the set */
	__u8 posture;	  /* enum ew_ruling, for pods the plan does not know */
	__u8 unknown_mode;
	__u8 pad[2];
};
_Static_assert(sizeof(struct ew_policy_state) == 8, "ew_policy_state");

struct ew_address_key { /* of LPM maps: identities, pod_ranges */
	__u32 prefix;	/* 32 + bits of the address */
	__u32 set;
	__u8 address[16];
};
_Static_assert(sizeof(struct ew_address_key) == 24, "ew_address_key");

struct ew_identity {
	__u32 identity;
	__u32 kind;
};
_Static_assert(sizeof(struct ew_identity) == 8, "ew_identity");

struct ew_policed_key {
	__u32 set;
	__u32 ifindex;
};
_Static_assert(sizeof(struct ew_policed_key) == 8, "ew_policed_key");

struct ew_side {
	__u32 mode; /* enum ew_mode */
	__u32 table;
	__u32 row; /* of identities without a cell; 0: the plan does not know this pod, the posture holds */
};
struct ew_policed {
	struct ew_side side[2];
};
_Static_assert(sizeof(struct ew_policed) == 24, "ew_policed");

struct ew_pod_address_key { /* of a HASH map: pod_addresses; the value is the ifindex */
	__u32 set;
	__u8 address[16];
};
_Static_assert(sizeof(struct ew_pod_address_key) == 20, "ew_pod_address_key");

struct ew_cell_key {
	__u32 set;
	__u32 table;
	__u32 identity;
};
_Static_assert(sizeof(struct ew_cell_key) == 12, "ew_cell_key");

struct ew_port_key {
	__u32 prefix; /* 64, 72 or 72 + bits of the port */
	__u32 set;
	__u32 row;
	__u8 protocol; /* 0: every protocol without ports */
	__u8 port[2];  /* network order */
	__u8 pad;
};
_Static_assert(sizeof(struct ew_port_key) == 16, "ew_port_key");

struct ew_decision {
	__u32 reason;
	__u32 ruling; /* enum ew_ruling */
};
_Static_assert(sizeof(struct ew_decision) == 8, "ew_decision");

#endif
