// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP health per socket, by sock_ops on a cgroup.
 *
 * Each socket carries its own entry in socket storage: no table to fill up, and an entry dies with its socket. Closing
 * adds it to its edge (sums.h), or sends a last record; `live` visits the followed sockets (and no others, in all namespaces) and sends those that
 * changed; `adopt` begins to follow the sockets of one namespace that are older than the agent.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "sums.h"

#define AF_INET 2
#define AF_INET6 10
#define SOL_TCP 6
#define OUR_FLAGS (BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG)
#define ECONNRESET 104
#define EPIPE 32
#define ETIMEDOUT 110

/* A connection is told to windows, or added to its edge when it closes; never both. */
enum mark {
	MARK_TOLD = 1,	 /* a window was told of it while it lived, or it is older than the agent */
	MARK_CLOSED = 2, /* nothing more is told */
};

struct sock_entry {
	struct sock_record record;
	__u32 version;		/* rises with each change */
	__u32 sent_version;	/* what `live` sent last; only `live` writes these two */
	__u32 sent_delivered;
	__u32 sent[SOCK_COUNTS];	/* attempts … rtos as window `record.tick` was told them */
	__u32 base[SOCK_COUNTS];	/* the same of the window before that was handed over */
	__u32 base_tick;	/* its number; 0 = none */
	__u32 life;		/* of the agent that was told */
	__u32 marks;		/* enum mark, set atomically: whoever comes second sees the first */
};
_Static_assert(sizeof(struct sock_entry) == 256, "memory per socket, as the docs state it");

#define COUNTS(r) (&(r)->attempts)	/* SOCK_COUNTS of them, in a row */
_Static_assert(__builtin_offsetof(struct sock_record, connect_us) - __builtin_offsetof(struct sock_record, attempts) ==
	       SOCK_COUNTS * sizeof(__u32), "the counts stand in a row");

/* key: 0, value: 16 bytes, written by user space */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sock_windows);
} sock_windows SEC(".maps");

/* key: socket, value: 256 bytes, as many as there are sockets */
struct {
	__uint(type, SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sock_entry);
} sockets SEC(".maps");

/* 152 bytes a record with its header; the agent sets the size: 512 KiB hold 3400 */
struct {
	__uint(type, RINGBUF);
	__uint(max_entries, 8 << 20);
} sock_ring SEC(".maps");

/* key: enum sock_counter, value: 8 bytes per CPU */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SOCK_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} sock_counters SEC(".maps");

static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&sock_counters, &which);
	if (value)
		*value += 1;
}

static __always_inline struct sock_windows windows_now(void)
{
	struct sock_windows none = {}, *w;
	__u32 zero = 0;

	w = bpf_map_lookup_elem(&sock_windows, &zero);
	return w ? *w : none;
}

/* One record of what a window was told. */
static __always_inline void tell(const struct sock_entry *e, const __u32 *counts, __u32 tick)
{
	struct sock_record *out = bpf_ringbuf_reserve(&sock_ring, sizeof(*out), 0);

	if (!out)
		return; /* there is no room for what follows either, and that is counted */
	__builtin_memcpy(out, &e->record, sizeof(*out));
	__builtin_memcpy(COUNTS(out), counts, sizeof(e->sent));
	out->tick = tick;
	out->flags = SOCK_AS_SENT;
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
}

/* The window told last may never have been handed over: only user space knows, so the one before goes first. */
static __always_inline void tell_past(const struct sock_entry *e, const struct sock_windows *w)
{
	if (!e->record.tick)
		return;
	if (e->record.tick > w->committed && e->base_tick)
		tell(e, e->base, e->base_tick);
	tell(e, e->sent, e->record.tick);
}

static __always_inline __u32 phase_of(__u32 state)
{
	if (state == TCP_SYN_SENT || state == TCP_SYN_RECV || state == TCP_NEW_SYN_RECV)
		return PHASE_SYN;
	if (state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT)
		return PHASE_ESTABLISHED;
	return PHASE_CLOSING;
}

static __always_inline void map_ipv4(__u8 *to, __be32 address)
{
	to[10] = 0xff;
	to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

static __always_inline void read_identity(struct sock_record *r, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	r->local_port = sk->__sk_common.skc_num;
	r->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	r->netns = sk->__sk_common.skc_net.net->ns.inum;
	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		r->cgroup_id = sk->sk_cgrp_data.cgroup->kn->id;
	if (sk->__sk_common.skc_family == AF_INET6) {
		struct in6_addr local = sk->__sk_common.skc_v6_rcv_saddr;
		struct in6_addr remote = sk->__sk_common.skc_v6_daddr;
		__builtin_memcpy(r->local, &local, 16);
		__builtin_memcpy(r->remote, &remote, 16);
	} else {
		map_ipv4(r->local, sk->__sk_common.skc_rcv_saddr);
		map_ipv4(r->remote, sk->__sk_common.skc_daddr);
	}
}

/* The RTT measured last: of the newest acknowledged segment, or the smoothed one where RACK has none (no SACK). */
static __always_inline void read_rtt(struct sock_record *r, const struct tcp_sock *tp)
{
	__u32 least = tp->rtt_min.s[0].v;
	__u32 last = tp->rack.rtt_us;

	r->delivered = tp->delivered;
	r->rtt_us = last ? last : tp->srtt_us >> 3;
	r->rtt_min_us = least == ~0U ? 0 : least;
}

static __always_inline void begin(struct sock_entry *e, const struct tcp_sock *tp, __u8 role)
{
	__builtin_memset(e, 0, sizeof(*e));
	read_identity(&e->record, tp);
	e->record.role = role;
	e->record.opened_ns = bpf_ktime_get_ns();
	e->version = 1;
	count(SOCK_FOLLOWED);
}

static __always_inline void ask_callbacks(struct bpf_sock_ops *ctx)
{
	__u32 flags = ctx->bpf_sock_ops_cb_flags; /* other programs' flags stay */

	if ((flags & OUR_FLAGS) != OUR_FLAGS && bpf_sock_ops_cb_flags_set(ctx, flags | OUR_FLAGS))
		count(SOCK_FLAGS_REFUSED);
}

/* Starts an entry for ctx's socket, over an older connection of the same socket if there was one. */
static __always_inline struct sock_entry *open_entry(struct bpf_sock_ops *ctx, struct bpf_sock *sk, __u8 role)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct sock_entry *e;

	if (!tp)
		return 0;
	e = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!e) {
		count(SOCK_LOST_STORAGE);
		return 0;
	}
	begin(e, tp, role);
	e->record.cookie = bpf_get_socket_cookie(ctx);
	ask_callbacks(ctx);
	return e;
}

/* What happened to the SYN-ACK before there was a socket. total_rto exists since Linux 6.7. */
static __always_inline void inherit_handshake(struct sock_record *r, struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	r->retransmits[PHASE_SYN] = ctx->total_retrans;
	if (tp && bpf_core_field_exists(tp->total_rto))
		r->rtos[PHASE_SYN] = tp->total_rto;
}

static __always_inline void on_established(struct bpf_sock_ops *ctx, struct bpf_sock *sk, __u8 role)
{
	struct sock_entry *e;

	if (role == ROLE_SERVER) {
		e = open_entry(ctx, sk, role);
		if (!e)
			return;
		inherit_handshake(&e->record, ctx, sk);
	} else {
		e = bpf_sk_storage_get(&sockets, sk, 0, 0);
		if (!e) {
			count(SOCK_UNFOLLOWED);
			return;
		}
		e->record.connect_us = (bpf_ktime_get_ns() - e->record.opened_ns) / 1000;
		ask_callbacks(ctx);
	}
	e->record.state = TCP_ESTABLISHED;
	e->record.established += 1;
	e->version += 1;
}

/* How it ended, from the state it left and the error the kernel gave the socket. */
static __always_inline void judge_end(struct sock_record *r, __u32 left, __u32 error)
{
	r->error = error;
	if (phase_of(left) == PHASE_SYN && !r->established)
		r->failures += 1;
	else if (error == ETIMEDOUT)
		r->timeouts += 1;
	else if (error == ECONNRESET || error == EPIPE || phase_of(left) == PHASE_ESTABLISHED)
		r->resets += 1;
}

static __always_inline void on_close(struct sock_entry *e, struct bpf_sock *sk, __u32 left)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct sock_windows windows = windows_now();
	struct sock_record *out;
	bool full = false;

	if (!tp || e->record.flags & SOCK_CLOSED)
		return;
	judge_end(&e->record, left, tp->inet_conn.icsk_inet.sk.sk_err);
	read_rtt(&e->record, tp);
	if (e->record.delivered != e->sent_delivered)
		e->record.flags |= SOCK_RTT;
	e->record.state = TCP_CLOSE;
	e->record.now_ns = bpf_ktime_get_ns();
	e->record.flags |= SOCK_CLOSED;
	count(SOCK_CLOSED_SEEN);
	/* before the record is sent: `live` sends nothing after it */
	if (!(__sync_fetch_and_or(&e->marks, MARK_CLOSED) & MARK_TOLD)) {
		if (add_up(&e->record, windows.adding, &full)) {
			count(SOCK_ADDED_UP);
			return;
		}
		if (full)
			count(SOCK_SUMS_FULL);
	}
	tell_past(e, &windows);
	out = bpf_ringbuf_reserve(&sock_ring, sizeof(*out), 0);
	if (!out) {
		count(SOCK_LOST_RECORDS);
		return;
	}
	__builtin_memcpy(out, &e->record, sizeof(*out));
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
}

static __always_inline void on_event(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct sock_entry *e = bpf_sk_storage_get(&sockets, sk, 0, 0);
	__u32 phase = phase_of(ctx->state);

	if (!e) {
		count(SOCK_UNFOLLOWED);
		return;
	}
	if (ctx->op == BPF_SOCK_OPS_STATE_CB) {
		on_close(e, sk, ctx->args[0]);
		return;
	}
	if (ctx->op == BPF_SOCK_OPS_RETRANS_CB)
		e->record.retransmits[phase] += ctx->args[1];
	else
		e->record.rtos[phase] += 1;
	e->version += 1;
}

SEC("sockops")
int sock_ops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;
	__u32 op = ctx->op;

	if (op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] != TCP_CLOSE)
		return 1;
	if (op != BPF_SOCK_OPS_STATE_CB && op != BPF_SOCK_OPS_RETRANS_CB && op != BPF_SOCK_OPS_RTO_CB &&
	    op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		struct sock_entry *e = open_entry(ctx, sk, ROLE_CLIENT);
		if (e) {
			e->record.state = TCP_SYN_SENT;
			e->record.attempts = 1;
		}
	} else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		on_established(ctx, sk, ROLE_CLIENT);
	} else if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		on_established(ctx, sk, ROLE_SERVER);
	} else {
		on_event(ctx, sk);
	}
	return 1;
}

/* Sends one live socket if it changed since the last visit, or if what it sent then was never handed over. The record is reserved before the entry is read: a
 * socket that closes meanwhile has its last record behind this one in the ring. */
SEC("iter/bpf_sk_storage_map")
int sock_live(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock_entry *e = ctx->value;
	struct sock *sk = ctx->sk;
	struct sock_record *out;
	struct sock_windows windows = windows_now();
	struct tcp_sock *tp;
	__u32 version, closed;
	int handed_over, known;

	if (!sk || !e || !e->version || e->record.flags & SOCK_CLOSED)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	version = e->version;
	handed_over = e->record.tick <= windows.committed;
	known = e->life == windows.life;
	if (version == e->sent_version && tp->delivered == e->sent_delivered &&
	    (handed_over || (known && e->record.tick == windows.current)))
		return 0;
	if (!known)
		tell_past(e, &windows);
	if (handed_over) {
		__builtin_memcpy(e->base, e->sent, sizeof(e->sent));
		e->base_tick = e->record.tick;
	}
	out = bpf_ringbuf_reserve(&sock_ring, sizeof(*out), 0);
	if (!out) {
		count(SOCK_DEFERRED);
		return 0;
	}
	closed = __sync_fetch_and_or(&e->marks, MARK_TOLD) & MARK_CLOSED;
	__builtin_memcpy(out, &e->record, sizeof(*out));
	if (closed || out->flags & SOCK_CLOSED) { /* added up, or its last record comes behind this one */
		bpf_ringbuf_discard(out, BPF_RB_NO_WAKEUP);
		return 0;
	}
	read_rtt(out, tp);
	out->state = tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
	if (out->delivered != e->sent_delivered)
		out->flags |= SOCK_RTT;
	out->now_ns = bpf_ktime_get_ns();
	out->tick = windows.current;
	e->record.tick = windows.current;
	e->life = windows.life;
	__builtin_memcpy(e->sent, COUNTS(out), sizeof(e->sent));
	e->sent_version = version;
	e->sent_delivered = out->delivered;
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Follows one socket that is older than the agent; the reader's namespace decides which are visited. */
SEC("iter/tcp")
int sock_adopt(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct sock_entry *e;
	struct tcp_sock *tp;
	__u32 state;
	int flags;

	if (!skc)
		return 0;
	state = skc->skc_state;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp || state == TCP_LISTEN || state == TCP_CLOSE)
		return 0;
	if (bpf_sk_storage_get(&sockets, tp, 0, 0))
		return 0;
	e = bpf_sk_storage_get(&sockets, tp, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!e) {
		count(SOCK_LOST_STORAGE);
		return 0;
	}
	begin(e, tp, state == TCP_SYN_SENT ? ROLE_CLIENT : ROLE_UNKNOWN);
	e->record.cookie = bpf_get_socket_cookie(tp);
	e->record.flags = SOCK_ADOPTED;
	__sync_fetch_and_or(&e->marks, MARK_TOLD);
	e->record.state = state;
	e->record.established = 0;
	flags = tp->bpf_sock_ops_cb_flags | OUR_FLAGS;
	if (bpf_setsockopt(tp, SOL_TCP, TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags)))
		count(SOCK_FLAGS_REFUSED);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
