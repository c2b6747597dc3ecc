/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The ABI between forward.bpf.c and the agent, beside what it shares with the flow object. */
#ifndef EW_FORWARD_H
#define EW_FORWARD_H

/* Packets, since load. */
enum forward_counter {
	FORWARD_JUDGED = 0,	     /* of local pods: a verdict was made */
	FORWARD_DENIED = 1,	     /* of these */
	FORWARD_WOULD_DENY = 2,	     /* of these */
	FORWARD_WITHOUT_ENTRY = 3,   /* of these: the flow map is full, no record has the verdict */
	FORWARD_UNKNOWN_DENIED = 4,  /* of pods the plan does not know: no record has them */
	FORWARD_UNKNOWN_WOULD_DENY = 5,
	FORWARD_ZONED = 6, /* of connections in a conntrack zone other than 0, which the pods' hooks cannot look up */
	FORWARD_COUNTERS = 7,
};

#endif
