// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* sink: counts what arrives of the generator's streams, and how long it took, and drops it. */
#include "helpers.h"
#include "frames.h"
#include <linux/if_ether.h>

#define IPPROTO_UDP 17
#define IP_WITHOUT_OPTIONS 0x45
#define RTP_VERSION_2 0x80
/* PCMU with or without the marker; RTCP is neither. */
#define PAYLOAD_TYPE_MASK 0x7f

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct frames_control);
	__uint(max_entries, 1);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct frames_received);
	__uint(max_entries, 1);
} received SEC(".maps");

/* By the number of the stream, which is that of its port. A device with one queue hands us one packet after the other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct frames_heard);
	__uint(max_entries, 1); /* set when it is loaded */
} heard SEC(".maps");

static __always_inline __u32 bucket_of(__u32 latency_ns)
{
	__u32 shift = 0, value = latency_ns >> (FRAMES_BUCKET_BITS + 1);

	if (value >> 16) { shift += 16; value >>= 16; }
	if (value >> 8) { shift += 8; value >>= 8; }
	if (value >> 4) { shift += 4; value >>= 4; }
	if (value >> 2) { shift += 2; value >>= 2; }
	if (value >> 1) { shift += 1; value >>= 1; }
	shift += value;
	return (shift << FRAMES_BUCKET_BITS) + (latency_ns >> shift);
}

/* Adds to a checksum what the rest of it does not cover, and says whether all of it comes to nothing, as it should. */
static __always_inline int is_wrong(__s64 sum)
{
	sum = (sum & 0xffff) + ((__u32)sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) != 0xffff;
}

static __always_inline int is_corrupt(__u8 *data)
{
	/* What the UDP checksum covers of the IP header: addresses, protocol, length (RFC 768). */
	__be32 pseudo[3] = { *(__be32 *)(data + FRAMES_AT_IP + 12), *(__be32 *)(data + FRAMES_AT_IP + 16),
			     htonl(IPPROTO_UDP << 16 | FRAMES_UDP_LEN) };
	__s64 sum;

	if (is_wrong(bpf_csum_diff(0, 0, (__be32 *)(data + FRAMES_AT_IP), 20, 0)))
		return 1;
	sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
	return is_wrong(bpf_csum_diff(0, 0, (__be32 *)(data + FRAMES_AT_UDP), FRAMES_UDP_LEN, sum));
}

/* Counts what the sequence number says of loss and order. */
static __always_inline void hear(struct frames_heard *stream, struct frames_received *account, __u16 sequence)
{
	__s16 ahead = sequence - stream->expected;

	if (likely(ahead == 0 || !stream->begun)) {
		stream->begun = 1;
		stream->expected = sequence + 1;
	} else if (ahead > 0) {
		account->skipped += ahead;
		stream->expected = sequence + 1;
	} else {
		account->skipped--;
		account->late++;
	}
}

SEC("xdp")
int sink(struct xdp_md *context)
{
	__u8 *data = (__u8 *)(long)context->data, *end = (__u8 *)(long)context->data_end;
	struct frames_control *wanted;
	struct frames_received *account;
	struct frames_heard *stream;
	__u32 first = 0, number, latency, bucket;
	__u64 now, sent;

	if (data + FRAMES_AT_RTP + 2 > end)
		return XDP_PASS;
	/* The kernel answers ARP; nobody is to tell a relay that there is no such port. */
	if (*(__be16 *)(data + FRAMES_AT_ETHERTYPE) != htons(ETH_P_IP) || data[FRAMES_AT_IP] != IP_WITHOUT_OPTIONS ||
	    data[FRAMES_AT_PROTOCOL] != IPPROTO_UDP)
		return XDP_PASS;
	account = bpf_map_lookup_elem(&received, &first);
	wanted = bpf_map_lookup_elem(&control, &first);
	if (!account || !wanted)
		return XDP_PASS;
	number = htons(*(__be16 *)(data + FRAMES_AT_DESTINATION)) - FRAMES_FIRST_PORT;
	stream = bpf_map_lookup_elem(&heard, &number);
	if (!stream || data + FRAMES_LEN > end ||
	    *(__be16 *)(data + FRAMES_AT_IP_LEN) != htons(FRAMES_LEN - FRAMES_AT_IP + wanted->tag_len) ||
	    data[FRAMES_AT_RTP] != RTP_VERSION_2 ||
	    data[FRAMES_AT_RTP + 1] & PAYLOAD_TYPE_MASK) {
		account->strange++;
		return XDP_DROP;
	}
	if (wanted->verify && is_corrupt(data)) {
		account->corrupt++;
		return XDP_DROP;
	}
	account->total++;
	hear(stream, account, htons(*(__be16 *)(data + FRAMES_AT_SEQUENCE)));
	now = bpf_ktime_get_ns();
	latency = (__u32)now - htonl(*(__be32 *)(data + FRAMES_AT_TIMESTAMP));
	sent = now - latency;
	if (sent < wanted->begin_ns || sent >= wanted->end_ns)
		return XDP_DROP;
	account->received++;
	bucket = bucket_of(latency);
	if (bucket < FRAMES_BUCKETS)
		account->buckets[bucket]++;
	return XDP_DROP;
}

const char LICENSE[] SEC("license") = "Dual MIT/GPL";
