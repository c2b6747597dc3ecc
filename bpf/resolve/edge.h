/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The edge of a connection whose flow is known, as a drain would write it: both ends, after address translation. */
#ifndef EASTWEST_EDGE_H
#define EASTWEST_EDGE_H

#include "../flow/flow.h"

#define EDGE_BYTES 64 /* the key part of struct ew_record */
_Static_assert(__builtin_offsetof(struct ew_record, bytes) == EDGE_BYTES, "the key part of ew_record");

/* As write_ends() in ../flow/record.h: a test compares what the two write. */
static __always_inline void write_ends(struct ew_record *r, const struct ew_flow_key *key, __u8 role)
{
	bool server = role == EW_ROLE_SERVER;

	__builtin_memcpy(r->src, server ? key->peer_addr : key->pod_addr, 16);
	__builtin_memcpy(r->dst, server ? key->pod_addr : key->peer_addr, 16);
	r->src_port = role == EW_ROLE_UNKNOWN ? key->pod_port : 0;
	r->dst_port = server ? key->pod_port : key->peer_port;
	r->ifindex = key->ifindex;
	r->protocol = key->protocol;
	r->role = role;
}

/* As write_nat() in ../flow/record.h. */
static __always_inline void write_nat(struct ew_record *r, const struct ew_flow *flow)
{
	if (flow->flags & EW_FLAG_SNAT)
		__builtin_memcpy(r->src, flow->initiator_addr, 16);
	if (!(flow->flags & EW_FLAG_NAT))
		return;
	if (flow->role == EW_ROLE_CLIENT) {
		__builtin_memcpy(r->service, r->dst, 16);
		r->service_port = r->dst_port;
		__builtin_memcpy(r->dst, flow->nat_addr, 16);
		r->dst_port = flow->nat_port;
	} else {
		__builtin_memcpy(r->service, flow->nat_addr, 16);
		r->service_port = flow->nat_port;
	}
}

#endif
