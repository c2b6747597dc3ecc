/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What flow/parse.h needs of the kernel, in user space: the packet in exact buffers, so that a sanitizer sees each byte
 * too many, and a map of one entry for fragments. */
#ifndef EW_FUZZ_KERNEL_H
#define EW_FUZZ_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
typedef int32_t __s32;
typedef int64_t __s64;
typedef uint16_t __be16;
typedef uint32_t __be32;

#define SEC(name)
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __uint(name, value) int name
#define __type(name, type) type *name
#define BPF_ANY 0
#define bpf_htons(x) __builtin_bswap16(x)
#define bpf_ntohs(x) __builtin_bswap16(x)
#define bpf_htonl(x) __builtin_bswap32(x)

struct __sk_buff {
	long data; /* of the linear part, in a buffer of just its size */
	long data_end;
	__u32 protocol;
	__u32 length;
	const __u8 *whole;
};

/* As the kernel's helper: all or nothing, from anywhere in the packet. */
static inline long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 offset, void *to, __u32 size)
{
	if (offset > 0x7fffffff || (__u64)offset + size > skb->length) {
		memset(to, 0, size);
		return -14; /* EFAULT */
	}
	memcpy(to, skb->whole + offset, size);
	return 0;
}

static struct {
	bool used;
	__u8 key[64];
	__u8 value[64];
} only_entry;

#define bpf_map_update_elem(map, k, v, flags)                                                                          \
	do {                                                                                                           \
		_Static_assert(sizeof(*(k)) <= 64 && sizeof(*(v)) <= 64, "room for the entry");                        \
		only_entry.used = true;                                                                                \
		memcpy(only_entry.key, k, sizeof(*(k)));                                                               \
		memcpy(only_entry.value, v, sizeof(*(v)));                                                             \
	} while (0)
#define bpf_map_lookup_elem(map, k)                                                                                    \
	((void *)(only_entry.used && !memcmp(only_entry.key, k, sizeof(*(k))) ? only_entry.value : 0))
#define bpf_ktime_get_coarse_ns() 1000

#endif
