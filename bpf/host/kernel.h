/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The kernel's structs as this object reads them (what follows ___ is not part of the name that is looked up). */
#ifndef EW_HOST_KERNEL_H
#define EW_HOST_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net_device___host {
	unsigned int flags;
};

struct nf_hook_state___host {
	__u8 hook;
	__u8 pf;
	struct net_device___host *in;
	struct net_device___host *out;
};

struct skb_shared_info___host {
	unsigned short gso_segs;
};

struct kernfs_node___host {
	__u64 id;
};

struct cgroup___host {
	struct kernfs_node___host *kn;
};

struct sock_cgroup_data___host {
	struct cgroup___host *cgroup;
};

struct sock_common___host {
	volatile unsigned char skc_state;
	struct sock___host *skc_listener; /* of a struct request_sock */
};

struct sock___host {
	struct sock_common___host __sk_common;
	struct sock_cgroup_data___host sk_cgrp_data;
};

struct sk_buff___host {
	struct sock___host *sk;
	unsigned int len;
	unsigned int data_len;
	unsigned int end; /* sk_buff_data_t: an offset from head on 64-bit kernels */
	unsigned char *head;
	unsigned char *data;
	unsigned long _nfct;
};

#pragma clang attribute pop

struct nf_context { /* struct bpf_nf_ctx: what the program is called with */
	struct nf_hook_state___host *state;
	struct sk_buff___host *skb;
};

#endif
