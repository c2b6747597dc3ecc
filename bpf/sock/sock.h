/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP health of each socket: the only interface between sock.bpf.c and eastwest.agent.sock. */
#ifndef EASTWEST_SOCK_H
#define EASTWEST_SOCK_H

/* The phase a retransmission or timeout belongs to, by the sender's own state. */
enum sock_phase {
	PHASE_SYN = 0,		/* SYN_SENT, SYN_RECV */
	PHASE_ESTABLISHED = 1,	/* ESTABLISHED, CLOSE_WAIT: this side may still send data */
	PHASE_CLOSING = 2,	/* this side has sent its FIN */
	PHASES = 3,
};

enum sock_role {
	ROLE_UNKNOWN = 0,	/* adopted: who called whom happened before the agent */
	ROLE_CLIENT = 1,
	ROLE_SERVER = 2,
};

enum sock_flag {
	SOCK_ADOPTED = 1,	/* older than the agent: counts start at adoption */
	SOCK_CLOSED = 2,	/* the last record of this (cookie, opened_ns) */
	SOCK_RTT = 4,		/* rtt_us is a sample not reported before */
	SOCK_AS_SENT = 8,	/* not news: what window `tick` was told; goes before what an agent may not know the past of */
};

/* Windows, by number: what was sent in one that was handed over is what the next agent counts on from. */
struct sock_windows {
	__u32 current;		/* `live` sends for this one */
	__u32 committed;	/* the last one that was handed over */
	__u32 life;		/* of the agent that reads: another one's knows nothing of what was sent before */
	__u32 adding;		/* connections that close now are added up under this number; 0: they are not */
};

/* Where something was lost or went wrong; index into the map `counters`. */
enum sock_counter {
	SOCK_LOST_STORAGE = 0,	/* sockets not followed: the kernel refused their storage */
	SOCK_LOST_RECORDS = 1,	/* closed sockets whose last record found the ring full: their last counts are lost */
	SOCK_DEFERRED = 2,	/* live records that found the ring full: sent later, nothing lost */
	SOCK_UNFOLLOWED = 3,	/* events on sockets without an entry (adopted too late, or storage refused) */
	SOCK_FLAGS_REFUSED = 4,	/* callback flags this kernel did not take */
	SOCK_FOLLOWED = 5,	/* sockets followed, ever */
	SOCK_CLOSED_SEEN = 6,	/* of those, closed */
	SOCK_ADDED_UP = 7,	/* of those, added to their edge instead of sent */
	SOCK_SUMS_FULL = 8,	/* closed sockets sent, because there was no room for their edge: nothing lost */
	SOCK_COUNTERS = 9,
};

#define SOCK_COUNTS 11		/* attempts … rtos, as they stand in a record */

/* All counts are totals since opened_ns and never fall; user space keeps what it has seen and reports increments. */
struct sock_record {
	__u64 cookie;		/* socket cookie: joins with the flow entry */
	__u64 opened_ns;	/* bpf_ktime: connect() called, accepted, or adopted; (cookie, opened_ns) names a connection */
	__u64 now_ns;		/* bpf_ktime: when this record was written */
	__u64 cgroup_id;	/* inode of the cgroup v2 directory; an accepted socket has its listener's */
	__u8 local[16];		/* network order, IPv4 as ::ffff:a.b.c.d */
	__u8 remote[16];	/* as the socket knows it: a Service's address, before destination NAT */
	__u32 netns;		/* inode of the network namespace */
	__u16 local_port;	/* host order, as are all numbers below */
	__u16 remote_port;
	__u8 role;
	__u8 state;		/* TCP state; 7 = closed */
	__u8 flags;
	__u8 error;		/* errno the socket closed with: 111 refused, 110 timed out, 104 reset ...; 0 = none */
	__u32 attempts;		/* connect() called */
	__u32 established;
	__u32 failures;		/* closed without having been established */
	__u32 resets;		/* ended by a RST, sent or received, after being established */
	__u32 timeouts;		/* given up by this side after being established (ETIMEDOUT) */
	__u32 retransmits[PHASES]; /* segments, as TcpRetransSegs counts them */
	__u32 rtos[PHASES];	/* retransmission timeouts that fired */
	__u32 connect_us;	/* SYN sent to established; 0 = not known */
	__u32 rtt_min_us;	/* least of the kernel's window; 0 = not known */
	__u32 rtt_us;		/* measured last; 0 = not known */
	__u32 delivered;	/* segments the other side has acknowledged */
	__u32 tick;		/* number of the window that it was last sent for while alive; 0 = none */
	__u32 _zero;
};
_Static_assert(sizeof(struct sock_record) == 144, "agent/sock/record.py reads this layout");

#define SOCK_BUCKETS 16

/* An edge: the key part of struct ew_record, as a drain writes it for the connection's packets. */
struct sock_sum_key {
	__u64 words[8];
	__u32 window; /* sock_windows.adding when they closed */
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct sock_sum_key) == 68, "agent/sock/record.py reads this layout");

/* Connections of one edge that closed in one window, added up. Key, value and what the kernel adds are 256 bytes, a size it has. */
struct sock_sum {
	__u64 connect_sum_us;
	__u64 rtt_sum_us;
	__u64 now_ns;		/* newest of them */
	__u32 attempts;		/* added to together with connect_count, as one u64 */
	__u32 connect_count;
	__u32 failures;
	__u32 resets;
	__u32 timeouts;
	__u32 retransmits[PHASES];
	__u32 rtos[PHASES];
	__u32 rtt_min_us;	/* 0 = not known */
	__u32 rtt_histogram[SOCK_BUCKETS];
};
_Static_assert(sizeof(struct sock_sum) == 136, "agent/sock/record.py reads this layout");
_Static_assert(__builtin_offsetof(struct sock_sum, attempts) % 8 == 0, "two counts, one word");

#endif
