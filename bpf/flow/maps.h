/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every map of the flow object. The loader may change max_entries of flows, overflow and records before it loads. */
#ifndef EW_FLOW_MAPS_H
#define EW_FLOW_MAPS_H

#include "flow.h"
#include "wire.h"

/* One entry per connection and interface: key 44 B, value 224 B. Never LRU: a full map must be seen. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ew_flow_key);
	__type(value, struct ew_flow);
} flows SEC(".maps");

/* Packets that found `flows` full, without the initiator's port: key 44 B, value 152 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ew_flow_key);
	__type(value, struct ew_overflow);
} overflow SEC(".maps");

/* Books per interface, made by the agent before it attaches: key 4 B, value 312 B per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ew_interface);
} interfaces SEC(".maps");

/* Interfaces that may turn out not to be a pod's: their counts wait. Key 4 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} held SEC(".maps");

/* Local sockets that accept connections, filled by the agent: key 8 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ew_listener_key);
	__type(value, __u32);
} listeners SEC(".maps");

/* Cgroups of the node's own sockets: written 0 by the program that meets one, then by the agent with its pod's number in the
 * low 16 bits (0: no pod's) and a bit above them. Key 8 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} owners SEC(".maps");

/* [0]: the epoch. A program reads it once; it counts into the sets [epoch & 1]. Key 4 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

/* Where a drain writes; the agent maps it into memory: key 4 B, value 144 B. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ew_record);
} records SEC(".maps");

/* Programs that look at DNS packets, by direction; empty unless the dns object is lent (docs/decisions/0073): 4 B, 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} dns_tail SEC(".maps");

/* A place to build an entry, too large for the stack (the host object has others): key 4 B, value 224 B per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ew_flow);
} scratch SEC(".maps");

#define EW_HINT_SETS 8192 /* a power of two */
#define EW_HINT_WAYS 4

/* Upper half of a record's hash, and the record's index. */
struct ew_hints {
	__u64 hint[EW_HINT_WAYS];
};

/* By hash: where a drain may have written that record already (combine.h). Key 4 B, value 32 B: 256 KiB. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EW_HINT_SETS);
	__type(key, __u32);
	__type(value, struct ew_hints);
} hints SEC(".maps");

#endif
