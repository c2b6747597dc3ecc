// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Answers, for connections named by their 5-tuple at an interface, what a drain of the flow map would write as who and
 * what: roles, and both sides of address translation. Changes nothing. Shares the map `flows` with the flow object. */
#include "../vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "resolve.h"

/* The flow object's own map, put in place by the loader; see ../flow/maps.h. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ew_flow_key);
	__type(value, struct ew_flow);
} flows SEC(".maps");

/* The flow object's own map, too. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} owners SEC(".maps");

/* Questions and answers, 192 bytes each: 768 KiB, mapped into the agent's memory */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RESOLVE_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct resolve_slot);
} resolve_slots SEC(".maps");

/* As write_owner() in ../flow/record.h. */
static __always_inline void write_owner(struct ew_record *r, const struct ew_flow *flow)
{
	__u64 cgroup = flow->cgroup;
	__u32 *owner = cgroup ? bpf_map_lookup_elem(&owners, &cgroup) : 0;

	if (owner)
		r->owner = *owner;
}

static long resolve_one(__u32 index, void *unused)
{
	struct resolve_slot *slot = bpf_map_lookup_elem(&resolve_slots, &index);
	struct ew_flow_key key;
	struct ew_flow *flow;

	if (!slot)
		return 1;
	key = slot->key;
	flow = bpf_map_lookup_elem(&flows, &key);
	slot->found = !!flow;
	if (!flow)
		return 0;
	__builtin_memset(&slot->record, 0, EDGE_BYTES);
	write_ends(&slot->record, &key, flow->role);
	write_nat(&slot->record, flow);
	write_owner(&slot->record, flow);
	slot->record.role_source = flow->role_source;
	return 0;
}

SEC("syscall")
int resolve(struct resolve *argument)
{
	return bpf_loop(argument->count, resolve_one, 0, 0) < 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
