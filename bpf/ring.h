/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* include/uapi/linux/bpf.h: what a ring buffer needs. */
#ifndef EASTWEST_RING_H
#define EASTWEST_RING_H

enum {
	RINGBUF = 27, /* BPF_MAP_TYPE_RINGBUF */
	BPF_RB_NO_WAKEUP = 1,
};

#endif
