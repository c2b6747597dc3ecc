/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The packet that an ICMP error quotes. */
#ifndef EW_FLOW_QUOTE_H
#define EW_FLOW_QUOTE_H

#include "parse.h"

/* Its key but for the interface; 0 when it cannot be told. `protocol`: of the error, at `quote` is what it quotes. Not static:
 * see parse_slowly. */
__noinline int read_quote(struct __sk_buff *skb, struct ew_flow_key *key, __u32 quote, __u32 protocol, __u32 dir)
{
	bool by_pod = dir == EW_TO_POD; /* who gets the error sent that packet */
	struct ipv4_header v4;
	struct ipv6_header v6;
	struct ports ports;
	struct ipv6_fragment fragment;
	__u32 offset = quote;

	if (!skb || !key || quote > HEADERS_MAX)
		return 0;
	if (protocol == PROTO_ICMP) {
		if (bpf_skb_load_bytes(skb, quote, &v4, sizeof(v4)) < 0)
			return 0;
		map_ipv4(by_pod ? key->pod_addr : key->peer_addr, v4.src);
		map_ipv4(by_pod ? key->peer_addr : key->pod_addr, v4.dst);
		key->protocol = v4.protocol;
		offset += (v4.version_ihl & 0x0f) * 4;
		if (v4.fragment & bpf_htons(0x1fff))
			return 0; /* a later fragment: no ports */
	} else {
		if (bpf_skb_load_bytes(skb, quote, &v6, sizeof(v6)) < 0)
			return 0;
		copy_address(by_pod ? key->pod_addr : key->peer_addr, v6.src);
		copy_address(by_pod ? key->peer_addr : key->pod_addr, v6.dst);
		offset += sizeof(v6);
		if (skip_extensions(skb, &offset, &v6.next_header, &fragment) != PARSED)
			return 0;
		key->protocol = v6.next_header;
	}
	if (!has_ports(key->protocol) || bpf_skb_load_bytes(skb, offset, &ports, sizeof(ports)) < 0)
		return 0;
	key->pod_port = bpf_ntohs(by_pod ? ports.src : ports.dst);
	key->peer_port = bpf_ntohs(by_pod ? ports.dst : ports.src);
	return 1;
}

/* Its flow; false when it cannot be told. */
static __always_inline bool quoted_flow(struct __sk_buff *skb, const struct packet *p, struct ew_flow_key *key)
{
	key->ifindex = p->key->ifindex;
	return read_quote(skb, key, p->quote, p->key->protocol, p->dir);
}

#endif
