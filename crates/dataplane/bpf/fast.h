/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the program `fast` shares with user space. src/xdp/layout.rs and the engine's Progress say the same in Rust. */
#ifndef PATCHCORD_FAST_H
#define PATCHCORD_FAST_H

#include "port.h"

/*
 * Who moves a flow on. User space has it to itself in FAST_UP and FAST_ENDED, and takes it from FAST_ARMED and FAST_ACTIVE by
 * compare and swap; the program has it to itself in FAST_BUSY, for one packet.
 */
enum fast_state {
	/* All packets go to the engine. */
	FAST_UP,
	/* So do they; but if the last that did has the number `armed`, the engine has handled all, and the next is forwarded here. */
	FAST_ARMED,
	/* Packets are forwarded here. */
	FAST_ACTIVE,
	/* One is being forwarded. */
	FAST_BUSY,
	/* One came that is for the engine: it is given all from that one on. */
	FAST_ENDED,
};

/* In `payload_types`: the engine must see it. */
#define FAST_ENGINE 0x80

/* The engine's Reception: RFC 3550 A.1 and A.8. */
struct fast_reception {
	__u64 seen;
	__u64 packets;
	__u32 clock;
	__u32 ssrc;
	__u32 extended_highest;
	__u16 base;
	__u16 restart_at;
	__u32 expected_outside;
	__u32 received_outside;
	__u32 transit;
	__u32 jitter;
	__u32 duplicates;
	__u32 reordered;
};

/* The engine's Sending. */
struct fast_sending {
	__u64 newest;
	__u64 first;
	__u64 sent_window;
	__u64 packets;
	__u64 bytes;
	__u64 last_sent_at;
	__u64 timestamp_at;
	__u32 timestamp;
	__u16 frame_ts_units;
	__u16 frame_ts_units_max;
};

/* The engine's Progress. */
struct fast_progress {
	struct fast_reception reception;
	__u64 bytes;
	__u64 last_packet_at;
	struct fast_sending sending;
};

/* Bytes of the longest headers: Ethernet, IPv6, UDP. */
#define FAST_HEADERS_MAX 62

/* A flow, in whole cache lines. */
struct fast_flow {
	__u32 state;
	/* Counts what the program has done, so that user space can tell a copy that was made meanwhile. */
	__u32 version;
	/* Written by the program alone, but at a flow's beginning: the number of the last packet that it gave to the engine. */
	__u16 passed;
	__u16 zero;

	/* Written by user space alone, in FAST_UP. */
	__u16 armed;
	/* What is added to the source's numbering. */
	__u16 sequence_offset;
	/* In network order, as all addresses. */
	__u8 from[16];
	__be16 from_port;
	__u16 zero1;
	__u32 timestamp_offset;
	/* That the listener sees. */
	__u32 ssrc;
	/* That packets leave by. */
	__u32 interface;
	/* Bytes of the largest RTP packet that goes by there in one piece. */
	__u32 len_max;
	/* Sums of the headers' words but for lengths and checksums, as values of network words. */
	__u32 ip_sum;
	__u32 udp_sum;
	__u32 zero2;

	struct fast_progress progress;
	/* Ethernet, IP and UDP, with lengths and checksums 0. */
	__u8 headers[FAST_HEADERS_MAX];
	__u8 zero3[2];
	/* What the listener calls each payload type. */
	__u8 payload_types[128];
	__u8 zero4[56];
};

/* A receive queue of an interface. */
struct fast_queue {
	__u32 interface;
	__u32 index;
};

_Static_assert(sizeof(struct fast_queue) == 8, "as in af_xdp/opener.rs");
_Static_assert(sizeof(struct fast_reception) == 56, "as in the engine");
_Static_assert(sizeof(struct fast_sending) == 64, "as in the engine");
_Static_assert(sizeof(struct fast_progress) == 136, "as in the engine");
_Static_assert(__builtin_offsetof(struct fast_flow, armed) == 12, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct fast_flow, from) == 16, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct fast_flow, udp_sum) == 56, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct fast_flow, progress) == 64, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct fast_flow, headers) == 200, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct fast_flow, payload_types) == 264, "as in layout.rs");
_Static_assert(sizeof(struct fast_flow) == 448, "as in layout.rs");

#endif
