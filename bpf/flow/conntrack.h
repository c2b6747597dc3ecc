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

extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym; /* of the same release as bpf_cast_to_kern_ctx */

struct in6_addr___loaded { /* struct in6_addr */
	union {
		__u8 u6_addr8[16];
		__be16 u6_addr16[8];
		__be32 u6_addr32[4];
	} in6_u;
} __attribute__((preserve_access_index));

/* Kernel memory that is read by loads: a bpf_probe_read_kernel is a call each. The verifier wants a type that the kernel proper
 * knows (conntrack may be a module): this one is as good as any, and an address is what is mostly read. */
#define LOADED(address)                                                                                                \
	((const struct in6_addr___loaded *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct in6_addr___loaded)))
#define LOADED_BYTE(address) (LOADED(address)->in6_u.u6_addr8[0])
#define LOADED_PORT(address) bpf_ntohs(LOADED(address)->in6_u.u6_addr16[0])

static __always_inline void read_address(__u8 *to, const void *from, bool ipv4)
{
	const struct in6_addr___loaded *address = LOADED(from);
	__u32 *words = (__u32 *)to;

	if (ipv4) {
		map_ipv4(to, address->in6_u.u6_addr32[0]);
		return;
	}
	words[0] = address->in6_u.u6_addr32[0];
	words[1] = address->in6_u.u6_addr32[1];
	words[2] = address->in6_u.u6_addr32[2];
	words[3] = address->in6_u.u6_addr32[3];
}

static __always_inline __u8 protocol_of(struct nf_conn *ct)
{
	return LOADED_BYTE(__builtin_preserve_access_index(&ct->tuplehash[0].tuple.dst.protonum));
}

static __always_inline void read_tuples(struct nf_conn *ct, struct tracked *t)
{
	struct nf_conntrack_tuple *original, *reply;
	bool ipv4;

	original = __builtin_preserve_access_index(&ct->tuplehash[0].tuple);
	reply = __builtin_preserve_access_index(&ct->tuplehash[1].tuple);
	ipv4 = LOADED(__builtin_preserve_access_index(&original->src.l3num))->in6_u.u6_addr16[0] == 2; /* AF_INET */
	read_address(t->initiator, __builtin_preserve_access_index(&original->src.u3), ipv4);
	read_address(t->asked, __builtin_preserve_access_index(&original->dst.u3), ipv4);
	read_address(t->answerer, __builtin_preserve_access_index(&reply->src.u3), ipv4);
	if (!has_ports(protocol_of(ct)))
		return; /* an ICMP tuple holds id, type and code there */
	t->initiator_port = LOADED_PORT(__builtin_preserve_access_index(&original->src.u.all));
	t->asked_port = LOADED_PORT(__builtin_preserve_access_index(&original->dst.u.all));
	t->answerer_port = LOADED_PORT(__builtin_preserve_access_index(&reply->src.u.all));
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

	if (!ct)
		return false;
	read_tuples(ct, t);
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
	struct bpf_sock_tuple tuple = {};
	const __u32 *from = (const __u32 *)key->pod_addr, *to = (const __u32 *)key->peer_addr;
	bool ipv4 = is_ipv4(key->pod_addr);
	struct nf_conn *ct;

	if (!can_find_conntrack(key->protocol))
		return false;
	if (ipv4) {
		tuple.ipv4.saddr = from[3];
		tuple.ipv4.daddr = to[3];
		tuple.ipv4.sport = bpf_htons(key->pod_port);
		tuple.ipv4.dport = bpf_htons(key->peer_port);
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	} else {
		copy_address((__u8 *)tuple.ipv6.saddr, from);
		copy_address((__u8 *)tuple.ipv6.daddr, to);
		tuple.ipv6.sport = bpf_htons(key->pod_port);
		tuple.ipv6.dport = bpf_htons(key->peer_port);
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	}
	if (!ct)
		return false;
	read_tuples(ct, t);
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
