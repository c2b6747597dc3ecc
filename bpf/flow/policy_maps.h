/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps that a plan is put into (docs/enforcement.md): filled by the agent, read by the flow and forward objects. Every key
 * begins with the set, and every map holds both sets; the loader may change each max_entries.
 */
#ifndef EW_FLOW_POLICY_MAPS_H
#define EW_FLOW_POLICY_MAPS_H

#include "policy.h"

/* 0: the verifier removes all that enforces. The agent says otherwise before it loads. A section of its own: one value. */
const volatile __u8 enforcing SEC(".rodata.enforcing") = 0;

/* [0]: what is in force. Key 4 B, value 8 B; mapped, so that the agent changes it with one store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ew_policy_state);
} policy_state SEC(".maps");

/* Who an address is: key 24 B, value 8 B. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ew_address_key);
	__type(value, struct ew_identity);
} identities SEC(".maps");

/* Local pods by interface: key 8 B, value 24 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ew_policed_key);
	__type(value, struct ew_policed);
} policed SEC(".maps");

/* Local pods by address: key 20 B, value 4 B (interface; 0: it has none yet). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ew_pod_address_key);
	__type(value, __u32);
} pod_addresses SEC(".maps");

/* Where this node's pods get their addresses: key 24 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ew_address_key);
	__type(value, __u32);
} pod_ranges SEC(".maps");

/* The row of a table for an identity: key 12 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ew_cell_key);
	__type(value, __u32);
} cells SEC(".maps");

/* The decisions of a row: key 16 B, value 8 B. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ew_port_key);
	__type(value, struct ew_decision);
} ports SEC(".maps");

/* Interfaces known not to be pods', of both sets alike: key 4 B, value 4 B. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} links SEC(".maps");

#endif
