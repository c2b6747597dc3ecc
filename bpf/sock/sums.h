/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Closed connections of one edge added up where they close, instead of a record each. Which edge that is, their flow says:
 * what can still change (no answer yet, role not from the handshake, the owner of the node's own sockets) is not added
 * up here, and neither is what no window may be told twice (see sock.bpf.c). User space moves `adding` on, waits until
 * no program can use the number before, and takes what was added under it; only user space deletes.
 */
#ifndef EASTWEST_SOCK_SUMS_H
#define EASTWEST_SOCK_SUMS_H

#include "../resolve/edge.h"
#include "sock.h"

#define MOST_TRIES 16 /* to lower the least, while as many other processors lower it in the same nanoseconds */

/* The flow object's own map, put in place by the loader; see ../flow/maps.h. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ew_flow_key);
	__type(value, struct ew_flow);
} flows SEC(".maps");

/* The interface of a pod by the inode of its namespace, kept by user space. Empty: nothing is added up. Key 4 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} sock_pods SEC(".maps");

/* Edges by window: 256 bytes each with the kernel's own, as they come; 256 KiB of buckets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sock_sum_key);
	__type(value, struct sock_sum);
} sock_sums SEC(".maps");

static const struct sock_sum nothing;

/* A key that is built as a record first: the 64 bytes that name an edge are the same. */
union edge {
	struct ew_record record;
	struct sock_sum_key key;
};

static __always_inline bool name_edge(union edge *edge, const struct sock_record *r)
{
	struct ew_flow_key key = {};
	__u32 netns = r->netns;
	__u32 *ifindex = bpf_map_lookup_elem(&sock_pods, &netns);
	struct ew_flow *flow;

	if (!ifindex)
		return false;
	__builtin_memcpy(key.pod_addr, r->local, 16);
	__builtin_memcpy(key.peer_addr, r->remote, 16);
	key.ifindex = *ifindex;
	key.pod_port = r->local_port;
	key.peer_port = r->remote_port;
	key.protocol = 6; /* TCP */
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow || flow->cgroup || !(flow->flags & EW_FLAG_SEEN_TO_POD) || flow->role_source != EW_SOURCE_HANDSHAKE)
		return false;
	__builtin_memset(edge, 0, sizeof(*edge));
	write_ends(&edge->record, &key, flow->role);
	write_nat(&edge->record, flow);
	edge->record.role_source = EW_SOURCE_HANDSHAKE;
	return true;
}

/* As bucket_of() in model/histogram.py: a test compares the two. */
static __always_inline __u32 bucket_of(__u32 us)
{
	__u32 bucket = us >= 1048576, i;

#pragma unroll
	for (i = 0; i < SOCK_BUCKETS - 2; i++)
		bucket += us >= 32U << i;
	return bucket;
}

static __always_inline void lower(__u32 *least, __u32 us)
{
	int i;

	for (i = 0; i < MOST_TRIES; i++) {
		__u32 known = *(volatile __u32 *)least;

		if (known && known <= us)
			return;
		if (__sync_val_compare_and_swap(least, known, us) == known)
			return;
	}
}

static __always_inline void add_rare(struct sock_sum *sum, const struct sock_record *r)
{
	int i;

	if (r->failures)
		__sync_fetch_and_add(&sum->failures, r->failures);
	if (r->resets)
		__sync_fetch_and_add(&sum->resets, r->resets);
	if (r->timeouts)
		__sync_fetch_and_add(&sum->timeouts, r->timeouts);
#pragma unroll
	for (i = 0; i < PHASES; i++) {
		if (r->retransmits[i])
			__sync_fetch_and_add(&sum->retransmits[i], r->retransmits[i]);
		if (r->rtos[i])
			__sync_fetch_and_add(&sum->rtos[i], r->rtos[i]);
	}
}

static __always_inline void add_durations(struct sock_sum *sum, const struct sock_record *r)
{
	__u32 bucket;

	if (r->established && r->connect_us)
		__sync_fetch_and_add(&sum->connect_sum_us, r->connect_us);
	if (r->flags & SOCK_RTT && r->rtt_us) {
		bucket = bucket_of(r->rtt_us) & (SOCK_BUCKETS - 1);
		__sync_fetch_and_add(&sum->rtt_sum_us, r->rtt_us);
		__sync_fetch_and_add(&sum->rtt_histogram[bucket], 1);
	}
	if (r->rtt_min_us)
		lower(&sum->rtt_min_us, r->rtt_min_us);
}

/* The whole of a connection that no window was told of. False: it is not added up, and wants a record of its own. */
static __always_inline bool add_up(const struct sock_record *r, __u32 window, bool *full)
{
	union edge edge;
	struct sock_sum *sum;
	__u64 both;

	if (!window || !name_edge(&edge, r))
		return false;
	edge.key.window = window;
	sum = bpf_map_lookup_elem(&sock_sums, &edge.key);
	if (!sum) {
		bpf_map_update_elem(&sock_sums, &edge.key, &nothing, BPF_NOEXIST); /* full, or another CPU was first */
		sum = bpf_map_lookup_elem(&sock_sums, &edge.key);
		if (!sum) {
			*full = true;
			return false;
		}
	}
	both = (__u64)(r->established && r->connect_us) << 32 | r->attempts;
	if (both)
		__sync_fetch_and_add((__u64 *)&sum->attempts, both);
	add_rare(sum, r);
	add_durations(sum, r);
	if (sum->now_ns < r->now_ns)
		sum->now_ns = r->now_ns; /* of those that close together, either's */
	return true;
}

#endif
