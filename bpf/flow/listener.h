/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The pod's accepting sockets, which the agent read from its network namespace. */
#ifndef EW_FLOW_LISTENER_H
#define EW_FLOW_LISTENER_H

#include "maps.h"

static __always_inline bool listens(const struct ew_flow_key *key, __u16 port)
{
	struct ew_listener_key wanted = {.ifindex = key->ifindex, .port = port, .protocol = key->protocol};

	return bpf_map_lookup_elem(&listeners, &wanted) != 0;
}

static __always_inline bool pod_listens(const struct ew_flow_key *key)
{
	return key->pod_port && listens(key, key->pod_port);
}

/* Server if the pod accepts on its port; client if its sockets are known and it does not; else unknown. */
static __always_inline enum ew_role listener_role(const struct ew_flow_key *key)
{
	if (!key->pod_port)
		return EW_ROLE_UNKNOWN;
	if (listens(key, key->pod_port))
		return EW_ROLE_SERVER;
	return listens(key, 0) ? EW_ROLE_CLIENT : EW_ROLE_UNKNOWN;
}

#endif
