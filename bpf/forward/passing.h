/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a packet at a netfilter hook to the ends of its connection: conntrack's, else its own. Nothing is decided here. */
#ifndef EW_FORWARD_PASSING_H
#define EW_FORWARD_PASSING_H

#define NFPROTO_IPV4 2

struct passing {
	struct tracked t; /* not tracked: initiator and answerer are the packet's source and destination */
	__u32 in;
	__u32 out;
	__u8 protocol;
	__u8 variant; /* enum ew_variant, as the pod's hook sees it */
	__u8 info;    /* enum ip_conntrack_info */
	bool tracked;
};

/* Whether the packet's connection is in a zone of its own. */
static __always_inline bool zoned(struct bpf_nf_ctx *ctx)
{
	struct nf_conn *ct = (void *)((unsigned long)ctx->skb->_nfct & NFCT_POINTER);

	return ct && bpf_core_field_exists(ct->zone) &&
	       LOADED(__builtin_preserve_access_index(&ct->zone.id))->in6_u.u6_addr16[0];
}

/* Whether this is a later packet of a connection whose first one was seen here, which its pod's hook looks after. What that
 * hook cannot look up in conntrack is looked at here every time. */
static __always_inline bool known_connection(struct bpf_nf_ctx *ctx, bool every_packet)
{
	unsigned long nfct = ctx->skb->_nfct, info = nfct & NFCT_INFO;
	__u8 protocol;

	if (every_packet || !(nfct & NFCT_POINTER) || (info != IP_CT_ESTABLISHED && info != IP_CT_IS_REPLY))
		return false;
	protocol = protocol_of((void *)(nfct & NFCT_POINTER));
	return protocol == PROTO_TCP || protocol == PROTO_UDP;
}

static __always_inline void read_links(struct bpf_nf_ctx *ctx, struct passing *p)
{
	struct net_device *in = ctx->state->in, *out = ctx->state->out;

	p->in = in ? in->ifindex : 0;
	p->out = out ? out->ifindex : 0;
}

static __always_inline bool is_icmp(__u8 protocol)
{
	return protocol == PROTO_ICMP || protocol == PROTO_ICMPV6;
}

/* Conntrack follows echoes, and of ICMP little else. */
static __always_inline __u8 tracked_variant(struct nf_conn *ct, __u8 protocol)
{
	__u8 type;

	if (!is_icmp(protocol))
		return EW_VARIANT_NONE;
	type = LOADED_BYTE(__builtin_preserve_access_index(&ct->tuplehash[0].tuple.dst.u.all)); /* then the code */
	return type == (protocol == PROTO_ICMP ? 8 : 128) ? EW_VARIANT_ECHO_CLIENT : EW_VARIANT_ICMP_OTHER;
}

/* False for an ICMP error about a connection: it is that connection's, and the pods' hooks treat it so. */
static __always_inline bool read_tracked(struct nf_conn *ct, struct passing *p)
{
	bool related = p->info == IP_CT_RELATED || p->info == IP_CT_RELATED + IP_CT_IS_REPLY;

	p->tracked = true;
	p->protocol = protocol_of(ct);
	p->variant = tracked_variant(ct, p->protocol);
	read_tuples(ct, &p->t);
	if (is_icmp(p->protocol))
		p->t.initiator_port = p->t.asked_port = p->t.answerer_port = 0;
	return !related;
}

static __always_inline void use_packet(struct passing *p, __be16 from, __be16 to)
{
	copy_address(p->t.answerer, p->t.asked);
	p->t.initiator_port = bpf_ntohs(from);
	p->t.asked_port = p->t.answerer_port = bpf_ntohs(to);
}

/* The rest of a packet without conntrack, behind its IP header. False for neighbour discovery and the like, which bridges show
 * here where br_netfilter is on, as Kubernetes wants it. */
static __always_inline bool read_l4(const unsigned char *at, struct passing *p)
{
	struct ports ports = {};

	if (has_ports(p->protocol) && bpf_probe_read_kernel(&ports, sizeof(ports), at))
		return false;
	if (is_icmp(p->protocol)) {
		if (bpf_probe_read_kernel(&ports, 2, at))
			return false;
		if (p->protocol == PROTO_ICMPV6 && is_neighbour(ports.src & 0xff))
			return false;
		p->variant = (ports.src & 0xff) == (p->protocol == PROTO_ICMP ? 8 : 128) ? EW_VARIANT_ECHO_CLIENT
											  : EW_VARIANT_ICMP_OTHER;
		ports.src = 0;
	}
	use_packet(p, ports.src, ports.dst);
	return true;
}

/* False for later fragments: without a first one, whose verdict they share, nobody puts them together. */
static __always_inline bool read_ipv4(const unsigned char *at, struct passing *p)
{
	struct ipv4_header ip;

	if (bpf_probe_read_kernel(&ip, sizeof(ip), at) || (ip.fragment & bpf_htons(0x1fff)))
		return false;
	map_ipv4(p->t.initiator, ip.src);
	map_ipv4(p->t.asked, ip.dst);
	p->protocol = ip.protocol;
	return read_l4(at + (ip.version_ihl & 0x0f) * 4, p);
}

static __always_inline bool read_ipv6(const unsigned char *at, struct passing *p)
{
	struct ipv6_fragment extension;
	struct ipv6_header ip;
	int i;

	if (bpf_probe_read_kernel(&ip, sizeof(ip), at))
		return false;
	copy_address(p->t.initiator, ip.src);
	copy_address(p->t.asked, ip.dst);
	p->protocol = ip.next_header;
	at += sizeof(ip);
	for (i = 0; i < IPV6_EXTENSIONS_MAX && is_extension(p->protocol); i++) {
		if (bpf_probe_read_kernel(&extension, sizeof(extension), at))
			return false;
		if (p->protocol == PROTO_FRAGMENT && (extension.offset & bpf_htons(0xfff8)))
			return false;
		at += extension_bytes(p->protocol, extension.reserved);
		p->protocol = extension.next_header;
	}
	return read_l4(at, p);
}

/* False where there is nothing to decide here. */
static __always_inline bool read_passing(struct bpf_nf_ctx *ctx, struct passing *p)
{
	unsigned long nfct = ctx->skb->_nfct;
	struct sk_buff___header *header = (void *)ctx->skb;
	const unsigned char *at;

	read_links(ctx, p);
	p->info = nfct & NFCT_INFO;
	if (nfct & NFCT_POINTER)
		return read_tracked((void *)(nfct & NFCT_POINTER), p);
	at = BPF_CORE_READ(header, head) + BPF_CORE_READ(header, network_header);
	return ctx->state->pf == NFPROTO_IPV4 ? read_ipv4(at, p) : read_ipv6(at, p);
}

#endif
