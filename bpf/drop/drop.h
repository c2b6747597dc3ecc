/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets the kernel dropped: the only interface between drop.bpf.c and eastwest.agent.drop. */
#ifndef EASTWEST_DROP_H
#define EASTWEST_DROP_H

/* Which ports of a drop are known to be somebody's service; the initiator's port is then 0. */
enum drop_flag {
	DROP_PARSED = 1,	/* addresses are real */
	DROP_PORTS = 2,		/* ports are real */
	DROP_TO_SERVER = 4,	/* a TCP SYN or SCTP INIT: dst_port is the server's, src_port elided */
	DROP_TO_CLIENT = 8,	/* a TCP SYN-ACK or SCTP INIT ACK: src_port is the server's, dst_port elided */
};

enum drop_counter {
	DROP_SEEN = 0,		/* packets counted, in either map */
	DROP_COARSE = 1,	/* of those, counted without addresses because `drops` was full */
	DROP_LOST = 2,		/* not counted anywhere: `drops_coarse` was full too */
	DROP_COUNTERS = 3,
};

struct drop_key {
	__u32 netns;		/* inode of the namespace it was dropped in */
	__u32 ifindex;		/* interface it came from or went to, in that namespace; 0 = none */
	__u32 owner_netns;	/* namespace of the socket that sent or should receive it; 0 = none known */
	__u32 reason;		/* enum skb_drop_reason of the running kernel */
	__u8 src[16];		/* network order, IPv4 as ::ffff:a.b.c.d; zero when not parsed */
	__u8 dst[16];
	__u16 src_port;		/* host order */
	__u16 dst_port;
	__u8 protocol;
	__u8 flags;
	__u16 _zero;
};
_Static_assert(sizeof(struct drop_key) == 56, "agent/drop/record.py reads this layout");

struct drop_value {
	__u64 packets;
	__u64 bytes;		/* L3, a GSO super-packet once */
	__u64 born_ns;		/* bpf_ktime: tells an entry from a later one of the same key */
};
_Static_assert(sizeof(struct drop_value) == 24, "agent/drop/record.py reads this layout");

#endif
