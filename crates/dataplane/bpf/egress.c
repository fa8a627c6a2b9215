// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * egress: gives what a worker sends by its one socket the source port that it is to come from.
 *
 * A UDP socket sends from the port that it is bound to; the address can be chosen for each datagram (IP_PKTINFO), the port
 * cannot. The worker therefore names the port where a departure time would stand (SCM_TXTIME), and this program, the last
 * that sees a packet before the queues of a device, writes it into the packet. Marks would do as well, but they are what
 * policy routing, Kubernetes and VPNs go by, and they would see ours.
 *
 * The kernel has worked out the UDP checksum by then, or left it to the device; both are mended.
 */
#include "helpers.h"
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#define TCX_NEXT -1
#define IP_OFFSET 0x1fff
#define NEXTHDR_FRAGMENT 44
#define IP6_OFFSET 0xfff8
#define IPPROTO_UDP 17

/* The cookies of the workers' sockets: nobody else's packets are touched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, __u32);
	__uint(max_entries, 1); /* set when it is loaded */
} senders SEC(".maps");

struct fragment6 {
	__u8 next_header;
	__u8 reserved;
	__be16 offset;
	__be32 identification;
};

/* Where the UDP header lies behind the start of the network header; 0 if there is none, as in all fragments but the first. */
static __always_inline __u32 udp_offset(struct __sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
			return 0;
		if (ip.protocol != IPPROTO_UDP || ip.frag_off & htons(IP_OFFSET))
			return 0;
		return ip.ihl * 4;
	}
	if (skb->protocol == htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;
		struct fragment6 fragment;

		if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
			return 0;
		if (ip.nexthdr == IPPROTO_UDP)
			return sizeof(ip);
		if (ip.nexthdr != NEXTHDR_FRAGMENT)
			return 0;
		if (bpf_skb_load_bytes_relative(skb, sizeof(ip), &fragment, sizeof(fragment), BPF_HDR_START_NET))
			return 0;
		if (fragment.next_header != IPPROTO_UDP || fragment.offset & htons(IP6_OFFSET))
			return 0;
		return sizeof(ip) + sizeof(fragment);
	}
	return 0;
}

/*
 * Where the network header begins in the packet: behind an Ethernet header, or at once on a tunnel that has none. The kernel
 * does not tell; the header's first bytes do, which are the same read either way. -1 if it is neither.
 */
static __always_inline int network_offset(struct __sk_buff *skb)
{
	__u64 header[2], at[2];

	if (bpf_skb_load_bytes_relative(skb, 0, header, sizeof(header), BPF_HDR_START_NET))
		return -1;
	if (!bpf_skb_load_bytes(skb, ETH_HLEN, at, sizeof(at)) && at[0] == header[0] && at[1] == header[1])
		return ETH_HLEN;
	if (!bpf_skb_load_bytes(skb, 0, at, sizeof(at)) && at[0] == header[0] && at[1] == header[1])
		return 0;
	return -1;
}

SEC("classifier")
int egress(struct __sk_buff *skb)
{
	__u64 departure = skb->tstamp, cookie;
	__be16 port, old;
	__u32 udp;
	int network;

	/* Nobody's departure time lies in the first 65 us after the machine was started. */
	if (likely(departure == 0 || departure > 0xffff))
		return TCX_NEXT;
	cookie = bpf_get_socket_cookie(skb);
	if (!bpf_map_lookup_elem(&senders, &cookie))
		return TCX_NEXT;
	skb->tstamp = 0;
	udp = udp_offset(skb);
	network = network_offset(skb);
	if (!udp || network < 0)
		return TCX_NEXT;
	port = htons((__u16)departure);
	udp += network;
	if (bpf_skb_load_bytes(skb, udp, &old, sizeof(old)))
		return TCX_NEXT;
	/* A checksum of 0 says that there is none (RFC 768), and stays. */
	bpf_l4_csum_replace(skb, udp + __builtin_offsetof(struct udphdr, check), old, port,
			    BPF_F_MARK_MANGLED_0 | sizeof(port));
	bpf_skb_store_bytes(skb, udp + __builtin_offsetof(struct udphdr, source), &port, sizeof(port), 0);
	return TCX_NEXT;
}

const char LICENSE[] SEC("license") = "Dual MIT/GPL";
