/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Whose port it is: the map that `steer` and `fast` share, so that a port is one and the same however its datagrams come to the worker.
 * src/steered/layout.rs says in Rust how it is laid out.
 */
#ifndef PATCHCORD_LEASE_H
#define PATCHCORD_LEASE_H

#include "port.h"

/* Whose it is, and how much has come lately. */
struct lease {
	/* Index into the map of sockets; beyond it: what comes is dropped. */
	__u32 socket;
	/* The window that is being counted: time in units of 2^LEASE_WINDOW_SHIFT ns. */
	__u32 window;
	/* Datagrams in this window so far. */
	__u32 count;
};

/* 2^26 ns, 67 ms. */
#define LEASE_WINDOW_SHIFT 26
/* Datagrams that one port may receive in one window: 61,000 a second, more than a thousand streams of audio and an eighth of what a
 * worker can relay. */
#define LEASE_WINDOW_DATAGRAMS 4096

_Static_assert(sizeof(struct lease) == 12, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct lease, count) == 8, "as in layout.rs");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct port_key);
	__type(value, struct lease);
	__uint(max_entries, 1); /* as many as the workers have room for; set when it is loaded */
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ports SEC(".maps");

/* Datagrams that were one too many for their port, for each socket. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1); /* set when it is loaded */
} flooded SEC(".maps");

/* Whether the port has had its share. Two CPUs that count at once may lose a count: it is a limit against floods, no account. */
static __always_inline int is_flooded(struct lease *lease)
{
	__u64 *dropped;
	__u32 window = bpf_ktime_get_coarse_ns() >> LEASE_WINDOW_SHIFT;

	if (lease->window != window) {
		lease->window = window;
		lease->count = 0;
	}
	if (likely(lease->count < LEASE_WINDOW_DATAGRAMS)) {
		lease->count++;
		return 0;
	}
	dropped = bpf_map_lookup_elem(&flooded, &lease->socket);
	if (dropped)
		__sync_fetch_and_add(dropped, 1);
	return 1;
}

#endif
