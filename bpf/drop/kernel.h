/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel types that only drop.bpf.c touches, trimmed by hand like ../vmlinux.h and relocated the same way. */
#ifndef EASTWEST_DROP_KERNEL_H
#define EASTWEST_DROP_KERNEL_H

#include "../vmlinux.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct sock_common {
	possible_net_t skc_net;
};

struct sock {
	struct sock_common __sk_common;
};

/* A packet: its own view of struct sk_buff (what follows ___ is not part of the name that is looked up). */
struct sk_buff___drop {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	__u16 network_header;
	unsigned char *head;
};

#pragma clang attribute pop

#endif
