// IP in IP (RFC 2003) as two tc programs, for kernels without ipip devices.
//
// A tunnel is a veth pair: tun-N is the end that routes, filters and captures see; whatever is sent into it comes out
// of the other end, where `encapsulate` puts the outer header on and sends the packet along the underlay. On the
// underlay's devices `decapsulate` takes the outer header off and hands the packet to tun-N as if it had received it.
// See docs/tunnels.md for a drawing. The structs below are written and read by ebpf.py and must agree with it.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define EALREADY 114
#define IPPROTO_IPIP 4
#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff
#define ECN_MASK 3
#define ECN_ECT1 1
#define ECN_ECT0 2
#define ECN_CE 3
#define OUTER_LENGTH ((int)sizeof(struct iphdr))

struct tunnel {
	__be32 local;
	__be32 remote;
	__u32 device;		// tun-N
	__u32 entrance;		// the other end of its veth pair
	__u32 identification;	// of the next outer header
	__u8 mac[ETH_ALEN];	// of tun-N
	__u8 ttl;		// of outer headers
	__u8 reserved;
};

struct addresses {
	__be32 source;
	__be32 destination;
};

// The order is that of COUNTS in ebpf.py.
enum count {
	PACKETS_OUT, BYTES_OUT, PACKETS_IN, BYTES_IN,
	NOT_IPV4, MALFORMED_OUT, TTL_ZERO, LOOP, NO_ROUTE, TOO_BIG, NO_ROOM,
	MALFORMED_IN, FRAGMENT, CONGESTION,
	COUNTS,
};

struct counts {
	__u64 of[COUNTS];
};

#define MOST_TUNNELS 16384

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MOST_TUNNELS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);	// entrance
	__type(value, struct tunnel);
} tunnels_out SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MOST_TUNNELS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct addresses);	// of the outer header as it arrives
	__type(value, struct tunnel);
} tunnels_in SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MOST_TUNNELS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);	// tun-N
	__type(value, struct counts);
} tunnel_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} strangers SEC(".maps");

// Which compiler made this object: build.py compares instructions only with the same one's.
const int clang_major SEC(".clang") = __clang_major__;

static __always_inline int drop(struct counts *counts, enum count reason)
{
	counts->of[reason]++;
	return TC_ACT_SHOT;
}

// Packets that a superpacket (GSO) stands for: as many as carry its payload, behind 52 bytes of IP and TCP headers.
static __always_inline __u32 segments(struct __sk_buff *skb, __u32 length)
{
	__u32 size = skb->gso_size;

	return size && length > 52 ? (length - 52 + size - 1) / size : 1;
}

// The header behind the Ethernet header, in the linear part of the packet; 0 if the packet is too short for `wanted`.
static __always_inline struct iphdr *ip_header(struct __sk_buff *skb, __u32 wanted)
{
	if (skb->data + ETH_HLEN + wanted > skb->data_end) {
		if (bpf_skb_pull_data(skb, ETH_HLEN + wanted))
			return 0;
		if (skb->data + ETH_HLEN + wanted > skb->data_end)
			return 0;
	}
	return (void *)(long)skb->data + ETH_HLEN;
}

static __always_inline __sum16 header_checksum(__be32 *header, __u32 length)
{
	__s64 sum = bpf_csum_diff(0, 0, header, length, 0);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("tc")
int encapsulate(struct __sk_buff *skb)
{
	__u32 entrance = skb->ifindex;
	struct tunnel *tunnel = bpf_map_lookup_elem(&tunnels_out, &entrance);
	if (!tunnel)
		return TC_ACT_SHOT;
	struct counts *counts = bpf_map_lookup_elem(&tunnel_counts, &tunnel->device);
	if (!counts)
		return TC_ACT_SHOT;
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return drop(counts, NOT_IPV4);

	struct iphdr *inner = ip_header(skb, sizeof(*inner));
	if (!inner || (void *)(inner + 1) > (void *)(long)skb->data_end || inner->version != 4 || inner->ihl < 5)
		return drop(counts, MALFORMED_OUT);
	if (!inner->ttl)
		return drop(counts, TTL_ZERO);
	// RFC 2003 section 4.4: what comes from the tunnel's exit would only go in circles. (A forwarded packet with one
	// of our own addresses as its source never gets here: the kernel drops it as a martian.)
	if (inner->saddr == tunnel->remote)
		return drop(counts, LOOP);

	__u32 length = skb->len - ETH_HLEN;
	__u32 packets = segments(skb, length);
	if (length + OUTER_LENGTH > 0xffff)
		return drop(counts, TOO_BIG);
	struct iphdr outer = {
		.version = 4,
		.ihl = sizeof(outer) / 4,
		.tos = inner->tos, // RFC 2003 section 3.1; RFC 6040 normal mode
		.tot_len = bpf_htons(length + OUTER_LENGTH),
		.id = bpf_htons(__sync_fetch_and_add(&tunnel->identification, packets)),
		.frag_off = inner->frag_off & bpf_htons(IP_DF),
		.ttl = tunnel->ttl,
		.protocol = IPPROTO_IPIP,
		.saddr = tunnel->local,
		.daddr = tunnel->remote,
	};
	outer.check = header_checksum((__be32 *)&outer, sizeof(outer));

	// Asked anew for every packet, so that changes of routes are followed. The entrance, which forwards nothing else,
	// stands for "arrived on": rules about tun-N are for inner packets and must not catch outer ones.
	// A packet that may be fragmented on its way need not fit the path.
	struct bpf_fib_lookup route = {
		.family = AF_INET,
		.l4_protocol = IPPROTO_IPIP,
		.tot_len = packets == 1 && outer.frag_off ? length + OUTER_LENGTH : 0,
		.ifindex = tunnel->entrance,
		.tos = outer.tos,
		.ipv4_src = outer.saddr,
		.ipv4_dst = outer.daddr,
	};
	long answer = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	if (answer == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return drop(counts, TOO_BIG);
	if ((answer != BPF_FIB_LKUP_RET_SUCCESS && answer != BPF_FIB_LKUP_RET_NO_NEIGH) || route.family != AF_INET)
		return drop(counts, NO_ROUTE);
	if (route.ifindex == tunnel->device || route.ifindex == tunnel->entrance)
		return drop(counts, LOOP);

	long failed = bpf_skb_adjust_room(skb, OUTER_LENGTH, BPF_ADJ_ROOM_MAC,
					  BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	// The kernel has one level of encapsulation in its notes on a packet, and does not take the note off when another
	// program stripped the header. Then the offload types are right already; room is all that is needed.
	if (failed == -EALREADY)
		failed = bpf_skb_adjust_room(skb, OUTER_LENGTH, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	if (failed || bpf_skb_store_bytes(skb, ETH_HLEN, &outer, sizeof(outer), 0))
		return drop(counts, NO_ROOM);

	counts->of[PACKETS_OUT] += packets;
	counts->of[BYTES_OUT] += length;
	struct bpf_redir_neigh next_hop = { .nh_family = AF_INET, .ipv4_nh = route.ipv4_dst };
	return bpf_redirect_neigh(route.ifindex, &next_hop, sizeof(next_hop), 0);
}

// A protocol 4 packet without a tunnel: dropped in silence if it is for this node, whose kernel would answer
// "protocol unreachable" (or, without a route to the destination, "network unreachable"); let through if it is not.
static __always_inline int stranger(struct __sk_buff *skb, struct iphdr *outer)
{
	struct bpf_fib_lookup route = {
		.family = AF_INET,
		.l4_protocol = IPPROTO_IPIP,
		.ifindex = skb->ingress_ifindex,
		.tos = outer->tos,
		.ipv4_src = outer->saddr,
		.ipv4_dst = outer->daddr,
	};
	long answer = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	if (answer != BPF_FIB_LKUP_RET_NOT_FWDED && answer != BPF_FIB_LKUP_RET_FWD_DISABLED)
		return TC_ACT_UNSPEC;
	__u32 only = 0;
	__u64 *count = bpf_map_lookup_elem(&strangers, &only);
	if (count)
		(*count)++;
	return TC_ACT_SHOT;
}

// RFC 6040 section 4.2: what the inner TOS becomes; -1 where the packet must be dropped.
static __always_inline int inner_tos(__u8 outer, __u8 inner)
{
	if ((outer & ECN_MASK) == ECN_CE)
		return inner & ECN_MASK ? inner | ECN_CE : -1;
	if ((outer & ECN_MASK) == ECN_ECT1 && (inner & ECN_MASK) == ECN_ECT0)
		return (inner & ~ECN_MASK) | ECN_ECT1;
	return inner;
}

static __always_inline void set_tos(struct __sk_buff *skb, __u8 old, __u8 new)
{
	bpf_l3_csum_replace(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, check), bpf_htons(old), bpf_htons(new), 2);
	bpf_skb_store_bytes(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, tos), &new, sizeof(new), 0);
}

SEC("tc")
int decapsulate(struct __sk_buff *skb)
{
	if (skb->pkt_type != PACKET_HOST)
		return TC_ACT_UNSPEC;
	struct iphdr *outer = ip_header(skb, sizeof(*outer));
	if (!outer || (void *)(outer + 1) > (void *)(long)skb->data_end || outer->protocol != IPPROTO_IPIP)
		return TC_ACT_UNSPEC;

	struct addresses addresses = { .source = outer->saddr, .destination = outer->daddr };
	struct tunnel *tunnel = bpf_map_lookup_elem(&tunnels_in, &addresses);
	if (!tunnel)
		return stranger(skb, outer);
	struct counts *counts = bpf_map_lookup_elem(&tunnel_counts, &tunnel->device);
	if (!counts)
		return TC_ACT_SHOT;
	// tc runs before reassembly. The stack would reassemble, and then know no protocol 4.
	if (outer->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return drop(counts, FRAGMENT);

	__u32 header_length = outer->ihl * 4, total_length = bpf_ntohs(outer->tot_len);
	__u8 outer_tos = outer->tos;
	__be32 header[15] = {};
	struct iphdr inner;
	if (outer->version != 4 || header_length < sizeof(*outer) || header_length > sizeof(header) ||
	    total_length > skb->len - ETH_HLEN || total_length < header_length + sizeof(inner) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN, header, header_length) ||
	    header_checksum(header, sizeof(header)) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + header_length, &inner, sizeof(inner)) ||
	    inner.version != 4 || inner.ihl < 5 || bpf_ntohs(inner.tot_len) > total_length - header_length)
		return drop(counts, MALFORMED_IN);
	int tos = inner_tos(outer_tos, inner.tos);
	if (tos < 0)
		return drop(counts, CONGESTION);

	// NO_CSUM_RESET: an outer IPv4 header has no share in what hardware says of the inner checksums.
	if (bpf_skb_adjust_room(skb, -(__s32)header_length, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET))
		return drop(counts, MALFORMED_IN);
	if (tos != inner.tos)
		set_tos(skb, inner.tos, tos);
	// Without the device's own MAC as destination the stack takes the frame for somebody else's.
	bpf_skb_store_bytes(skb, 0, tunnel->mac, ETH_ALEN, 0);
	bpf_skb_store_bytes(skb, ETH_ALEN, tunnel->mac, ETH_ALEN, 0);

	__u32 length = skb->len - ETH_HLEN;
	counts->of[PACKETS_IN] += segments(skb, length);
	counts->of[BYTES_IN] += length;
	return bpf_redirect(tunnel->device, BPF_F_INGRESS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
