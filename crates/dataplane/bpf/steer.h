/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the steering programs share with user space. src/steered/layout.rs says the same in Rust. */
#ifndef PATCHCORD_STEER_H
#define PATCHCORD_STEER_H

#include "port.h"

/* Whose port it is, and how much has come lately. */
struct steer_lease {
	/* Index into the map of sockets; beyond it: what comes is dropped. */
	__u32 socket;
	/* The window that is being counted: time in units of STEER_WINDOW_NS. */
	__u32 window;
	/* Datagrams in this window so far. */
	__u32 count;
};

/* 2^26 ns, 67 ms. */
#define STEER_WINDOW_SHIFT 26
/* Datagrams that one port may receive in one window: 61,000 a second, more than a thousand streams of audio and an eighth of what a
 * worker can relay. */
#define STEER_WINDOW_DATAGRAMS 4096

_Static_assert(sizeof(struct steer_lease) == 12, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct steer_lease, count) == 8, "as in layout.rs");

#endif
