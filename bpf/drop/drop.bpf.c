// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets the kernel dropped in this node's namespaces, by its own reason. Counts only: no event per packet.
 *
 * The tracepoint fires for the whole machine, so the namespace decides first. Its third argument exists since
 * commit c504e5c2f964 ("net: skb: introduce kfree_skb_reason()", 5.17); user space looks at the argument list in BTF
 * before it loads this object. The fourth argument (6.15) is not read.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "../flow/wire.h"
#include "drop.h"

#define REASON_CONSUMED 1 /* SKB_CONSUMED: not a drop */

/* key: inode of a namespace of this node, 4 bytes; value: 4 bytes, not used */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} drop_namespaces SEC(".maps");

/* 56 + 24 bytes, 8192 of them: about 1.1 MB */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct drop_key);
	__type(value, struct drop_value);
} drops SEC(".maps");

/* The same keys without addresses and ports: while `drops` is full, and what a socket had accepted */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct drop_key);
	__type(value, struct drop_value);
} drops_coarse SEC(".maps");

/* key: enum drop_counter, value: 8 bytes per CPU */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} drop_counters SEC(".maps");

/* [0]: the agent that counts: a successor attaches beside its predecessor, and takes charge with one store. 4 B, 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} drop_owner SEC(".maps");

const volatile __u32 owner SEC(".rodata.owner") = 0;

/* The reason of packets that a socket had accepted and freed unread with itself (QUEUE_PURGE), as this kernel numbers it; 0:
 * it has none. No loss on any edge, but the FIN of each connection that this end closes first: ports are not looked at. */
const volatile __u32 accepted SEC(".rodata.accepted") = 0;

static __always_inline int in_charge(void)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&drop_owner, &zero);

	return value && *(volatile __u32 *)value == owner;
}

static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&drop_counters, &which);
	if (value)
		*value += 1;
}

static __always_inline void map_ipv4(__u8 *to, const void *from)
{
	to[10] = 0xff;
	to[11] = 0xff;
	__builtin_memcpy(to + 12, from, 4);
}

/* The TCP flags of a handshake, or what means the same in SCTP; 0 when it is none. */
static __always_inline __u8 handshake(__u8 protocol, const unsigned char *l4)
{
	__u8 byte = 0;

	if (!has_handshake(protocol) || bpf_probe_read_kernel(&byte, 1, l4 + (protocol == PROTO_TCP ? 13 : 12)))
		return 0;
	if (protocol == PROTO_TCP)
		return byte & (TCP_SYN | TCP_ACK);
	if (byte == SCTP_INIT)
		return TCP_SYN;
	return byte == SCTP_INIT_ACK ? TCP_SYN | TCP_ACK : 0;
}

/* Ports, and who is the server where a handshake says so. */
static __always_inline void parse_ports(struct drop_key *key, const unsigned char *l4)
{
	struct ports ports = {};
	__u8 flags;

	if (key->reason == accepted || !has_ports(key->protocol) || bpf_probe_read_kernel(&ports, sizeof(ports), l4))
		return;
	key->src_port = bpf_ntohs(ports.src);
	key->dst_port = bpf_ntohs(ports.dst);
	key->flags |= DROP_PORTS;
	flags = handshake(key->protocol, l4);
	if (flags == TCP_SYN) {
		key->src_port = 0;
		key->flags |= DROP_TO_SERVER;
	} else if (flags == (TCP_SYN | TCP_ACK)) {
		key->dst_port = 0;
		key->flags |= DROP_TO_CLIENT;
	}
}

static __always_inline __u64 parse_ipv4(struct drop_key *key, const struct ipv4_header *ip, const unsigned char *l3)
{
	key->protocol = ip->protocol;
	map_ipv4(key->src, &ip->src);
	map_ipv4(key->dst, &ip->dst);
	key->flags |= DROP_PARSED;
	if (!(ip->fragment & bpf_htons(0x1fff)))
		parse_ports(key, l3 + (ip->version_ihl & 0xf) * 4);
	return bpf_ntohs(ip->total_length);
}

/* A chain of too many extension headers leaves the number of the next one as protocol; a later fragment has no ports. */
static __always_inline __u64 parse_ipv6(struct drop_key *key, const unsigned char *l3)
{
	const unsigned char *at = l3 + sizeof(struct ipv6_header);
	struct ipv6_fragment extension; /* the longest part of any that is read */
	struct ipv6_header ip;
	bool later = false;
	int i;

	if (bpf_probe_read_kernel(&ip, sizeof(ip), l3))
		return 0;
	key->protocol = ip.next_header;
	__builtin_memcpy(key->src, ip.src, 16);
	__builtin_memcpy(key->dst, ip.dst, 16);
	key->flags |= DROP_PARSED;
	for (i = 0; i < IPV6_EXTENSIONS_MAX && is_extension(key->protocol) && !later; i++) {
		if (bpf_probe_read_kernel(&extension, sizeof(extension), at))
			break;
		later = key->protocol == PROTO_FRAGMENT && (extension.offset & bpf_htons(0xfff8));
		at += extension_bytes(key->protocol, extension.reserved);
		key->protocol = extension.next_header;
	}
	if (!later)
		parse_ports(key, at);
	return ip.payload_length ? bpf_ntohs(ip.payload_length) + sizeof(ip) : 0;
}

/* L3 length; 0 when there is no IP header or it does not say (BIG TCP). */
static __always_inline __u64 parse(struct drop_key *key, const struct sk_buff___drop *skb)
{
	const unsigned char *l3 = skb->head + skb->network_header;
	struct ipv4_header ip;

	if (!skb->network_header || bpf_probe_read_kernel(&ip, sizeof(ip), l3))
		return 0;
	if (ip.version_ihl >> 4 == 4)
		return parse_ipv4(key, &ip, l3);
	return ip.version_ihl >> 4 == 6 ? parse_ipv6(key, l3) : 0;
}

static __always_inline void add(struct drop_value *value, __u64 bytes)
{
	__sync_fetch_and_add(&value->packets, 1);
	__sync_fetch_and_add(&value->bytes, bytes);
}

/* 0 when counted. */
static __always_inline int account(void *map, struct drop_key *key, __u64 bytes)
{
	struct drop_value zero = {};
	struct drop_value *value = bpf_map_lookup_elem(map, key);

	if (!value) {
		zero.born_ns = bpf_ktime_get_ns();
		bpf_map_update_elem(map, key, &zero, BPF_NOEXIST);
		value = bpf_map_lookup_elem(map, key);
	}
	if (!value)
		return -1;
	add(value, bytes);
	return 0;
}

static __always_inline int ours(__u32 netns)
{
	return netns && bpf_map_lookup_elem(&drop_namespaces, &netns);
}

/* skb->dev shares its place with other uses of the packet: what it leads to is believed only if it is ours. */
static __always_inline int place(struct drop_key *key, const struct sk_buff___drop *skb)
{
	const struct net_device *dev = skb->dev;
	const struct sock *sk = skb->sk;
	__u32 netns = 0, ifindex = 0, owner = 0;

	if (dev) {
		netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		ifindex = BPF_CORE_READ(dev, ifindex);
	}
	if (sk)
		owner = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (ours(owner))
		key->owner_netns = owner;
	if (ours(netns)) {
		key->netns = netns;
		key->ifindex = ifindex;
	} else if (key->owner_netns) {
		key->netns = key->owner_netns;
	} else {
		return 0;
	}
	return 1;
}

SEC("tp_btf/kfree_skb")
int drop_kfree_skb(__u64 *ctx)
{
	const struct sk_buff___drop *skb = (const struct sk_buff___drop *)ctx[0];
	__u32 reason = (__u32)ctx[2];
	struct drop_key key = {};
	struct drop_key coarse = {};
	__u64 bytes;

	if (reason <= REASON_CONSUMED || !in_charge() || !place(&key, skb))
		return 0;
	key.reason = reason;
	bytes = parse(&key, skb);
	if (!bytes)
		bytes = skb->len;
	count(DROP_SEEN);
	if (reason != accepted && !account(&drops, &key, bytes))
		return 0;
	coarse.netns = key.netns;
	coarse.ifindex = key.ifindex;
	coarse.owner_netns = key.owner_netns;
	coarse.reason = reason;
	coarse.protocol = key.protocol;
	if (account(&drops_coarse, &coarse, bytes))
		count(DROP_LOST);
	else if (reason != accepted)
		count(DROP_COARSE);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
