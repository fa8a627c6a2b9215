/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A local address and port, as maps have it for a key. src/port.rs says the same in Rust. */
#ifndef PATCHCORD_PORT_H
#define PATCHCORD_PORT_H

#include <linux/types.h>

/* Where a datagram was sent to. IPv4 addresses are written as IPv4-mapped IPv6 ones (RFC 4291 2.5.5.2). */
struct port_key {
	__u8 address[16];
	/* Host order, which is what sk_lookup programs see. */
	__u16 port;
	__u16 zero;
};

_Static_assert(sizeof(struct port_key) == 20, "as in port.rs");

#endif
