/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Whose a connection of the node's own is: the cgroup of its local socket, read once, which the agent knows the pod of. */
#ifndef EW_HOST_SOCKET_H
#define EW_HOST_SOCKET_H

#include "../flow/maps.h"
#include "kernel.h"
#include "view.h"

/* include/net/tcp_states.h */
#define TCP_STATE_TIME_WAIT 6
#define TCP_STATE_NEW_SYN_RECV 12

/* A handshake that is not over is its listener's; what is left of a connection that is over is nobody's. */
static __always_inline struct sock___host *full_socket(struct sk_buff___host *skb)
{
	struct sock___host *sk = 0, *listener = 0;
	__u8 state = 0;

	bpf_core_read(&sk, sizeof(sk), &skb->sk);
	if (!sk || bpf_core_read(&state, sizeof(state), &sk->__sk_common.skc_state))
		return 0;
	if (state == TCP_STATE_TIME_WAIT)
		return 0;
	if (state != TCP_STATE_NEW_SYN_RECV)
		return sk;
	bpf_core_read(&listener, sizeof(listener), &sk->__sk_common.skc_listener);
	return listener;
}

static __always_inline __u64 cgroup_of(struct sock___host *sk)
{
	struct cgroup___host *cgroup = 0;
	struct kernfs_node___host *node = 0;
	__u64 id = 0;

	if (!bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return 0;
	bpf_core_read(&cgroup, sizeof(cgroup), &sk->sk_cgrp_data.cgroup);
	if (!cgroup || bpf_core_read(&node, sizeof(node), &cgroup->kn) || !node)
		return 0;
	bpf_core_read(&id, sizeof(id), &node->id);
	return id;
}

static __always_inline void note_socket(struct ew_view *view, struct ew_flow *flow)
{
	struct sock___host *sk;
	__u32 unseen = 0;
	__u64 id;

	if (flow->cgroup)
		return;
	sk = full_socket(view->kernel);
	id = sk ? cgroup_of(sk) : 0;
	if (!id)
		return;
	flow->cgroup = id;
	if (!bpf_map_lookup_elem(&owners, &id))
		bpf_map_update_elem(&owners, &id, &unseen, BPF_NOEXIST);
}

#endif
