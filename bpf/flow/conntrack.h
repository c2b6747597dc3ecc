/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel's own connection tracking, read where it is known: in tc egress, towards the pod. It tells who opened the
 * connection and both addresses of a destination NAT. Compiled out (no EW_CONNTRACK) for kernels that refuse the kfunc.
 */
#ifndef EW_FLOW_CONNTRACK_H
#define EW_FLOW_CONNTRACK_H

/* Both tuples of a connection: who opened it, what it asked for, who answers, and whom the answerer sees. */
struct tracked {
	__u8 initiator[16];
	__u8 asked[16];
	__u8 answerer[16];
	__u16 initiator_port;
	__u16 asked_port;
	__u16 answerer_port;
};

#ifdef EW_CONNTRACK
extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;

static __always_inline void read_address(__u8 *to, const void *from, __u16 family)
{
	__u32 words[4] = {};

	bpf_probe_read_kernel(words, sizeof(words), from);
	if (family == 2 /* AF_INET */)
		map_ipv4(to, words[0]);
	else
		copy_address(to, words);
}

static __always_inline __u16 read_port(const void *from)
{
	__be16 port = 0;

	bpf_probe_read_kernel(&port, sizeof(port), from);
	return bpf_ntohs(port);
}

static __always_inline bool read_conntrack(struct __sk_buff *skb, struct tracked *t)
{
	struct sk_buff *kernel_skb = bpf_cast_to_kern_ctx(skb);
	struct nf_conn *ct = (void *)(kernel_skb->_nfct & ~7UL); /* NFCT_PTRMASK */
	struct nf_conntrack_tuple *original, *reply;
	__u16 family = 0;

	if (!ct)
		return false;
	original = __builtin_preserve_access_index(&ct->tuplehash[0].tuple);
	reply = __builtin_preserve_access_index(&ct->tuplehash[1].tuple);
	bpf_core_read(&family, sizeof(family), &original->src.l3num);
	read_address(t->initiator, __builtin_preserve_access_index(&original->src.u3), family);
	read_address(t->asked, __builtin_preserve_access_index(&original->dst.u3), family);
	read_address(t->answerer, __builtin_preserve_access_index(&reply->src.u3), family);
	t->initiator_port = read_port(__builtin_preserve_access_index(&original->src.u.all));
	t->asked_port = read_port(__builtin_preserve_access_index(&original->dst.u.all));
	t->answerer_port = read_port(__builtin_preserve_access_index(&reply->src.u.all));
	return true;
}
#else
static __always_inline bool read_conntrack(struct __sk_buff *skb, struct tracked *t)
{
	return false;
}
#endif

/* Which end of the tracked connection the pod is, or unknown when it is neither (a related ICMP error). */
static __always_inline enum ew_role tracked_role(const struct ew_flow_key *key, const struct tracked *t)
{
	bool ports = key->protocol == PROTO_TCP || key->protocol == PROTO_UDP || key->protocol == PROTO_SCTP;

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
