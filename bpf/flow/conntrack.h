/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel's own connection tracking, read where it is known: in tc egress, towards the pod. It tells who opened the
 * connection and both addresses of a destination NAT. Compiled out (no EW_CONNTRACK) for kernels that refuse the kfunc.
 */
#ifndef EW_FLOW_CONNTRACK_H
#define EW_FLOW_CONNTRACK_H

#include "packet.h"

#define NFCT_INFO 7UL
#define NFCT_POINTER (~NFCT_INFO)
#define IP_CT_ESTABLISHED 0 /* enum ip_conntrack_info; 3 more: the same in the direction of replies */
#define IP_CT_RELATED 1
#define IP_CT_NEW 2
#define IP_CT_IS_REPLY 3
#define IP_CT_UNTRACKED 7

/* Both tuples of a connection: who opened it, what it asked for, who answers, and whom the answerer sees. */
struct tracked {
	__u8 initiator[16];
	__u8 asked[16];
	__u8 answerer[16];
	__u16 initiator_port;
	__u16 asked_port;
	__u16 answerer_port;
};

#if defined(EW_CONNTRACK) || defined(EW_NETFILTER)

#define TUPLE_BYTES 48 /* struct nf_conntrack_tuple has 40 */

/* A tuple as this kernel lays it out: copied at once, because each read is a call. */
struct raw_tuple {
	__u64 words[TUPLE_BYTES / 8];
};

static __always_inline struct nf_conntrack_tuple *read_tuple(struct raw_tuple *to, const void *from)
{
	__u32 size = bpf_core_type_size(struct nf_conntrack_tuple);

	bpf_probe_read_kernel(to, size < TUPLE_BYTES ? size : TUPLE_BYTES, from);
	return (void *)to;
}

static __always_inline void take_address(__u8 *to, const void *from, __u16 family)
{
	if (family == 2 /* AF_INET */)
		map_ipv4(to, *(const __u32 *)from);
	else
		copy_address(to, from);
}

/* `raw` is space of the caller's, who may have little. */
static __always_inline void read_tuples(struct nf_conn *ct, struct tracked *t, struct raw_tuple *raw)
{
	struct nf_conntrack_tuple *tuple = read_tuple(raw, __builtin_preserve_access_index(&ct->tuplehash[0].tuple));
	__u16 family = tuple->src.l3num;
	bool ports = has_ports(tuple->dst.protonum); /* an ICMP tuple holds id, type and code there */

	take_address(t->initiator, &tuple->src.u3, family);
	take_address(t->asked, &tuple->dst.u3, family);
	if (ports) {
		t->initiator_port = bpf_ntohs(tuple->src.u.all);
		t->asked_port = bpf_ntohs(tuple->dst.u.all);
	}
	tuple = read_tuple(raw, __builtin_preserve_access_index(&ct->tuplehash[1].tuple));
	take_address(t->answerer, &tuple->src.u3, family);
	if (ports)
		t->answerer_port = bpf_ntohs(tuple->src.u.all);
}

#endif

#ifdef EW_CONNTRACK
/* The packet's word about its connection: a pointer, and in its lowest bits how it stands to it. */
#ifdef EW_HOST
static __always_inline unsigned long nfct_word(struct __sk_buff *skb)
{
	struct sk_buff___host *kernel_skb = skb->kernel;
	unsigned long word = 0;

	bpf_core_read(&word, sizeof(word), &kernel_skb->_nfct);
	return word;
}
#else
extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;

static __always_inline unsigned long nfct_word(struct __sk_buff *skb)
{
	struct sk_buff *kernel_skb = bpf_cast_to_kern_ctx(skb);

	return kernel_skb->_nfct;
}
#endif

static __always_inline bool read_conntrack(struct __sk_buff *skb, struct tracked *t)
{
	struct nf_conn *ct = (void *)(nfct_word(skb) & NFCT_POINTER);
#ifdef EW_HOST /* whose stack is full */
	struct raw_tuple *raw = (void *)skb->space;
#else
	struct raw_tuple space, *raw = &space;
#endif

	if (!ct)
		return false;
	read_tuples(ct, t, raw);
	return true;
}

/* Whether this packet is, to conntrack, the first of a connection. */
static __always_inline bool is_new(struct __sk_buff *skb)
{
	return (nfct_word(skb) & NFCT_INFO) == IP_CT_NEW;
}
#else
static __always_inline bool is_new(struct __sk_buff *skb)
{
	return false;
}

static __always_inline bool read_conntrack(struct __sk_buff *skb, struct tracked *t)
{
	return false;
}
#endif

#ifdef EW_LOOKUP
struct bpf_ct_opts___12 { /* as of its first version, which later kernels accept by its size */
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts___12 *opts, __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;

/* The kernel looks up no other protocols. */
static __always_inline bool can_find_conntrack(__u8 protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP;
}

static __always_inline bool is_ipv4(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

/* As read_conntrack, where the packet has not met conntrack yet: a packet that the pod sends. */
static __noinline bool find_conntrack(struct __sk_buff *skb, const struct ew_flow_key *key, struct tracked *t)
{
	struct bpf_ct_opts___12 opts = {.netns_id = -1, .l4proto = key->protocol};
	union {
		struct bpf_sock_tuple wanted;
		struct raw_tuple raw; /* afterwards */
	} tuple = {};
	const __u32 *from = (const __u32 *)key->pod_addr, *to = (const __u32 *)key->peer_addr;
	bool ipv4 = is_ipv4(key->pod_addr);
	struct nf_conn *ct;

	if (!can_find_conntrack(key->protocol))
		return false;
	if (ipv4) {
		tuple.wanted.ipv4.saddr = from[3];
		tuple.wanted.ipv4.daddr = to[3];
		tuple.wanted.ipv4.sport = bpf_htons(key->pod_port);
		tuple.wanted.ipv4.dport = bpf_htons(key->peer_port);
		ct = bpf_skb_ct_lookup(skb, &tuple.wanted, sizeof(tuple.wanted.ipv4), &opts, sizeof(opts));
	} else {
		copy_address((__u8 *)tuple.wanted.ipv6.saddr, from);
		copy_address((__u8 *)tuple.wanted.ipv6.daddr, to);
		tuple.wanted.ipv6.sport = bpf_htons(key->pod_port);
		tuple.wanted.ipv6.dport = bpf_htons(key->peer_port);
		ct = bpf_skb_ct_lookup(skb, &tuple.wanted, sizeof(tuple.wanted.ipv6), &opts, sizeof(opts));
	}
	if (!ct)
		return false;
	read_tuples(ct, t, &tuple.raw);
	bpf_ct_release(ct);
	return true;
}
#else
static __always_inline bool can_find_conntrack(__u8 protocol)
{
	return false;
}

static __always_inline bool find_conntrack(struct __sk_buff *skb, const struct ew_flow_key *key, struct tracked *t)
{
	return false;
}
#endif

/* Which end of the tracked connection the pod is, or unknown when it is neither (a related ICMP error). */
static __always_inline enum ew_role tracked_role(const struct ew_flow_key *key, const struct tracked *t)
{
	bool ports = has_ports(key->protocol);

	if (same_address(t->initiator, key->pod_addr) && (!ports || t->initiator_port == key->pod_port))
		return EW_ROLE_CLIENT;
	if (same_address(t->answerer, key->pod_addr) && (!ports || t->answerer_port == key->pod_port))
		return EW_ROLE_SERVER;
	return EW_ROLE_UNKNOWN;
}

static __always_inline bool translated(const struct tracked *t)
{
	return t->asked_port != t->answerer_port || !same_address(t->asked, t->answerer);
}

#endif
