/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The ABI between flow.bpf.c and the agent: nothing else is shared. Mirrored by src/eastwest/agent/abi.py; a test compares
 * the two through the object's BTF. Addresses are 16 bytes in network order (IPv4 as ::ffff:a.b.c.d), ports and
 * numbers are in host order, times are CLOCK_MONOTONIC nanoseconds (coarse), bytes are L3 bytes.
 */
#ifndef EW_FLOW_H
#define EW_FLOW_H

#define EW_FROM_POD 0 /* packets the pod sent: ingress of the host's end of its veth */
#define EW_TO_POD 1

enum ew_role {
	EW_ROLE_UNKNOWN = 0,
	EW_ROLE_CLIENT = 1, /* the local pod opened the connection */
	EW_ROLE_SERVER = 2,
};

/* How the role is known, weakest first: a stronger source replaces a weaker one. */
enum ew_role_source {
	EW_SOURCE_UNKNOWN = 0,
	EW_SOURCE_FIRST_PACKET = 1,
	EW_SOURCE_LISTENER = 2,
	EW_SOURCE_CONNTRACK = 3,
	EW_SOURCE_HANDSHAKE = 4,
};

/* Loss with bytes of its own, per interface. */
enum ew_lost {
	EW_LOST_OVERFLOW_FULL = 0, /* both the flow map and the overflow map were full */
	EW_LOST_FRAGMENT = 1,	   /* IP fragments: ports unknown */
	EW_LOST_TRUNCATED = 2,	   /* headers that end too early */
	EW_LOST_COUNT = 3,
};

/* Packets that are no loss and no part of the books, but worth a number, per interface. */
enum ew_event {
	EW_EVENT_NON_IP = 0,	    /* ARP and others */
	EW_EVENT_NEIGHBOUR = 1,	    /* IPv6 neighbour discovery and multicast listener reports: IPv6's ARP */
	EW_EVENT_FLOW_MAP_FULL = 2, /* recorded in the overflow map instead of an entry of their own */
	EW_EVENT_UNDECIDED = 3,	    /* verdicts on connections whose initiator nobody knows */
	EW_EVENT_UNREAD_DENIED = 4, /* of those lost above as fragment or truncated: dropped by policy */
	EW_EVENT_UNREAD_WOULD_DENY = 5,
	EW_EVENT_ENCAPSULATED = 6,	    /* of the node itself: pods' packets in an envelope, seen without it at the pods */
	EW_EVENT_COUNT = 7,
};

/* By what entries of the flow map are counted, per interface. */
enum ew_active {
	EW_ACTIVE_TCP = 0,
	EW_ACTIVE_UDP = 1,
	EW_ACTIVE_ICMP = 2,
	EW_ACTIVE_SCTP = 3,
	EW_ACTIVE_OTHER = 4,
	EW_ACTIVE_COUNT = 5,
};

/* Keeps what would otherwise share a 5-tuple apart. */
enum ew_variant {
	EW_VARIANT_NONE = 0,
	EW_VARIANT_ECHO_CLIENT = 1, /* ICMP echo asked by the pod */
	EW_VARIANT_ECHO_SERVER = 2, /* ICMP echo asked by the peer */
	EW_VARIANT_ICMP_OTHER = 3,
};

/* One connection as a pod's interface sees it: both directions share it. In the overflow map the initiator's port
 * (both ports, when the role is unknown) is 0 and `variant` is the role. */
struct ew_flow_key {
	__u8 pod_addr[16];
	__u8 peer_addr[16];
	__u32 ifindex;
	__u16 pod_port;
	__u16 peer_port;
	__u8 protocol;
	__u8 variant; /* enum ew_variant; in the overflow map enum ew_role */
	__u8 ghost;   /* 0 live; else an ended connection whose 5-tuple is in use again */
	__u8 pad;
};
_Static_assert(sizeof(struct ew_flow_key) == 44, "ew_flow_key");

struct ew_tally {
	__u32 packets;	/* added to together with segments, as one u64 */
	__u32 segments; /* packets on the wire */
};

/* The counters of one epoch, indexed by direction where there are two. Verdicts count packets of both directions. */
struct ew_set {
	__u64 bytes[2];
	struct ew_tally tally[2];
	__u64 first_ns; /* 0: nothing counted */
	__u64 last_ns;
	__u32 opens;
	__u32 answered;
	__u32 denied;
	__u32 would_deny; /* passed, because the mode is audit */
};
_Static_assert(sizeof(struct ew_set) == 64, "ew_set: a cache line");

enum ew_flow_flags {
	EW_FLAG_SEEN_FROM_POD = 1 << 0,
	EW_FLAG_SEEN_TO_POD = 1 << 1,
	EW_FLAG_SYN = 1 << 2,	   /* isn is valid */
	EW_FLAG_OPEN = 1 << 3,	   /* its opening was counted */
	EW_FLAG_ANSWERED = 1 << 4, /* its first answer was counted */
	EW_FLAG_FIN_FROM_POD = 1 << 5,
	EW_FLAG_FIN_TO_POD = 1 << 6,
	EW_FLAG_RST = 1 << 7,
	EW_FLAG_CT_READ = 1 << 8, /* conntrack was asked */
	EW_FLAG_NAT = 1 << 9,	  /* nat_addr and nat_port are valid */
	EW_FLAG_SNAT = 1 << 10,	  /* initiator_addr is valid */
	EW_FLAG_TURNED = 1 << 11, /* who spoke first was denied, so the other end opened it, whatever conntrack says */
};

/* What was decided about a connection, valid for one generation of the plan: read and written as one word. */
struct ew_verdict {
	__u32 generation; /* 0: not decided */
	__u8 ruling;	  /* enum ew_ruling; none: decided not to decide (mode off) */
	__u8 enforced;	  /* a denial drops; else it is only counted */
	__u8 pad[2];
};

/*
 * The kernel puts 48 bytes of its own and the key (48) before the value, and elements begin at cache lines, because they are
 * 320 bytes apart. So these 32 bytes share a line with the end of the key, each set has a line of its own, and the last line
 * is only touched when something is learnt or decided: a packet of a known connection touches three lines.
 */
struct ew_flow {
	__u32 tick; /* of the last drain that looked at it */
	__u32 flags;
	struct ew_verdict verdict;
	__u64 quiet_since_ns; /* last packet that a drain saw */
	__u32 isn;	      /* initial sequence number of the last SYN */
	__u16 nat_port;
	__u8 role;
	__u8 role_source;
	struct ew_set set[2]; /* [epoch & 1] */
	__u32 unjudged[2];    /* by set: packets nobody judged. The allowed ones are the rest: they are not counted one by one */
	__u32 allow_reason;   /* of the last verdict of its kind */
	__u32 deny_reason;
	__u64 opened_ns;
	__u8 nat_addr[16];	 /* role client: the backend; role server: the Service address */
	__u8 initiator_addr[16]; /* the original source, where masquerading hid it */
	__u64 cgroup; /* of the node itself: the local socket's; 0: no socket was seen yet */
};
_Static_assert(sizeof(struct ew_flow) == 224, "ew_flow");

/* Value of the overflow map: no state, only counters. */
struct ew_overflow {
	struct ew_set set[2];
	__u32 tick;
	__u32 role_source; /* the strongest so far */
	__u32 allowed[2];  /* packets, by set */
	__u32 allow_reason;
	__u32 deny_reason;
};
_Static_assert(sizeof(struct ew_overflow) == 152, "ew_overflow");

struct ew_amount {
	__u64 bytes;
	__u64 packets;
};

/* The books of one interface. Per CPU, only ever added to: the agent subtracts what it saw before. */
struct ew_interface_set {
	struct ew_amount hook[2]; /* every IP packet, by direction */
	struct ew_amount lost[EW_LOST_COUNT];
	__u64 events[EW_EVENT_COUNT];
};
struct ew_interface {
	struct ew_interface_set set[2]; /* [epoch & 1] */
	__u64 active[EW_ACTIVE_COUNT];	/* entries of the flow map: made less deleted, each on the CPU where it happened */
};
_Static_assert(sizeof(struct ew_interface) == 312, "ew_interface");

/* A local socket that accepts; port 0 = this interface's sockets of the protocol have been read. */
struct ew_listener_key {
	__u32 ifindex;
	__u16 port;
	__u8 protocol;
	__u8 pad;
};
_Static_assert(sizeof(struct ew_listener_key) == 8, "ew_listener_key");

enum ew_counted_in {
	EW_COUNTED_IN_FLOW = 0,
	EW_COUNTED_IN_OVERFLOW = 1,
};

/* What a drain writes for one entry: who and what (one group of bytes), then how much. */
struct ew_record {
	__u8 src[16]; /* the initiator; the local pod when the role is unknown */
	__u8 dst[16]; /* the server, after destination NAT */
	__u8 service[16];
	__u32 ifindex;
	__u16 src_port; /* 0 when the initiator is known: elided */
	__u16 dst_port;
	__u16 service_port; /* 0: no destination NAT */
	__u8 protocol;
	__u8 role;
	__u8 role_source;
	__u8 counted_in;
	__u16 owner; /* of the node itself: the host-network pod whose socket it is, as the map owners says; 0: none */
	__u64 bytes[2]; /* forward (from src), reverse */
	struct ew_tally tally[2];
	__u64 first_ns;
	__u64 last_ns;
	__u32 opens;
	__u32 answered;
	__u32 allowed; /* packets; all three are 0 where nothing was decided */
	__u32 denied;
	__u32 would_deny;
	__u32 allow_reason; /* of the last packets allowed; 0: none were */
	__u32 deny_reason;  /* of the last packets denied, or that would have been */
	__u32 pad2;
};
_Static_assert(sizeof(struct ew_record) == 144, "ew_record");

/* Argument and result of one run of ew_drain. Run again while `full` is set. */
struct ew_drain {
	__u64 now_ns;
	__u64 carry_ns;	 /* younger and not answered yet: moved to the next window; 0: nothing is */
	__u64 closed_ns; /* a closed connection is deleted after being quiet for this long */
	__u64 idle_tcp_ns;
	__u64 idle_other_ns;
	__u32 set;   /* the quiet one */
	__u32 tick;  /* names this drain, never 0 */
	__u32 limit; /* records that fit */
	__u32 purge; /* 1: delete, without a record, what belongs to interfaces that are gone */
	__u32 hold;  /* 1: leave interfaces alone that are in the map `held` */
	/* results of this run */
	__u32 records;
	__u32 full;
	__u32 entries; /* left in the flow map, of those looked at */
	__u32 deleted;
	__u32 carried;
	__u32 overflow_entries;
	__u32 pad;
};
_Static_assert(sizeof(struct ew_drain) == 88, "ew_drain");

#endif
