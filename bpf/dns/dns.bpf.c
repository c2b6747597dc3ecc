// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* DNS queries and answers at a pod's interface, whole, never sampled.
 *
 * Runs as a TCX program of its own or by tail call from the flow program (the cheaper way: only DNS packets pay). It
 * changes nothing and always hands the packet on.
 */
#include "../vmlinux.h"
#include "../ring.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "../flow/wire.h"
#include "dns.h"

#define TCX_NEXT (-1)
#define DNS_HEADER 12

struct watched {
	__u16 port[DNS_PORTS]; /* 0 = unused */
};

/* key: 0, value: 8 bytes, written before the program is attached */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct watched);
} dns_ports SEC(".maps");

/* Records of 64 + 128, 512 or 1472 bytes; the agent sets the size: 256 KiB hold 1300 small ones */
struct {
	__uint(type, RINGBUF);
	__uint(max_entries, 2 << 20);
} dns_ring SEC(".maps");

/* key: enum dns_counter, value: 8 bytes per CPU */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DNS_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} dns_counters SEC(".maps");

static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&dns_counters, &which);
	if (value)
		*value += 1;
}

static __always_inline int is_dns(__u16 port)
{
	__u32 zero = 0;
	const struct watched *p = bpf_map_lookup_elem(&dns_ports, &zero);

	return p && port && (port == p->port[0] || port == p->port[1] || port == p->port[2] || port == p->port[3]);
}

struct packet {
	__u32 l4;		/* offset of the transport header */
	__u32 payload;		/* offset of the DNS message */
	__u32 length;		/* of the DNS message */
	__u32 is_ipv6;
	__u16 src_port;
	__u16 dst_port;
	__u8 protocol;
	__u8 _zero[3];
};

static __always_inline int is_transport(const struct packet *p)
{
	return p->protocol == PROTO_UDP || p->protocol == PROTO_TCP;
}

static __always_inline int find_behind_ipv4(struct __sk_buff *skb, struct packet *p)
{
	__u8 header[10] = {};

	if (bpf_skb_load_bytes(skb, ETH_HEADER, header, 10))
		return 0;
	p->protocol = header[9];
	p->l4 = ETH_HEADER + (header[0] & 0xf) * 4;
	if (!is_transport(p))
		return 0;
	if ((header[6] & 0x1f) || header[7]) {
		count(DNS_UNPARSED_HEADERS); /* a later fragment: it has no ports */
		return 0;
	}
	return 1;
}

static __always_inline int find_behind_ipv6(struct __sk_buff *skb, struct packet *p)
{
	__u8 header[4] = {};
	int i;

	if (bpf_skb_load_bytes(skb, ETH_HEADER + 6, &p->protocol, 1))
		return 0;
	p->is_ipv6 = 1;
	p->l4 = ETH_HEADER + 40;
	for (i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		__u8 kind = p->protocol;

		if (!is_extension(kind))
			return is_transport(p);
		if (bpf_skb_load_bytes(skb, p->l4, header, 4))
			return 0;
		p->protocol = header[0];
		if (kind == PROTO_FRAGMENT && ((header[2] << 8 | header[3]) & 0xfff8)) {
			if (is_transport(p))
				count(DNS_UNPARSED_HEADERS); /* a later fragment */
			return 0;
		}
		p->l4 += extension_bytes(kind, header[1]);
	}
	if (is_transport(p))
		return 1;
	count(DNS_UNPARSED_HEADERS);
	return 0;
}

/* Finds the transport header of UDP and TCP. 0 = not ours to look at. */
static __always_inline int find_transport(struct __sk_buff *skb, struct packet *p)
{
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4))
		return find_behind_ipv4(skb, p);
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV6))
		return find_behind_ipv6(skb, p);
	return 0;
}

/* Length and place of the one message in a TCP segment. 0 = no payload, or counted as unparsed. */
static __always_inline int find_tcp_message(struct __sk_buff *skb, struct packet *p)
{
	__u8 offset = 0;
	__be16 prefix = 0;
	__u32 start, l3_end;
	__be16 l3_length = 0;

	if (bpf_skb_load_bytes(skb, p->l4 + 12, &offset, 1))
		return 0;
	if (bpf_skb_load_bytes(skb, ETH_HEADER + (p->is_ipv6 ? 4 : 2), &l3_length, 2))
		return 0;
	l3_end = ETH_HEADER + bpf_ntohs(l3_length) + (p->is_ipv6 ? 40 : 0);
	start = p->l4 + (offset >> 4) * 4;
	if (start >= l3_end)
		return 0; /* no payload: handshake and acknowledgements */
	if (bpf_skb_load_bytes(skb, start, &prefix, 2) || start + 2 + bpf_ntohs(prefix) != l3_end) {
		count(DNS_UNPARSED_TCP);
		return 0;
	}
	p->payload = start + 2;
	p->length = bpf_ntohs(prefix);
	return p->length >= DNS_HEADER;
}

static __always_inline int find_message(struct __sk_buff *skb, struct packet *p)
{
	__be16 header[3] = {};

	if (bpf_skb_load_bytes(skb, p->l4, header, 6))
		return 0;
	p->src_port = bpf_ntohs(header[0]);
	p->dst_port = bpf_ntohs(header[1]);
	if (!is_dns(p->src_port) && !is_dns(p->dst_port))
		return 0;
	if (p->protocol == PROTO_TCP)
		return find_tcp_message(skb, p);
	p->payload = p->l4 + 8;
	p->length = bpf_ntohs(header[2]);
	p->length = p->length > 8 ? p->length - 8 : 0;
	return p->length >= DNS_HEADER;
}

static __always_inline void fill(struct __sk_buff *skb, const struct packet *p, struct dns_record *r, __u8 flags)
{
	__builtin_memset(r, 0, sizeof(*r));
	r->now_ns = bpf_ktime_get_ns();
	if (p->is_ipv6) {
		bpf_skb_load_bytes(skb, ETH_HEADER + 8, r->src, 16);
		bpf_skb_load_bytes(skb, ETH_HEADER + 24, r->dst, 16);
	} else {
		r->src[10] = r->src[11] = r->dst[10] = r->dst[11] = 0xff;
		bpf_skb_load_bytes(skb, ETH_HEADER + 12, r->src + 12, 4);
		bpf_skb_load_bytes(skb, ETH_HEADER + 16, r->dst + 12, 4);
	}
	r->ifindex = skb->ifindex;
	r->src_port = p->src_port;
	r->dst_port = p->dst_port;
	r->length = p->length;
	r->flags = flags | (is_dns(p->dst_port) ? DNS_TO_SERVER : 0) | (p->protocol == PROTO_TCP ? DNS_TCP : 0);
}

/* Sends one record of a fixed size, whose payload holds up to `room` bytes. */
#define SEND(room)                                                                                        \
	do {                                                                                              \
		struct dns_record *r = bpf_ringbuf_reserve(&dns_ring, sizeof(*r) + (room), 0);            \
		__u32 wanted = p.length;                                                                  \
		if (!r) {                                                                                 \
			count(DNS_LOST_RING);                                                             \
			return TCX_NEXT;                                                                  \
		}                                                                                         \
		fill(skb, &p, r, flags);                                                                  \
		if (p.payload + wanted > skb->len)                                                        \
			wanted = skb->len - p.payload; /* a first fragment */                             \
		if (wanted > (room))                                                                      \
			wanted = (room);                                                                  \
		if (wanted < DNS_HEADER || bpf_skb_load_bytes(skb, p.payload, r + 1, wanted))             \
			wanted = 0;                                                                       \
		r->captured = wanted;                                                                     \
		if (wanted < p.length)                                                                    \
			r->flags |= DNS_CUT;                                                              \
		bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);                                                  \
		count(DNS_MESSAGES);                                                                      \
		return TCX_NEXT;                                                                          \
	} while (0)

static __always_inline int look(struct __sk_buff *skb, __u8 flags)
{
	struct packet p = {};

	if (!find_transport(skb, &p) || !find_message(skb, &p))
		return TCX_NEXT;
	if (p.length <= 128)
		SEND(128);
	if (p.length <= 512)
		SEND(512);
	SEND(DNS_PAYLOAD_MAX);
}

/* tc ingress of the host's veth: packets leaving the pod */
SEC("tc")
int dns_from_pod(struct __sk_buff *skb)
{
	return look(skb, DNS_FROM_POD);
}

/* tc egress of the host's veth: packets to the pod */
SEC("tc")
int dns_to_pod(struct __sk_buff *skb)
{
	return look(skb, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
