/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The kernel types that only this object touches, trimmed; relocated by name like those in ../vmlinux.h. */
#ifndef EW_FORWARD_KERNEL_H
#define EW_FORWARD_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff___header {
	unsigned char *head;
	__u16 network_header;
};

struct net_device {
	int ifindex;
};

struct nf_hook_state {
	__u8 pf;
	struct net_device *in;
	struct net_device *out;
};

/* A netfilter program's context: net/netfilter/nf_bpf_link.c */
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

#pragma clang attribute pop

#endif
