/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What generator and sink share with user space. src/frames/layout.rs says the same in Rust, with the same sizes and offsets. */
#ifndef PATCHCORD_FRAMES_H
#define PATCHCORD_FRAMES_H

#include <linux/types.h>

/* Ethernet, IPv4, UDP, RTP: 14 + 20 + 8 + 12, and 160 samples of G.711. */
#define FRAMES_LEN 214
#define FRAMES_UDP_LEN 180

/* Where fields lie in a frame. */
#define FRAMES_AT_ETHERTYPE 12
#define FRAMES_AT_IP 14
#define FRAMES_AT_IP_LEN 16
#define FRAMES_AT_PROTOCOL 23
#define FRAMES_AT_UDP 34
#define FRAMES_AT_DESTINATION 36
#define FRAMES_AT_UDP_SUM 40
#define FRAMES_AT_RTP 42
#define FRAMES_AT_SEQUENCE 44
#define FRAMES_AT_TIMESTAMP 46

/* One direction of a call, as the generator sends it. */
struct frames_stream {
	/* The headers and two bytes of payload: whole words, which are copied faster. */
	__u64 head[7];
	/* Of the next packet. */
	__u16 sequence;
	/* Index into the map of devices. */
	__u16 device;
	/* Sum of all that the UDP checksum covers, but for sequence and timestamp: 16-bit words in network order, not folded. */
	__u32 sum;
};

/* What user space wants. Times are those of CLOCK_MONOTONIC, which bpf_ktime_get_ns reads. */
struct frames_control {
	/* Packets that are sent in [begin, end) are counted, by the generator when it sends and by the sink when they arrive. */
	__u64 begin_ns;
	__u64 end_ns;
	/* Time between two packets in units of 1/256 ns; 0 sends none. */
	__u64 interval;
	/* Streams in use. */
	__u32 streams;
	/* The sink recomputes the checksums of what it receives. */
	__u32 verify;
	/* Turns until it is sure that what was sent has gone out: frames go out at the end of a batch. */
	__u32 batch;
	/* What SRTP adds to a packet that arrives, 0 for RTP: a sink that expects the one takes the other for strange. */
	__u32 tag_len;
};

#define FRAMES_INTERVAL_SHIFT 8
/* A generator that was held up catches up with so much time of packets: a burst of all that it missed measures buffers. */
#define FRAMES_CATCH_UP_NS 1000000

/* What the generator did. Only it writes here while it runs. */
struct frames_sent {
	/* When the next packet is due, in units of 1/256 ns. */
	__u64 next;
	/* Sent in the window. */
	__u64 sent;
	/* Due in the window, but left out. */
	__u64 missed;
	/* Turns in the window in which nothing was due. */
	__u64 waited;
	/* Time of the window that was spent on packets, here and in all that the kernel does with them on this CPU. */
	__u64 busy_ns;
	/* When the last turn began. */
	__u64 last_ns;
	/* Running mean of the time that a turn takes in which nothing is due, in units of 1/64 ns. */
	__u64 idle_turn;
	/* Whose turn it is. */
	__u32 stream;
	/* Turns since a packet was sent. */
	__u32 idle;
};

#define FRAMES_IDLE_TURN_SHIFT 6
/* A turn with nothing to do that takes longer was interrupted. */
#define FRAMES_IDLE_TURN_MAX_NS 5000
/* Any turn that takes longer was interrupted by somebody else. */
#define FRAMES_INTERRUPTED_NS 500000

/* What the sink knows of a stream. */
struct frames_heard {
	__u16 expected;
	__u16 begun;
};

/* Latencies are counted in buckets that are 1/32 of a power of two wide, and 1 ns below 32 ns. */
#define FRAMES_BUCKET_BITS 5
#define FRAMES_BUCKETS 896

/* What the sink received, on each CPU. */
struct frames_received {
	/* Of the window. */
	__u64 received;
	/* Of any time. */
	__u64 total;
	/* Sequence numbers that were skipped, less those that came late after all; of any time. */
	__u64 skipped;
	/* Arrived after a later one. */
	__u64 late;
	/* To a port of a stream, but no RTP of ours. */
	__u64 strange;
	/* Checksums that were wrong, if they were verified. */
	__u64 corrupt;
	/* Latencies of the packets of the window. */
	__u64 buckets[FRAMES_BUCKETS];
};

/* The port of stream 0 of each side. */
#define FRAMES_FIRST_PORT 10000

_Static_assert(sizeof(struct frames_stream) == 64, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct frames_stream, sequence) == 56, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct frames_stream, sum) == 60, "as in layout.rs");
_Static_assert(sizeof(struct frames_control) == 40, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct frames_control, batch) == 32, "as in layout.rs");
_Static_assert(sizeof(struct frames_sent) == 64, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct frames_sent, stream) == 56, "as in layout.rs");
_Static_assert(sizeof(struct frames_heard) == 4, "as in layout.rs");
_Static_assert(sizeof(struct frames_received) == 48 + 8 * FRAMES_BUCKETS, "as in layout.rs");
_Static_assert(__builtin_offsetof(struct frames_received, buckets) == 48, "as in layout.rs");

#endif
