// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * fast: forwards the packets of flows that need no decision, before the kernel's network stack has seen them, and gives those
 * that are for the engine to the workers' AF_XDP sockets, if they have some.
 *
 * What a flow is, the engine says, and what is done with its packets is what the engine would do, to the bit (Flow::step in
 * crates/relay/src/flow.rs says it in Rust; a test compares the two). Whatever is not one of a flow's packets goes to the engine
 * as if there were no flow: RTCP, STUN and DTLS; other sources. One of the source's own that is for the engine to judge ends the flow in
 * the same step, so that the engine has that one and all behind it, in their order. Fragments, options, VLANs and what is for none of
 * our ports pass up to the kernel as if this program were not there.
 */
#include "helpers.h"
#include "fast.h"
#include "lease.h"
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#define IPPROTO_UDP 17
/* More fragments, and the offset. */
#define IP_FRAGMENT 0x3fff
/* RFC 3550 A.1 */
#define MAX_DROPOUT 3000
#define WINDOW 64
/* An RTP packet within an Ethernet's largest frame. */
#define RTP_BYTES_MAX 1472

/* Whose flow comes to a port. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct port_key);
	__type(value, __u32);
	__uint(max_entries, 1); /* set when it is loaded */
	__uint(map_flags, BPF_F_NO_PREALLOC);
} places SEC(".maps");

/* User space has them in its memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct fast_flow);
	__uint(max_entries, 1); /* set when it is loaded */
	__uint(map_flags, BPF_F_MMAPABLE);
} flows SEC(".maps");

/* The workers' sockets of a queue of an interface: where those of the first worker, the second and so on begin in `rings`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct fast_queue);
	__type(value, __u32);
	__uint(max_entries, 1); /* set when it is loaded */
} queues SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1); /* set when it is loaded */
} rings SEC(".maps");

struct rtp {
	__u8 shape;
	__u8 format;
	__be16 sequence;
	__be32 timestamp;
	__be32 ssrc;
} __attribute__((packed));

/* What a packet is, as far as its headers say. */
struct packet {
	struct rtp *rtp;
	/* Of the RTP packet. */
	__u32 len;
	int is_v4;
	/* As in a flow. */
	__u64 from[2];
	__be16 from_port;
	__be16 checksum;
	/* Sum of the pseudo header's words, and of the UDP header's but for the checksum, in the machine's order. */
	__u32 pseudo_sum;
	__u32 udp_sum;
};

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

#define ADD(size) \
	do { \
		if (unlikely(at + (size) > end)) \
			return -1; \
		sum = bpf_csum_diff(0, 0, at, size, sum); \
		at += size; \
	} while (0)
#define ADD_IF(size) \
	do { \
		if (len & (size)) \
			ADD(size); \
	} while (0)

/*
 * The verifier wants to see constant lengths, and goes each way through the branches below, of which there is one for every length. So
 * that what is behind is not gone through as often, pointers are read anew there (see `again`), and the sum is made in two parts.
 */
#define REST 15

/* The sum of all blocks of 16 bytes of `len` bytes, less than 2048, in the machine's order; -1 if they are not there. */
static __always_inline __s64 sum_of_blocks(void *at, void *end, __u32 len)
{
	__s64 sum = 0;

	if (len & 1024) {
		ADD(512);
		ADD(512);
	}
	ADD_IF(512);
	ADD_IF(256);
	ADD_IF(128);
	ADD_IF(64);
	ADD_IF(32);
	ADD_IF(16);
	return sum;
}

/* And of those behind. */
static __always_inline __s64 sum_of_rest(void *at, void *end, __u32 len, __s64 sum)
{
	ADD_IF(8);
	ADD_IF(4);
	if (len & 2) {
		if (at + 2 > end)
			return -1;
		sum += *(__u16 *)at;
		at += 2;
	}
	if (len & 1) {
		if (at + 1 > end)
			return -1;
		sum += htons(*(__u8 *)at << 8);
	}
	return sum;
}

/* Reads a plain datagram and where it was sent to; 0 if it is none. */
static __always_inline int read(struct packet *packet, struct port_key *port, void *data, void *end)
{
	struct ethhdr *ethernet = data;
	struct udphdr *udp;
	__u32 *address = (__u32 *)port->address;

	if (data + sizeof(*ethernet) > end)
		return 0;
	packet->is_v4 = ethernet->h_proto == htons(ETH_P_IP);
	if (packet->is_v4) {
		struct iphdr *ip = data + sizeof(*ethernet);
		__u32 *words = (__u32 *)ip;

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end)
			return 0;
		if (*(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_UDP || ip->frag_off & htons(IP_FRAGMENT))
			return 0;
		if (ip->tot_len != htons(htons(udp->len) + sizeof(*ip)))
			return 0;
		if (fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]) != 0xffff)
			return 0;
		address[0] = address[1] = 0;
		address[2] = htonl(0xffff);
		address[3] = ip->daddr;
		packet->from[0] = 0;
		packet->from[1] = (__u64)ip->saddr << 32 | htonl(0xffff);
		packet->pseudo_sum = fold((__u64)ip->saddr + ip->daddr + htons(IPPROTO_UDP) + udp->len);
	} else if (ethernet->h_proto == htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + sizeof(*ethernet);
		__u32 *words = (__u32 *)&ip->saddr;
		__u64 sum;

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end)
			return 0;
		if (ip->nexthdr != IPPROTO_UDP || ip->payload_len != udp->len || !udp->check)
			return 0;
		address[0] = words[4];
		address[1] = words[5];
		address[2] = words[6];
		address[3] = words[7];
		packet->from[0] = (__u64)words[1] << 32 | words[0];
		packet->from[1] = (__u64)words[3] << 32 | words[2];
		sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4] + words[5] + words[6] + words[7];
		packet->pseudo_sum = fold(sum + htons(IPPROTO_UDP) + udp->len);
	} else {
		return 0;
	}
	port->port = htons(udp->dest);
	port->zero = 0;
	packet->from_port = udp->source;
	packet->checksum = udp->check;
	packet->udp_sum = (__u32)udp->source + udp->dest + udp->len;
	packet->rtp = (void *)(udp + 1);
	packet->len = (__u32)htons(udp->len) - sizeof(*udp);
	/* Wrapped, if the length is none. */
	if (packet->len < sizeof(struct rtp) || packet->len > RTP_BYTES_MAX)
		return 0;
	return (void *)(packet->rtp + 1) <= end;
}

/* RFC 3550's version, and not RTCP (RFC 5761 4). */
static __always_inline int is_rtp(const struct rtp *rtp)
{
	return rtp->shape >> 6 == 2 && (rtp->format & 0xe0) != 192;
}

static __always_inline __u32 sum_of_header(const struct rtp *rtp)
{
	const __u32 *words = (const __u32 *)rtp;

	return fold((__u64)words[0] + words[1] + words[2]);
}

/*
 * Whether the checksum is right: or there is none, which IPv4 allows; or the sender has left it to its device and the packet has
 * never been on a wire, in which case it is that of the pseudo header.
 */
static __always_inline int is_intact(const struct packet *packet, __u32 payload_sum)
{
	__u32 sum;

	if (!packet->checksum || packet->checksum == packet->pseudo_sum)
		return 1;
	sum = fold((__u64)packet->pseudo_sum + packet->udp_sum + packet->checksum + sum_of_header(packet->rtp) + payload_sum);
	return sum == 0xffff;
}

/* Nanoseconds in timestamp units, to the nearest: (nanos * clock + 2^39) >> 40, of which 96 bits would be needed. */
static __always_inline __u32 ts_units(__u64 nanos, __u32 clock)
{
	__u64 high = (nanos >> 32) * clock;
	__u64 low = (nanos & 0xffffffff) * clock;

	/* Halved, because the sum may have 65 bits. */
	return (high + (((low >> 1) + (1ULL << 38)) >> 31)) >> 8;
}

/* RFC 3550 A.8, as the engine has it. */
static __always_inline void observe_transit(struct fast_reception *reception, __u32 transit)
{
	__u32 step = transit - reception->transit;

	if ((__s32)step < 0)
		step = -step;
	reception->transit = transit;
	if (step <= reception->clock >> 7)
		reception->jitter += step - ((reception->jitter + 8) >> 4);
}

enum outcome {
	ENDS,
	FORWARDED,
	DROPPED,
};

/* Flow::step: the program has the flow to itself. */
static __always_inline enum outcome step(struct fast_flow *flow, const struct packet *packet, __u64 now)
{
	struct fast_reception *reception = &flow->progress.reception;
	struct fast_sending *sending = &flow->progress.sending;
	struct rtp *rtp = packet->rtp;
	__u16 sequence = htons(rtp->sequence), ahead, behind, sent_sequence, sent_behind = 0;
	__u8 payload_type = flow->payload_types[rtp->format & 0x7f];
	__u32 transit, timestamp;
	__s16 sent_ahead;
	int is_newer, was_seen = 0, was_sent = 0;

	if (rtp->shape != 0x80 || payload_type & FAST_ENGINE || htonl(rtp->ssrc) != reception->ssrc)
		return ENDS;
	if (packet->len > flow->len_max)
		return ENDS;
	ahead = sequence - (__u16)reception->extended_highest;
	behind = -ahead;
	is_newer = ahead && ahead < MAX_DROPOUT;
	if (!is_newer) {
		if (behind >= WINDOW)
			return ENDS;
		was_seen = reception->seen >> behind & 1;
	}
	sent_sequence = sequence + flow->sequence_offset;
	sent_ahead = sent_sequence - (__u16)sending->newest;
	if (sent_ahead <= 0) {
		sent_behind = -sent_ahead;
		if (sent_behind >= WINDOW || sending->newest - sending->first < sent_behind)
			return ENDS;
		was_sent = sending->sent_window >> sent_behind & 1;
	}
	if (was_seen != was_sent)
		return ENDS;

	reception->packets++;
	flow->progress.bytes += packet->len;
	flow->progress.last_packet_at = now;
	if (was_seen) {
		reception->duplicates++;
		return DROPPED;
	}
	timestamp = htonl(rtp->timestamp);
	transit = ts_units(now, reception->clock) - timestamp;
	if (likely(is_newer)) {
		reception->extended_highest += ahead;
		reception->seen = (ahead < WINDOW ? reception->seen << ahead : 0) | 1;
		reception->restart_at = sequence;
	} else {
		reception->seen |= 1ULL << behind;
		if (behind > reception->extended_highest - reception->base) {
			reception->expected_outside++;
			reception->received_outside++;
		}
		reception->reordered++;
	}
	observe_transit(reception, transit);

	timestamp += flow->timestamp_offset;
	if (likely(sent_ahead > 0)) {
		sending->newest += sent_ahead;
		sending->sent_window = (sent_ahead < WINDOW ? sending->sent_window << sent_ahead : 0) | 1;
		if (timestamp != sending->timestamp) {
			__u32 units = timestamp - sending->timestamp;

			if (sent_ahead == 1 && units <= sending->frame_ts_units_max)
				sending->frame_ts_units = units;
			sending->timestamp = timestamp;
			sending->timestamp_at = now;
		}
	} else {
		sending->sent_window |= 1ULL << sent_behind;
	}
	sending->packets++;
	sending->bytes += packet->len;
	sending->last_sent_at = now;

	rtp->format = (rtp->format & 0x80) | payload_type;
	rtp->sequence = htons(sent_sequence);
	rtp->timestamp = htonl(timestamp);
	rtp->ssrc = htonl(flow->ssrc);
	return FORWARDED;
}

/* Puts the flow's headers in front of the packet, in the place of those that it came with: they are as long. */
static __always_inline void address(const struct fast_flow *flow, const struct packet *packet, void *data, __u32 payload_sum)
{
	const __u64 *from = (const __u64 *)flow->headers;
	__u64 *to = data;
	struct ethhdr *ethernet = data;
	__u16 len = packet->len + sizeof(struct udphdr);
	struct udphdr *udp;
	__u32 sum;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
	to[4] = from[4];
	if (packet->is_v4) {
		struct iphdr *ip = data + sizeof(*ethernet);

		*(__u16 *)(to + 5) = *(const __u16 *)(from + 5);
		udp = (void *)(ip + 1);
		ip->tot_len = htons(len + sizeof(*ip));
		ip->check = htons(~fold(flow->ip_sum + len + sizeof(*ip)));
	} else {
		struct ipv6hdr *ip = data + sizeof(*ethernet);

		to[5] = from[5];
		to[6] = from[6];
		*(__u32 *)(to + 7) = *(const __u32 *)(from + 7);
		*((__u16 *)(to + 7) + 2) = *((const __u16 *)(from + 7) + 2);
		udp = (void *)(ip + 1);
		ip->payload_len = htons(len);
	}
	udp->len = htons(len);
	/* The length is in the pseudo header and in the header. */
	sum = ~fold(flow->udp_sum + 2 * len + htons(fold((__u64)payload_sum + sum_of_header(packet->rtp)))) & 0xffff;
	/* 0 would say that there is none (RFC 768). */
	udp->check = htons(sum ? sum : 0xffff);
}

/*
 * The RTP packet anew, as the verifier sees it: so many bytes as its header has are known to be there, whatever was found out before,
 * and there are no two ways on from here.
 */
static __always_inline struct rtp *again(struct xdp_md *context, void **data, void **end, int is_v4)
{
	struct rtp *rtp;

	*end = READ_POINTER(context, data_end);
	*data = READ_POINTER(context, data);
	rtp = *data + sizeof(struct ethhdr) + sizeof(struct udphdr) + (is_v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	return (void *)(rtp + 1) <= *end ? rtp : 0;
}

/*
 * Gives a packet to the worker whose port it came to, with the time in front of it: by a socket of the queue that it came by, or, if there is none,
 * by the kernel's stack.
 */
static __always_inline int hand_over(struct xdp_md *context, const struct port_key *port)
{
	struct fast_queue queue = { .interface = context->ingress_ifindex, .index = context->rx_queue_index };
	struct lease *lease = bpf_map_lookup_elem(&ports, port);
	__u32 *first;
	__u64 *meta;

	if (!lease)
		return XDP_PASS;
	first = bpf_map_lookup_elem(&queues, &queue);
	if (!first)
		return XDP_PASS;
	if (is_flooded(lease))
		return XDP_DROP;
	/* Not every driver leaves room. */
	if (bpf_xdp_adjust_meta(context, -(int)sizeof(*meta)))
		return XDP_PASS;
	meta = READ_POINTER(context, data_meta);
	if ((void *)(meta + 1) > READ_POINTER(context, data))
		return XDP_PASS;
	*meta = bpf_ktime_get_ns();
	/* Each worker has two of the other sockets. */
	return bpf_redirect_map(&rings, *first + (lease->socket >> 1), XDP_PASS);
}

SEC("xdp")
int fast(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct packet packet;
	struct port_key port;
	struct fast_flow *flow;
	enum outcome outcome;
	__u32 *place, state, payload_sum, len;
	__s64 sum;

	if (!read(&packet, &port, data, end))
		return XDP_PASS;
	place = bpf_map_lookup_elem(&places, &port);
	if (!place)
		return hand_over(context, &port);
	flow = bpf_map_lookup_elem(&flows, place);
	if (!flow)
		return XDP_PASS;
	if (!is_rtp(packet.rtp) || packet.from_port != flow->from_port || packet.from[0] != *(__u64 *)flow->from ||
	    packet.from[1] != *(__u64 *)(flow->from + 8))
		return hand_over(context, &port);
	state = *(volatile __u32 *)&flow->state;
	if (state != FAST_ACTIVE && !(state == FAST_ARMED && flow->passed == flow->armed))
		goto pass;
	len = packet.len - sizeof(struct rtp);
	sum = sum_of_blocks(packet.rtp + 1, end, len);
	packet.rtp = again(context, &data, &end, packet.is_v4);
	if (sum < 0 || !packet.rtp)
		return XDP_PASS;
	sum = sum_of_rest((void *)(packet.rtp + 1) + (len & ~REST & 0x7ff), end, len, sum);
	packet.rtp = again(context, &data, &end, packet.is_v4);
	if (sum < 0 || !packet.rtp)
		return XDP_PASS;
	payload_sum = fold(sum);
	/* Changed on its way: the kernel will say so, and no engine sees it. */
	if (!is_intact(&packet, payload_sum))
		return XDP_PASS;
	/* Taken back meanwhile, or another CPU is at it. */
	if (__sync_val_compare_and_swap(&flow->state, state, FAST_BUSY) != state)
		goto pass;
	outcome = step(flow, &packet, bpf_ktime_get_ns());
	if (unlikely(outcome == ENDS)) {
		flow->passed = htons(packet.rtp->sequence);
		__sync_lock_test_and_set(&flow->state, FAST_ENDED);
		return hand_over(context, &port);
	}
	if (outcome == FORWARDED)
		address(flow, &packet, data, payload_sum);
	state = flow->interface;
	flow->version++;
	/* All of the above is to be seen before this. */
	__sync_lock_test_and_set(&flow->state, FAST_ACTIVE);
	if (outcome == DROPPED)
		return XDP_DROP;
	return state == context->ingress_ifindex ? XDP_TX : bpf_redirect(state, 0);

pass:
	flow->passed = htons(packet.rtp->sequence);
	return hand_over(context, &port);
}

const char LICENSE[] SEC("license") = "Dual MIT/GPL";
