/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which edge a connection belongs to: the only interface between resolve.bpf.c and eastwest.agent.resolve. */
#ifndef EASTWEST_RESOLVE_H
#define EASTWEST_RESOLVE_H

#include "../flow/flow.h"

#define RESOLVE_SLOTS 4096
#define RESOLVED_BYTES 64 /* the key part of struct ew_record: what a drain would write for this connection */

struct resolve_slot {
	struct ew_flow_key key; /* asked */
	__u32 found;		/* 0: no such flow */
	struct ew_record record; /* only its first RESOLVED_BYTES are written */
};
_Static_assert(sizeof(struct resolve_slot) == 192, "agent/resolve.py reads this layout");
_Static_assert(__builtin_offsetof(struct ew_record, bytes) == RESOLVED_BYTES, "the key part of ew_record");

struct resolve {
	__u32 count; /* slots to look at, from the first */
};

#endif
