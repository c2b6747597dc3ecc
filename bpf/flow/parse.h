/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From bytes to a flow key: bounds and parsing, nothing is counted here. */
#ifndef EW_FLOW_PARSE_H
#define EW_FLOW_PARSE_H

#include "fragments.h"
#include "packet.h"

static __always_inline enum parsed parse_icmp(struct packet *p, __u8 type, __u8 request, __u8 reply)
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

static __always_inline enum parsed parse_icmpv6(struct packet *p, __u8 type)
{
	if (is_neighbour(type))
		return PARSED_NEIGHBOUR;
	return parse_icmp(p, type, 128, 129);
}

static __always_inline enum parsed parse_tcp(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	struct tcp_header tcp;

	if (READ(skb, offset, &tcp) < 0)
		return PARSED_TRUNCATED;
	p->seq = (__u32)bpf_ntohs(tcp.seq[0]) << 16 | bpf_ntohs(tcp.seq[1]);
	p->flags = tcp.flags;
	set_ports(p, tcp.src_port, tcp.dst_port);
	return PARSED;
}

/* The first chunk tells: an INIT, its answer and a SHUTDOWN COMPLETE are alone in their packets (RFC 9260 section 3.3). One
 * that cannot be read might open, so the packet counts as truncated. */
static __always_inline enum parsed parse_sctp(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	struct sctp_header sctp;
	struct sctp_init init;

	if (READ(skb, offset, &sctp) < 0)
		return PARSED_TRUNCATED;
	set_ports(p, sctp.ports.src, sctp.ports.dst);
	if (sctp.chunk == SCTP_INIT) {
		if (READ(skb, offset + sizeof(sctp), &init) < 0)
			return PARSED_TRUNCATED;
		p->seq = (__u32)bpf_ntohs(init.tag[0]) << 16 | bpf_ntohs(init.tag[1]);
		p->flags = TCP_SYN;
	} else if (sctp.chunk == SCTP_INIT_ACK) {
		p->flags = TCP_SYN | TCP_ACK;
	} else if (sctp.chunk == SCTP_ABORT || sctp.chunk == SCTP_SHUTDOWN_COMPLETE) {
		p->flags = TCP_RST;
	}
	return PARSED;
}

static __always_inline enum parsed parse_l4(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	struct icmp_header icmp;
	struct ports ports;

	switch (p->key->protocol) {
	case PROTO_TCP:
		return parse_tcp(skb, p, offset);
	case PROTO_SCTP:
		return parse_sctp(skb, p, offset);
	case PROTO_UDP:
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

static __always_inline enum parsed parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	enum parsed parsed;
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
	parsed = parse_l4(skb, p, ETH_HEADER + length);
	if (parsed == PARSED && (ip.fragment & bpf_htons(0x2000))) /* more fragments */
		remember_first(p, ip.id, ip.protocol);
	return parsed;
}

static __always_inline __u32 identification(const struct ipv6_fragment *fragment)
{
	return (__u32)fragment->identification[0] << 16 | fragment->identification[1];
}

/* To the header behind the extension headers, or to a fragment's that is not the first. */
static __always_inline enum parsed skip_extensions(struct __sk_buff *skb, __u32 *offset, __u8 *next, struct ipv6_fragment *fragment)
{
	struct ipv6_extension extension;
	int i;

	for (i = 0; i < IPV6_EXTENSIONS_MAX && is_extension(*next); i++) {
		if (READ(skb, *offset, &extension) < 0)
			return PARSED_TRUNCATED;
		if (*next == PROTO_FRAGMENT && READ(skb, *offset, fragment) < 0)
			return PARSED_TRUNCATED;
		if (*next == PROTO_FRAGMENT && (fragment->offset & bpf_htons(0xfff8)))
			return PARSED_FRAGMENT;
		*offset += extension_bytes(*next, extension.length);
		*next = extension.next_header;
	}
	return is_extension(*next) ? PARSED_TRUNCATED : PARSED;
}

static __always_inline enum parsed parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6_header ip;
	__u32 offset = ETH_HEADER + sizeof(ip);
	struct ipv6_fragment fragment = {};
	enum parsed parsed;

	if (READ(skb, ETH_HEADER, &ip) < 0)
		return PARSED_TRUNCATED;
	copy_address(p->key->pod_addr, p->dir == EW_FROM_POD ? ip.src : ip.dst);
	copy_address(p->key->peer_addr, p->dir == EW_FROM_POD ? ip.dst : ip.src);
	parsed = skip_extensions(skb, &offset, &ip.next_header, &fragment);
	if (parsed == PARSED_FRAGMENT)
		return recall_first(p, identification(&fragment), PROTO_FRAGMENT) ? PARSED : PARSED_FRAGMENT;
	if (parsed != PARSED)
		return parsed;
	p->key->protocol = ip.next_header;
	parsed = parse_l4(skb, p, offset);
	if (parsed == PARSED && (fragment.offset & bpf_htons(1))) /* else an atomic one: RFC 6946 */
		remember_first(p, identification(&fragment), PROTO_FRAGMENT);
	return parsed;
}

/* What `parse_slowly` finds beside the key. */
struct parsed_rest {
	__u32 seq;
	__u32 flags;
	__u32 quote;
};

/* Any packet. Not static, so that the verifier walks its many ways once, and what follows once for all of them. */
__noinline int parse_slowly(struct __sk_buff *skb, struct ew_flow_key *key, struct parsed_rest *rest, __u32 dir)
{
	struct packet p = {.key = key, .dir = dir};
	enum parsed parsed;

	if (!skb || !key || !rest)
		return PARSED_TRUNCATED;
	parsed = skb->protocol == bpf_htons(ETHERTYPE_IPV4) ? parse_ipv4(skb, &p) : parse_ipv6(skb, &p);
	rest->seq = p.seq;
	rest->flags = p.flags;
	rest->quote = p.quote;
	return parsed;
}

#ifdef QUICK
static __always_inline bool quick_l4(struct packet *p, __u8 protocol, const struct tcp_header *tcp)
{
	if (protocol == PROTO_TCP) {
		p->seq = (__u32)bpf_ntohs(tcp->seq[0]) << 16 | bpf_ntohs(tcp->seq[1]);
		p->flags = tcp->flags;
	} else if (protocol != PROTO_UDP) {
		return false;
	}
	p->key->protocol = protocol;
	set_ports(p, tcp->src_port, tcp->dst_port); /* where UDP has them, too */
	return true;
}

static __always_inline bool quick_ipv4(struct packet *p, const struct ipv4_header *ip, const void *end)
{
	const struct tcp_header *tcp = (const void *)(ip + 1);

	if ((const void *)(tcp + 1) > end || ip->version_ihl != 0x45 || (ip->fragment & bpf_htons(0x3fff)))
		return false;
	if (!quick_l4(p, ip->protocol, tcp))
		return false;
	map_ipv4(p->key->pod_addr, p->dir == EW_FROM_POD ? ip->src : ip->dst);
	map_ipv4(p->key->peer_addr, p->dir == EW_FROM_POD ? ip->dst : ip->src);
	return true;
}

static __always_inline bool quick_ipv6(struct packet *p, const struct ipv6_header *ip, const void *end)
{
	const struct tcp_header *tcp = (const void *)(ip + 1);

	if ((const void *)(tcp + 1) > end || !quick_l4(p, ip->next_header, tcp))
		return false;
	copy_address(p->key->pod_addr, p->dir == EW_FROM_POD ? ip->src : ip->dst);
	copy_address(p->key->peer_addr, p->dir == EW_FROM_POD ? ip->dst : ip->src);
	return true;
}

/* Nearly every packet: TCP or UDP right behind the IP header, whole, and in the linear part. False: it is not one of these. */
static __always_inline bool parse_quickly(struct __sk_buff *skb, struct packet *p)
{
	const void *l3 = (void *)(long)skb->data + ETH_HEADER, *end = (void *)(long)skb->data_end;

	return skb->protocol == bpf_htons(ETHERTYPE_IPV4) ? quick_ipv4(p, l3, end) : quick_ipv6(p, l3, end);
}
#endif

static __always_inline enum parsed parse(struct __sk_buff *skb, struct packet *p)
{
	struct parsed_rest rest = {};
	enum parsed parsed;

#ifdef QUICK
	if (parse_quickly(skb, p))
		return PARSED;
#endif
	parsed = parse_slowly(skb, p->key, &rest, p->dir);
	p->seq = rest.seq;
	p->flags = rest.flags;
	p->quote = rest.quote;
	return parsed;
}

#endif
