/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The beginning of a packet as netfilter gives it, in the shape that flow's parser reads: struct __sk_buff's. */
#ifndef EW_HOST_VIEW_H
#define EW_HOST_VIEW_H

#include "../flow/flow.h"

#define VIEW_BYTES 256 /* of L3: six extension headers and what an ICMP error quotes seldom take more */
#define VIEW_ETH 14	/* an Ethernet header that is not there */
#define PROTO_IPIP 4
#define PROTO_IPV6 41
#define PROTO_GRE 47
#define PROTO_ESP 50

struct ew_view {
	__u32 len;
	__u32 protocol;
	__u32 ifindex;
	__u32 gso_segs;
	__u32 taken; /* L3 bytes in `bytes` */
	__u32 ingress_ifindex; /* only enforcement asks, which is not for the node itself */
	struct sk_buff___host *kernel;
	__u8 bytes[VIEW_BYTES];
	struct ew_flow scratch;
	__u64 busy;
};

#define VIEWS 4

/* LOCAL_OUT runs in the sender's context: a softirq that receives, or another task, may run this program on the same CPU in
 * the middle of it. So each run takes a view that is free, in whatever order they end. Key 4 B, value 520 B per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VIEWS);
	__type(key, __u32);
	__type(value, struct ew_view);
} host_view SEC(".maps");

/* A view of one's own until `view_release`; null when all of this CPU's are taken. */
static __always_inline struct ew_view *view_claim(void)
{
	struct ew_view *view;
	__u32 i, at;

	for (i = 0; i < VIEWS; i++) {
		at = i;
		view = bpf_map_lookup_elem(&host_view, &at);
		if (view && !__sync_lock_test_and_set(&view->busy, 1))
			return view;
	}
	return 0;
}

static __always_inline void view_release(struct ew_view *view)
{
	__sync_lock_test_and_set(&view->busy, 0);
}

static __always_inline void view_take(struct ew_view *view, struct sk_buff___host *skb, __u32 protocol)
{
	__u32 len = 0, data_len = 0, end = 0, linear;
	unsigned char *data = 0, *head = 0;
	__u16 segments = 0;

	bpf_core_read(&len, sizeof(len), &skb->len);
	bpf_core_read(&data_len, sizeof(data_len), &skb->data_len);
	bpf_core_read(&data, sizeof(data), &skb->data);
	bpf_core_read(&head, sizeof(head), &skb->head);
	bpf_core_read(&end, sizeof(end), &skb->end);
	bpf_core_read(&segments, sizeof(segments), &((struct skb_shared_info___host *)(head + end))->gso_segs);
	linear = len - data_len;
	if (linear > VIEW_BYTES)
		linear = VIEW_BYTES;
	view->len = len + VIEW_ETH;
	view->protocol = protocol;
	view->ifindex = EW_HOST_INTERFACE;
	view->gso_segs = segments;
	view->ingress_ifindex = 0;
	view->taken = linear;
	view->kernel = skb;
	if (bpf_probe_read_kernel(view->bytes, linear, data))
		view->taken = 0;
}

/* As bpf_skb_load_bytes; `size` is a constant. */
static __always_inline long view_load_bytes(const struct ew_view *view, __u32 offset, void *to, __u32 size)
{
	__u32 at = offset - VIEW_ETH;

	if (offset < VIEW_ETH || at > VIEW_BYTES - size || at + size > view->taken)
		return -1;
	asm volatile("%0 &= 0xff" : "+r"(at)); /* what the verifier wants to see again */
	if (at > VIEW_BYTES - size)
		return -1;
	return bpf_probe_read_kernel(to, size, view->bytes + at);
}

#endif
