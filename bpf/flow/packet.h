/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* One packet as the rest of the program needs it, how bytes of it are read, and how addresses are kept. */
#ifndef EW_FLOW_PACKET_H
#define EW_FLOW_PACKET_H

#include "flow.h"
#include "wire.h"

/* How far its headers could be read. */
enum parsed {
	PARSED,
	PARSED_FRAGMENT, /* a later one, whose first was not seen */
	PARSED_TRUNCATED,
	PARSED_NEIGHBOUR, /* neighbour discovery, no traffic of the pod's */
};

struct packet {
	struct ew_flow_key *key; /* of its own, so that the rest can live in registers */
	struct ew_interface *interface; /* its books */
	__u32 dir; /* EW_FROM_POD or EW_TO_POD */
	__u32 set; /* epoch & 1, read once */
	__u32 segments;
	__u64 bytes; /* L3 */
	__u64 now_ns;
	__u32 seq;   /* TCP's sequence number; of an SCTP INIT its initiate tag */
	__u32 flags; /* TCP's; of SCTP's first chunk those that mean the same */
	__u32 quote; /* offset of the packet that an ICMP error quotes; 0: this is none */
#ifdef EW_HOST
	struct ew_flow *scratch;
#endif
};

static __always_inline void map_ipv4(__u8 *to, __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

static __always_inline void copy_address(__u8 *to, const void *from)
{
	__builtin_memcpy(to, from, 16);
}

static __always_inline bool same_address(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

#ifndef READ /* others read elsewhere than in a __sk_buff */
#define QUICK /* its linear part can be read directly */
/* Copy a TYPE from the packet: straight from the linear part, where headers nearly always are, else by the helper, which
 * reaches everywhere. 0, or negative when the packet ends before. */
#define READ(skb, offset, to)                                                                          \
	({                                                                                             \
		typeof(to) _to = (to), _at = (void *)(long)(skb)->data + (offset);                     \
		long _error = 0;                                                                       \
		if ((void *)(_at + 1) <= (void *)(long)(skb)->data_end)                                \
			*_to = *_at;                                                                   \
		else                                                                                   \
			_error = bpf_skb_load_bytes(skb, offset, _to, sizeof(*_to));                   \
		_error;                                                                                \
	})
#endif

static __always_inline void set_ports(struct packet *p, __be16 src, __be16 dst)
{
	p->key->pod_port = bpf_ntohs(p->dir == EW_FROM_POD ? src : dst);
	p->key->peer_port = bpf_ntohs(p->dir == EW_FROM_POD ? dst : src);
}

#endif
