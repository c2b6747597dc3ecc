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
#include "drop.h"

#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_SCTP 132
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

/* The same keys without addresses and ports, while `drops` is full */
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
	bpf_probe_read_kernel(to + 12, 4, from);
}

/* Ports, and who is the server where a TCP handshake packet says so. */
static __always_inline void parse_ports(struct drop_key *key, const unsigned char *l4)
{
	__be16 ports[2] = {};
	__u8 tcp_flags = 0;

	if (key->protocol != PROTO_TCP && key->protocol != PROTO_UDP && key->protocol != PROTO_SCTP)
		return;
	if (bpf_probe_read_kernel(ports, sizeof(ports), l4))
		return;
	key->src_port = bpf_ntohs(ports[0]);
	key->dst_port = bpf_ntohs(ports[1]);
	key->flags |= DROP_PORTS;
	if (key->protocol != PROTO_TCP || bpf_probe_read_kernel(&tcp_flags, 1, l4 + 13))
		return;
	if ((tcp_flags & 0x12) == 0x02) {
		key->src_port = 0;
		key->flags |= DROP_TO_SERVER;
	} else if ((tcp_flags & 0x12) == 0x12) {
		key->dst_port = 0;
		key->flags |= DROP_TO_CLIENT;
	}
}

/* L3 length; 0 when there is no IP header or it does not say (BIG TCP). Extension headers are not walked: their number stands as protocol. */
static __always_inline __u64 parse(struct drop_key *key, const struct sk_buff___drop *skb)
{
	const unsigned char *l3 = skb->head + skb->network_header;
	__u8 first = 0;
	__be16 length = 0;

	if (!skb->network_header || bpf_probe_read_kernel(&first, 1, l3))
		return 0;
	if (first >> 4 == 4) {
		__be16 fragment = 0;

		bpf_probe_read_kernel(&length, 2, l3 + 2);
		bpf_probe_read_kernel(&fragment, 2, l3 + 6);
		bpf_probe_read_kernel(&key->protocol, 1, l3 + 9);
		map_ipv4(key->src, l3 + 12);
		map_ipv4(key->dst, l3 + 16);
		key->flags |= DROP_PARSED;
		if (!(bpf_ntohs(fragment) & 0x1fff))
			parse_ports(key, l3 + (first & 0xf) * 4);
		return bpf_ntohs(length);
	}
	if (first >> 4 == 6) {
		bpf_probe_read_kernel(&length, 2, l3 + 4);
		bpf_probe_read_kernel(&key->protocol, 1, l3 + 6);
		bpf_probe_read_kernel(key->src, 16, l3 + 8);
		bpf_probe_read_kernel(key->dst, 16, l3 + 24);
		key->flags |= DROP_PARSED;
		parse_ports(key, l3 + 40);
		return length ? bpf_ntohs(length) + 40 : 0;
	}
	return 0;
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
	if (!account(&drops, &key, bytes))
		return 0;
	coarse.netns = key.netns;
	coarse.ifindex = key.ifindex;
	coarse.owner_netns = key.owner_netns;
	coarse.reason = reason;
	coarse.protocol = key.protocol;
	count(account(&drops_coarse, &coarse, bytes) ? DROP_LOST : DROP_COARSE);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
