/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a drain writes for one entry: its ends, amounts and verdicts. Nothing is changed here but the record. */
#ifndef EW_FLOW_RECORD_H
#define EW_FLOW_RECORD_H

#include "maps.h"
#include "packet.h"

/* Where the next record is written; it counts once it is handed out. */
static __always_inline struct ew_record *next_record(struct ew_drain *d)
{
	__u32 index = d->records;

	return index < d->limit ? bpf_map_lookup_elem(&records, &index) : 0;
}

/* `forward` is the direction of packets from the initiator. */
static __always_inline void write_amounts(struct ew_record *r, const struct ew_set *set, bool from_pod)
{
	r->bytes[0] = from_pod ? set->bytes[0] : set->bytes[1];
	r->bytes[1] = from_pod ? set->bytes[1] : set->bytes[0];
	r->tally[0] = from_pod ? set->tally[0] : set->tally[1];
	r->tally[1] = from_pod ? set->tally[1] : set->tally[0];
	r->first_ns = set->first_ns;
	r->last_ns = set->last_ns;
	r->opens = set->opens;
	r->answered = set->answered;
}

/* What the policies did to these packets. Nobody counts the allowed ones (see ew_flow). */
static __always_inline void write_verdicts(struct ew_record *r, const struct ew_set *set, __u32 allowed,
					   __u32 allow_reason, __u32 deny_reason)
{
	r->allowed = allowed;
	r->denied = set->denied;
	r->would_deny = set->would_deny;
	r->allow_reason = allowed ? allow_reason : 0;
	r->deny_reason = set->denied || set->would_deny ? deny_reason : 0;
}

static __always_inline __u32 allowed_packets(const struct ew_flow *flow, const struct ew_set *set, __u32 unjudged)
{
	__s32 rest = set->tally[0].packets + set->tally[1].packets - set->denied - set->would_deny - unjudged;

	return rest > 0 ? rest : 0;
}

/* Who and what, as the interface saw it: without address translation. */
static __always_inline void write_ends(struct ew_record *r, const struct ew_flow_key *key, __u8 role)
{
	bool server = role == EW_ROLE_SERVER;

	copy_address(r->src, server ? key->peer_addr : key->pod_addr);
	copy_address(r->dst, server ? key->pod_addr : key->peer_addr);
	r->src_port = role == EW_ROLE_UNKNOWN ? key->pod_port : 0;
	r->dst_port = server ? key->pod_port : key->peer_port;
	r->ifindex = key->ifindex;
	r->protocol = key->protocol;
	r->role = role;
}

static __always_inline void write_owner(struct ew_record *r, const struct ew_flow *flow)
{
	__u64 cgroup = flow->cgroup;
	__u32 *owner = cgroup ? bpf_map_lookup_elem(&owners, &cgroup) : 0;

	if (owner)
		r->owner = *owner;
}

static __always_inline void write_nat(struct ew_record *r, const struct ew_flow *flow)
{
	if (flow->flags & EW_FLAG_SNAT)
		copy_address(r->src, flow->initiator_addr);
	if (!(flow->flags & EW_FLAG_NAT))
		return;
	if (flow->role == EW_ROLE_CLIENT) {
		copy_address(r->service, r->dst);
		r->service_port = r->dst_port;
		copy_address(r->dst, flow->nat_addr);
		r->dst_port = flow->nat_port;
	} else {
		copy_address(r->service, flow->nat_addr);
		r->service_port = flow->nat_port;
	}
}

#endif
