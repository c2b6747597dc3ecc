/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* DNS messages seen at a pod's interface: the only interface between dns.bpf.c and eastwest.agent.dns. */
#ifndef EASTWEST_DNS_H
#define EASTWEST_DNS_H

#define DNS_PORTS 4		/* how many ports can be watched; 0 = unused */
#define DNS_PAYLOAD_MAX 1472	/* of one message; the rest is cut and said so */

enum dns_flag {
	DNS_FROM_POD = 1,	/* seen leaving the pod (tc ingress of the host's veth) */
	DNS_TO_SERVER = 2,	/* towards the DNS port */
	DNS_CUT = 4,		/* the message is longer than `captured` */
	DNS_TCP = 8,
};

enum dns_counter {
	DNS_MESSAGES = 0,	/* sent to user space */
	DNS_LOST_RING = 1,	/* the ring was full */
	DNS_UNPARSED_TCP = 2,	/* segments that are not exactly one message */
	DNS_UNPARSED_HEADERS = 3, /* later fragments of UDP or TCP, too many IPv6 extension headers */
	DNS_COUNTERS = 4,
};

/* Followed by `captured` bytes of message, padded to one of three record sizes (dns.bpf.c). */
struct dns_record {
	__u64 now_ns;		/* bpf_ktime */
	__u8 src[16];		/* network order, IPv4 as ::ffff:a.b.c.d */
	__u8 dst[16];
	__u32 ifindex;		/* the host's end of the pod's veth */
	__u16 src_port;		/* host order */
	__u16 dst_port;
	__u16 length;		/* of the message, without TCP's length prefix */
	__u16 captured;
	__u8 flags;
	__u8 _zero[3];
};
_Static_assert(sizeof(struct dns_record) == 56, "agent/dns/record.py reads this layout");

#endif
