/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Headers as they are on the wire (RFC 791, 8200, 9293, 768, 9260, 792, 4443), and the numbers in them. */
#ifndef EW_FLOW_WIRE_H
#define EW_FLOW_WIRE_H

#define ETH_HEADER 14
#define ICMP_HEADER 8
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

#define PROTO_HOP_BY_HOP 0
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_AUTHENTICATION 51
#define PROTO_ICMPV6 58
#define PROTO_DEST_OPTIONS 60
#define PROTO_SCTP 132

#define IPV6_EXTENSIONS_MAX 6 /* that are walked before a packet counts as one that cannot be read */

#define HEADERS_MAX 0x3fff /* bytes: six extensions of 2,048 and what is around them; the verifier wants a bound */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define SCTP_INIT 1
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6
#define SCTP_SHUTDOWN_COMPLETE 14

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

/* The beginning of an SCTP packet, its first chunk's header included, in halves as above. */
struct sctp_header {
	struct ports ports;
	__be16 verification_tag[2];
	__be16 checksum[2];
	__u8 chunk;
	__u8 flags;
	__be16 length;
};
_Static_assert(sizeof(struct sctp_header) == 16, "sctp_header");

/* What follows in an INIT: the initiate tag, another one for each association. */
struct sctp_init {
	__be16 tag[2];
};

struct icmp_header {
	__u8 type;
	__u8 code;
};

struct ipv6_extension {
	__u8 next_header;
	__u8 length; /* in 8 bytes, without the first 8; of authentication in 4, without the first 8; of a fragment reserved */
	__u8 fragment[2];
};

struct ipv6_fragment {
	__u8 next_header;
	__u8 reserved;
	__be16 offset; /* in 8 bytes, times 8; the lowest bit: more fragments */
	__be16 identification[2];
};

/* Headers between IPv6's own and the transport's, as Linux walks them (ipv6_skip_exthdr). ESP hides what follows, so it is a
 * protocol; so is authentication in IPv4. */
static __always_inline bool is_extension(__u8 next)
{
	return next == PROTO_HOP_BY_HOP || next == PROTO_ROUTING || next == PROTO_FRAGMENT || next == PROTO_AUTHENTICATION ||
	       next == PROTO_DEST_OPTIONS;
}

static __always_inline __u32 extension_bytes(__u8 kind, __u8 length)
{
	if (kind == PROTO_FRAGMENT)
		return 8;
	return kind == PROTO_AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8;
}

/* Who opens and when it ends is told by the packets themselves. */
static __always_inline bool has_handshake(__u8 protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_SCTP;
}

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_SCTP;
}

/* ICMPv6: RFC 4861 router and neighbour discovery, RFC 2710 and RFC 3810 multicast listener discovery */
static __always_inline bool is_neighbour(__u8 type)
{
	return (type >= 130 && type <= 137) || type == 143;
}

#endif
