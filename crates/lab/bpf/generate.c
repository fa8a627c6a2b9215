// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * generate: makes the frames of all streams in turn, each when it is due.
 *
 * It is not attached anywhere: user space runs it by BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES
 * (Documentation/bpf/bpf_prog_run.rst), which hands it one frame after another and puts out what it redirects. The frames are
 * used again and again, so that all is written anew that a relay may have changed on the last trip.
 */
#include "helpers.h"
#include "frames.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct frames_control);
	__uint(max_entries, 1);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct frames_sent);
	__uint(max_entries, 1);
} sent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct frames_stream);
	__uint(max_entries, 1); /* set when it is loaded */
} streams SEC(".maps");

/* The devices to send by, of any network namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
	__uint(max_entries, 2);
} devices SEC(".maps");

/*
 * Counts the time since the last turn, as far as it was spent on packets. What a packet costs beyond its own turn shows at the
 * end of its batch, some turns later, as what that turn takes longer than others in which nothing is due.
 */
static __always_inline void count_time(const struct frames_control *wanted, struct frames_sent *done, __u64 now, int counts)
{
	__u64 turn = now - done->last_ns, idle;

	done->last_ns = now;
	if (done->idle >= wanted->batch) {
		if (turn < FRAMES_IDLE_TURN_MAX_NS)
			done->idle_turn += turn - (done->idle_turn >> FRAMES_IDLE_TURN_SHIFT);
		return;
	}
	idle = done->idle ? done->idle_turn >> FRAMES_IDLE_TURN_SHIFT : 0;
	done->idle++;
	if (counts && turn < FRAMES_INTERRUPTED_NS && turn > idle)
		done->busy_ns += turn - idle;
}

/* Whether a packet is due at this time; counts. */
static __always_inline int is_due(const struct frames_control *wanted, struct frames_sent *done, __u64 now, int counts)
{
	__u64 interval = wanted->interval;
	__u64 time = now << FRAMES_INTERVAL_SHIFT;
	__u64 behind;

	if (!interval) {
		done->next = 0;
		done->waited += counts;
		return 0;
	}
	if (!done->next)
		done->next = time;
	if (time < done->next) {
		done->waited += counts;
		return 0;
	}
	behind = time - done->next;
	if (unlikely(behind > (FRAMES_CATCH_UP_NS << FRAMES_INTERVAL_SHIFT))) {
		behind -= FRAMES_CATCH_UP_NS << FRAMES_INTERVAL_SHIFT;
		if (counts)
			done->missed += behind / interval;
		done->next += behind;
	}
	done->next += interval;
	done->sent += counts;
	done->idle = 0;
	return 1;
}

SEC("xdp")
int generate(struct xdp_md *context)
{
	__u8 *data = (__u8 *)(long)context->data;
	__u64 *words = (__u64 *)data;
	struct frames_control *wanted;
	struct frames_stream *stream;
	struct frames_sent *done;
	__u32 first = 0, number, sum;
	__u64 now;
	int counts;

	wanted = bpf_map_lookup_elem(&control, &first);
	done = bpf_map_lookup_elem(&sent, &first);
	if (!wanted || !done || data + FRAMES_LEN > (__u8 *)(long)context->data_end)
		return XDP_DROP;
	now = bpf_ktime_get_ns();
	counts = now >= wanted->begin_ns && now < wanted->end_ns;
	count_time(wanted, done, now, counts);
	/* Whoever waited for the next packet here would keep back those before it: frames go out by the batch. */
	if (!is_due(wanted, done, now, counts))
		return XDP_DROP;

	number = done->stream;
	if (number >= wanted->streams)
		number = 0;
	done->stream = number + 1;
	stream = bpf_map_lookup_elem(&streams, &number);
	if (!stream)
		return XDP_DROP;
	words[0] = stream->head[0];
	words[1] = stream->head[1];
	words[2] = stream->head[2];
	words[3] = stream->head[3];
	words[4] = stream->head[4];
	words[5] = stream->head[5];
	words[6] = stream->head[6];
	*(__be16 *)(data + FRAMES_AT_SEQUENCE) = htons(stream->sequence);
	*(__be32 *)(data + FRAMES_AT_TIMESTAMP) = htonl((__u32)now);
	sum = stream->sum + stream->sequence + ((__u32)now >> 16) + ((__u32)now & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	/* 0 says that there is no checksum (RFC 768). */
	*(__be16 *)(data + FRAMES_AT_UDP_SUM) = sum ? htons(sum) : 0xffff;
	stream->sequence++;
	return bpf_redirect_map(&devices, stream->device, 0);
}

const char LICENSE[] SEC("license") = "Dual MIT/GPL";
