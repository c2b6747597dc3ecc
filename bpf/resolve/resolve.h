/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which edge a connection belongs to: the only interface between resolve.bpf.c and eastwest.agent.resolve. */
#ifndef EASTWEST_RESOLVE_H
#define EASTWEST_RESOLVE_H

#include "edge.h"

#define RESOLVE_SLOTS 4096

struct resolve_slot {
	struct ew_flow_key key; /* asked */
	__u32 found;		/* 0: no such flow */
	struct ew_record record; /* only its first EDGE_BYTES are written */
};
_Static_assert(sizeof(struct resolve_slot) == 192, "agent/resolve.py reads this layout");

struct resolve {
	__u32 count; /* slots to look at, from the first */
};

#endif
