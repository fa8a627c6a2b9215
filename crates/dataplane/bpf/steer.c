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
#include "lease.h"

#define AF_INET 2
#define IPPROTO_UDP 17

/* The workers' sockets, two each: IPv4 and IPv6. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1); /* set when it is loaded */
} sockets SEC(".maps");

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *lookup)
{
	struct port_key port = {};
	struct lease *lease;
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
