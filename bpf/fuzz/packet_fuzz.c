/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The packet parser under libFuzzer and AddressSanitizer. Any bytes: it reads nothing beyond the packet, answers the same
 * wherever the linear part of the packet ends, and what it calls parsed is really there.
 */
#include "kernel.h"
#include "../flow/flow.h"
#ifdef EW_BROKEN /* a parser that does not look where the linear part ends: the test that this is found */
#define READ(skb, offset, to) (*(to) = *(typeof(to))((skb)->data + (offset)), 0)
#endif
#include "../flow/parse.h"
#include "../flow/quote.h"

#define HEADER 4 /* of the input: direction and family, where the linear part ends, what was sent before */

struct answer {
	enum parsed parsed;
	struct ew_flow_key key, quoted;
	__u32 seq, flags, quote;
	bool has_quoted;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void ask(const __u8 *frame, __u32 length, __u32 linear, __u32 dir, __u32 protocol, struct answer *a)
{
	__u8 *start = malloc(linear ? linear : 1);
	struct __sk_buff skb = {.data = (long)start, .data_end = (long)start + linear, .protocol = protocol, .length = length, .whole = frame};
	struct packet p = {.key = &a->key, .dir = dir};

	memcpy(start, frame, linear);
	a->key.ifindex = 1;
	a->parsed = parse(&skb, &p);
	a->seq = p.seq;
	a->flags = p.flags;
	a->quote = p.quote;
	if (a->parsed == PARSED && p.quote)
		a->has_quoted = quoted_flow(&skb, &p, &a->quoted);
	free(start);
}

int LLVMFuzzerTestOneInput(const __u8 *input, size_t size)
{
	struct answer whole = {}, split = {};
	__u32 length, linear, dir, protocol;
	__u8 *frame;

	if (size < HEADER || size > 2048)
		return 0;
	length = size - HEADER;
	dir = input[0] & 1;
	protocol = input[0] & 2 ? bpf_htons(ETHERTYPE_IPV6) : bpf_htons(ETHERTYPE_IPV4);
	linear = (input[1] << 8 | input[2]) % (length + 1);
	frame = malloc(length ? length : 1);
	memcpy(frame, input + HEADER, length);

	only_entry.used = false;
	ask(frame, length, length, dir, protocol, &whole);
	only_entry.used = false;
	ask(frame, length, linear, dir, protocol, &split);
	require(!memcmp(&whole, &split, sizeof(whole)));
	if (whole.parsed == PARSED) {
		require(length >= ETH_HEADER + (protocol == bpf_htons(ETHERTYPE_IPV6) ? 40 : 20));
		require(!has_ports(whole.key.protocol) || length >= ETH_HEADER + 20 + 4);
		require(whole.key.protocol != PROTO_TCP || length >= ETH_HEADER + 20 + 14);
		require(whole.key.protocol != PROTO_SCTP || length >= ETH_HEADER + 20 + 16);
		require(!whole.seq || has_handshake(whole.key.protocol));
		require(!whole.key.pod_port || has_ports(whole.key.protocol));
		require(whole.key.ghost == 0 && whole.key.pad == 0);
	}
	/* the same packet once more: a later fragment now finds its first one, everything else is as before */
	split = (struct answer){};
	ask(frame, length, linear, dir, protocol, &split);
	require(whole.parsed != PARSED || !memcmp(&whole, &split, sizeof(whole)));
	free(frame);
	return 0;
}
