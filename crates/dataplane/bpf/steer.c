// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * steer: gives the datagrams of all ports of a worker to the worker's one socket.
 *
 * The kernel asks an sk_lookup program of the network namespace for the socket of each datagram that no connected socket
 * takes (Documentation/bpf/prog_sk_lookup.rst). Ports that are in the map need no socket of their own: neither its memory, nor
 * the six system calls that set it up, nor a place among a process's open files.
 *
 * One queue for all ports must not mean that a flood of one port fills it for all: what one port receives is limited here,
 * where a datagram has cost nothing yet.
 */
#include "helpers.h"
#include "steer.h"

#define AF_INET 2
#define IPPROTO_UDP 17

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct port_key);
	__type(value, struct steer_lease);
	__uint(max_entries, 1); /* as many as the workers have room for; set when it is loaded */
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ports SEC(".maps");

/* The workers' sockets, two each: IPv4 and IPv6. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1); /* set when it is loaded */
} sockets SEC(".maps");

/* Datagrams that were one too many for their port, for each socket. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1); /* set when it is loaded */
} flooded SEC(".maps");

/* Whether the port has had its share. Two CPUs that count at once may lose a count: it is a limit against floods, no account. */
static __always_inline int is_flooded(struct steer_lease *lease)
{
	__u64 *dropped;
	__u32 window = bpf_ktime_get_coarse_ns() >> STEER_WINDOW_SHIFT;

	if (lease->window != window) {
		lease->window = window;
		lease->count = 0;
	}
	if (likely(lease->count < STEER_WINDOW_DATAGRAMS)) {
		lease->count++;
		return 0;
	}
	dropped = bpf_map_lookup_elem(&flooded, &lease->socket);
	if (dropped)
		__sync_fetch_and_add(dropped, 1);
	return 1;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *lookup)
{
	struct port_key port = {};
	struct steer_lease *lease;
	struct bpf_sock *sock;
	__u32 *address = (__u32 *)port.address;

	if (lookup->protocol != IPPROTO_UDP)
		return SK_PASS;
	if (lookup->family == AF_INET) {
		address[2] = __builtin_bswap32(0x0000ffff);
		address[3] = READ_CONTEXT(lookup, local_ip4);
	} else {
		address[0] = READ_CONTEXT(lookup, local_ip6[0]);
		address[1] = READ_CONTEXT(lookup, local_ip6[1]);
		address[2] = READ_CONTEXT(lookup, local_ip6[2]);
		address[3] = READ_CONTEXT(lookup, local_ip6[3]);
	}
	port.port = lookup->local_port;
	lease = bpf_map_lookup_elem(&ports, &port);
	if (!lease) {
		/* A port on all addresses of its family: 0.0.0.0 or [::]. */
		address[3] = 0;
		if (lookup->family != AF_INET)
			address[0] = address[1] = address[2] = 0;
		lease = bpf_map_lookup_elem(&ports, &port);
		if (!lease)
			return SK_PASS;
	}
	if (is_flooded(lease))
		return SK_DROP;
	sock = bpf_map_lookup_elem(&sockets, &lease->socket);
	/* A port that is closed, or whose worker is gone. */
	if (!sock)
		return SK_DROP;
	/* Refused if another program before this one has chosen a socket: whoever was first keeps a port. */
	bpf_sk_assign(lookup, sock, 0);
	bpf_sk_release(sock);
	return SK_PASS;
}

const char LICENSE[] SEC("license") = "Dual MIT/GPL";
