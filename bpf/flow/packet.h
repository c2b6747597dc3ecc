/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From bytes to a flow key: bounds and parsing, nothing is counted here. */
#ifndef EW_FLOW_PACKET_H
#define EW_FLOW_PACKET_H

#define ETH_HEADER 14
#define ICMP_HEADER 8
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define IPV6_EXTENSIONS_MAX 6

#define PROTO_HOP_BY_HOP 0
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_ICMPV6 58
#define PROTO_DEST_OPTIONS 60
#define PROTO_SCTP 132

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct ipv4_header {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment; /* flags and offset */
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 src;
	__be32 dst;
};
_Static_assert(sizeof(struct ipv4_header) == 20, "ipv4_header");

struct ipv6_header {
	__be32 version_class_label;
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	__be32 src[4];
	__be32 dst[4];
};
_Static_assert(sizeof(struct ipv6_header) == 40, "ipv6_header");

/* The part of a TCP header that we read, in halves so that it may lie at any even address. */
struct tcp_header {
	__be16 src_port;
	__be16 dst_port;
	__be16 seq[2];
	__be16 ack[2];
	__u8 offset;
	__u8 flags;
};
_Static_assert(sizeof(struct tcp_header) == 14, "tcp_header");

struct ports {
	__be16 src;
	__be16 dst;
};

struct icmp_header {
	__u8 type;
	__u8 code;
};

struct ipv6_extension {
	__u8 next_header;
	__u8 length; /* in 8 bytes, without the first 8; in a fragment header reserved */
	__u8 fragment[2];
};

struct ipv6_fragment {
	__u8 next_header;
	__u8 reserved;
	__be16 offset; /* in 8 bytes, times 8; the lowest bit: more fragments */
	__be16 identification[2];
};

enum verdict {
	PARSED,
	PARSED_FRAGMENT,
	PARSED_TRUNCATED,
	PARSED_NEIGHBOUR,
};

/* One packet, as the rest of the program needs it. */
struct packet {
	struct ew_flow_key *key; /* of its own, so that the rest can live in registers */
	__u32 dir; /* EW_FROM_POD or EW_TO_POD */
	__u32 set; /* epoch & 1, read once */
	__u32 segments;
	__u64 bytes; /* L3 */
	__u64 now_ns;
	__u32 seq; /* TCP */
	__u32 tcp_flags;
	__u32 quote; /* offset of the packet that an ICMP error quotes; 0: this is none */
};

/* The set of this epoch. The barrier keeps the mask that the verifier wants to see. */
static __always_inline struct ew_set *this_set(struct ew_set *sets, __u32 set)
{
	asm volatile("" : "+r"(set));
	return &sets[set & 1];
}

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

static __always_inline enum verdict parse_icmp(struct packet *p, __u8 type, __u8 request, __u8 reply)
{
	bool by_pod = p->dir == EW_FROM_POD;

	if (type == request)
		p->key->variant = by_pod ? EW_VARIANT_ECHO_CLIENT : EW_VARIANT_ECHO_SERVER;
	else if (type == reply)
		p->key->variant = by_pod ? EW_VARIANT_ECHO_SERVER : EW_VARIANT_ECHO_CLIENT;
	else
		p->key->variant = EW_VARIANT_ICMP_OTHER;
	return PARSED;
}

/* RFC 792 and RFC 1191: unreachable, source quench, redirect, time exceeded, parameter problem. */
static __always_inline bool is_error(__u8 type)
{
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/* RFC 4443 section 2.1: unreachable, too big, time exceeded, parameter problem. */
static __always_inline bool is_error_v6(__u8 type)
{
	return type >= 1 && type <= 4;
}

static __always_inline enum verdict parse_icmpv6(struct packet *p, __u8 type)
{
	/* RFC 4861 router and neighbour discovery, RFC 2710 and RFC 3810 multicast listener discovery */
	if ((type >= 130 && type <= 137) || type == 143)
		return PARSED_NEIGHBOUR;
	return parse_icmp(p, type, 128, 129);
}

static __always_inline enum verdict parse_tcp(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	struct tcp_header tcp;

	if (READ(skb, offset, &tcp) < 0)
		return PARSED_TRUNCATED;
	p->seq = (__u32)bpf_ntohs(tcp.seq[0]) << 16 | bpf_ntohs(tcp.seq[1]);
	p->tcp_flags = tcp.flags;
	set_ports(p, tcp.src_port, tcp.dst_port);
	return PARSED;
}

static __always_inline enum verdict parse_l4(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	struct icmp_header icmp;
	struct ports ports;

	switch (p->key->protocol) {
	case PROTO_TCP:
		return parse_tcp(skb, p, offset);
	case PROTO_UDP:
	case PROTO_SCTP:
		if (READ(skb, offset, &ports) < 0)
			return PARSED_TRUNCATED;
		set_ports(p, ports.src, ports.dst);
		return PARSED;
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		if (READ(skb, offset, &icmp) < 0)
			return PARSED_TRUNCATED;
		if (p->key->protocol == PROTO_ICMP ? is_error(icmp.type) : is_error_v6(icmp.type))
			p->quote = offset + ICMP_HEADER;
		return p->key->protocol == PROTO_ICMP ? parse_icmp(p, icmp.type, 8, 0) : parse_icmpv6(p, icmp.type);
	}
	return PARSED;
}

#include "fragments.h"

static __always_inline enum verdict parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	enum verdict verdict;
	struct ipv4_header ip;
	__u32 length;

	if (READ(skb, ETH_HEADER, &ip) < 0)
		return PARSED_TRUNCATED;
	length = (ip.version_ihl & 0x0f) * 4;
	if (length < sizeof(ip))
		return PARSED_TRUNCATED;
	map_ipv4(p->key->pod_addr, p->dir == EW_FROM_POD ? ip.src : ip.dst);
	map_ipv4(p->key->peer_addr, p->dir == EW_FROM_POD ? ip.dst : ip.src);
	p->key->protocol = ip.protocol;
	if (ip.fragment & bpf_htons(0x1fff)) /* an offset */
		return recall_first(p, ip.id, ip.protocol) ? PARSED : PARSED_FRAGMENT;
	verdict = parse_l4(skb, p, ETH_HEADER + length);
	if (verdict == PARSED && (ip.fragment & bpf_htons(0x2000))) /* more fragments */
		remember_first(p, ip.id, ip.protocol);
	return verdict;
}

static __always_inline __u32 identification(const struct ipv6_fragment *fragment)
{
	return (__u32)fragment->identification[0] << 16 | fragment->identification[1];
}

static __always_inline enum verdict parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6_header ip;
	__u32 offset = ETH_HEADER + sizeof(ip);
	struct ipv6_extension extension;
	struct ipv6_fragment fragment = {};
	enum verdict verdict;
	__u8 next;
	int i;

	if (READ(skb, ETH_HEADER, &ip) < 0)
		return PARSED_TRUNCATED;
	copy_address(p->key->pod_addr, p->dir == EW_FROM_POD ? ip.src : ip.dst);
	copy_address(p->key->peer_addr, p->dir == EW_FROM_POD ? ip.dst : ip.src);
	next = ip.next_header;
	for (i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (next != PROTO_HOP_BY_HOP && next != PROTO_ROUTING && next != PROTO_DEST_OPTIONS &&
		    next != PROTO_FRAGMENT)
			break;
		if (READ(skb, offset, &extension) < 0)
			return PARSED_TRUNCATED;
		if (next == PROTO_FRAGMENT && READ(skb, offset, &fragment) < 0)
			return PARSED_TRUNCATED;
		if (next == PROTO_FRAGMENT && (fragment.offset & bpf_htons(0xfff8)))
			return recall_first(p, identification(&fragment), fragment.next_header) ? PARSED : PARSED_FRAGMENT;
		offset += next == PROTO_FRAGMENT ? 8 : (extension.length + 1) * 8;
		next = extension.next_header;
	}
	if (i == IPV6_EXTENSIONS_MAX)
		return PARSED_TRUNCATED;
	p->key->protocol = next;
	verdict = parse_l4(skb, p, offset);
	if (verdict == PARSED && (fragment.offset & bpf_htons(1))) /* else an atomic one: RFC 6946 */
		remember_first(p, identification(&fragment), fragment.next_header);
	return verdict;
}

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_SCTP;
}

/* The flow of the packet that an ICMP error quotes; false when it cannot be told. Who gets the error sent that packet. */
static __always_inline bool quoted_flow(struct __sk_buff *skb, const struct packet *p, struct ew_flow_key *key)
{
	bool by_pod = p->dir == EW_TO_POD;
	struct ipv4_header v4;
	struct ipv6_header v6;
	struct ports ports;
	__u32 length;

	key->ifindex = p->key->ifindex;
	if (p->key->protocol == PROTO_ICMP) {
		if (bpf_skb_load_bytes(skb, p->quote, &v4, sizeof(v4)) < 0)
			return false;
		map_ipv4(by_pod ? key->pod_addr : key->peer_addr, v4.src);
		map_ipv4(by_pod ? key->peer_addr : key->pod_addr, v4.dst);
		key->protocol = v4.protocol;
		length = (v4.version_ihl & 0x0f) * 4;
	} else {
		if (bpf_skb_load_bytes(skb, p->quote, &v6, sizeof(v6)) < 0)
			return false;
		copy_address(by_pod ? key->pod_addr : key->peer_addr, v6.src);
		copy_address(by_pod ? key->peer_addr : key->pod_addr, v6.dst);
		key->protocol = v6.next_header;
		length = sizeof(v6);
	}
	if (!has_ports(key->protocol) || bpf_skb_load_bytes(skb, p->quote + length, &ports, sizeof(ports)) < 0)
		return false;
	key->pod_port = bpf_ntohs(by_pod ? ports.src : ports.dst);
	key->peer_port = bpf_ntohs(by_pod ? ports.dst : ports.src);
	return true;
}

static __always_inline enum verdict parse(struct __sk_buff *skb, struct packet *p)
{
	return skb->protocol == bpf_htons(ETHERTYPE_IPV4) ? parse_ipv4(skb, p) : parse_ipv6(skb, p);
}

#endif
