/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the programs need of the kernel, so that they can be built with nothing but clang and the kernel's own headers: the
 * helpers by their numbers (enum bpf_func_id in linux/bpf.h) and the words of BTF-defined maps.
 */
#ifndef PATCHCORD_HELPERS_H
#define PATCHCORD_HELPERS_H

#include <linux/bpf.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
/* linux/stddef.h has a weaker one. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

/* A map is a struct whose members' types say what it is (Documentation/bpf/btf.rst, "Map definitions"). */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

/* A 32-bit member of a program's context. The verifier takes no arithmetic on a context's address, and the compiler would like to
 * work out the address first where two branches each read a member. */
#define READ_CONTEXT(context, member) ({ \
	__u32 value; \
	asm volatile("%0 = *(u32 *)(%1 + %2)" \
		     : "=r"(value) \
		     : "r"(context), "i"(__builtin_offsetof(typeof(*(context)), member))); \
	value; \
})

/* Likewise, of a member that the verifier makes a pointer of. */
#define READ_POINTER(context, member) ({ \
	void *value; \
	asm volatile("%0 = *(u32 *)(%1 + %2)" \
		     : "=r"(value) \
		     : "r"(context), "i"(__builtin_offsetof(typeof(*(context)), member))); \
	value; \
})

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define htons(x) __builtin_bswap16(x)
#define htonl(x) __builtin_bswap32(x)
#else
#define htons(x) (x)
#define htonl(x) (x)
#endif

/* Helpers are called by number; the verifier knows them by it. */
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags) =
	(void *)BPF_FUNC_skb_store_bytes;
static long (*bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags) =
	(void *)BPF_FUNC_l4_csum_replace;
static long (*bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static __u64 (*bpf_get_socket_cookie)(void *context) = (void *)BPF_FUNC_get_socket_cookie;
static long (*bpf_skb_load_bytes_relative)(const void *skb, __u32 offset, void *to, __u32 len, __u32 start_header) =
	(void *)BPF_FUNC_skb_load_bytes_relative;
static long (*bpf_sk_release)(void *sock) = (void *)BPF_FUNC_sk_release;
static long (*bpf_sk_assign)(void *context, void *sock, __u64 flags) = (void *)BPF_FUNC_sk_assign;
static __u64 (*bpf_ktime_get_coarse_ns)(void) = (void *)BPF_FUNC_ktime_get_coarse_ns;
static __u64 (*bpf_ktime_get_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;
static long (*bpf_xdp_adjust_meta)(struct xdp_md *context, int delta) = (void *)BPF_FUNC_xdp_adjust_meta;
static long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect;
static __s64 (*bpf_csum_diff)(const __be32 *from, __u32 from_size, const __be32 *to, __u32 to_size, __u32 seed) =
	(void *)BPF_FUNC_csum_diff;

#endif
