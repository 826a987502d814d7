// SPDX-License-Identifier: Apache-2.0
//
// The network part of the C fence: socket addresses, socket options, epoll, splice, tun and rtnetlink.
#ifndef SAMARA_CLINUX_NETWORK_H
#define SAMARA_CLINUX_NETWORK_H

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

// Newer than the oldest installed headers.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#endif
#ifndef TUN_F_USO6
#define TUN_F_USO6 0x40
#endif

enum {
    samara_sock_nonblock = SOCK_NONBLOCK,
    samara_sock_cloexec = SOCK_CLOEXEC,
    samara_sock_stream = SOCK_STREAM,
    samara_sock_datagram = SOCK_DGRAM,
    samara_sock_seqpacket = SOCK_SEQPACKET,
    samara_sock_raw = SOCK_RAW,
    samara_msg_dontwait = MSG_DONTWAIT,
    samara_msg_nosignal = MSG_NOSIGNAL,
    samara_msg_peek = MSG_PEEK,
    samara_msg_more = MSG_MORE,
    samara_msg_trunc = MSG_TRUNC,
    samara_level_ip = IPPROTO_IP,
    samara_level_ipv6 = IPPROTO_IPV6,
    samara_level_tcp = IPPROTO_TCP,
    samara_protocol_udp = IPPROTO_UDP,
};
static const int samara_rlimit_processes = RLIMIT_NPROC, samara_rlimit_file_size = RLIMIT_FSIZE;
static const int samara_siocoutq = SIOCOUTQ;
static const int samara_udp_segment = 103, samara_udp_gro = 104;  // linux/udp.h: UDP_SEGMENT, UDP_GRO
static const int samara_ipv6_dontfrag = 62;                       // linux/in6.h: IPV6_DONTFRAG

/// accept4(2) with SOCK_NONBLOCK | SOCK_CLOEXEC; `peer` receives an AF_INET or AF_INET6 address.
int samara_accept(int listener, struct sockaddr_in6 *peer);
/// accept4(2) without the peer's address.
int samara_accept_unix(int listener, int flags);
int samara_bind_unix(int socket, const struct sockaddr_un *address);
int samara_connect_unix(int socket, const struct sockaddr_un *address);
int samara_bind(int socket, const struct sockaddr_in6 *address);
int samara_connect(int socket, const struct sockaddr_in6 *address);
int samara_getsockname(int socket, struct sockaddr_in6 *address);
/// An option whose value is an int: setsockopt(2), getsockopt(2).
int samara_set_option(int socket, int level, int name, int value);
int samara_get_option(int socket, int level, int name, int *value);
/// tcpi_min_rtt of TCP_INFO, tcp(7); ENODATA from a kernel before 4.6.
int samara_tcp_least_round_trip(int socket, uint32_t *microseconds);
int samara_set_congestion(int socket, const char *name);
/// A TCP congestion control algorithm's name (TCP_CA_NAME_MAX), zero-terminated.
struct samara_congestion { char name[16]; };
int samara_get_congestion(int socket, struct samara_congestion *congestion);
/// Makes close(2) send RST and drop what is queued: SO_LINGER {1, 0}.
int samara_set_reset_on_close(int socket);
/// Bytes that the peer has not acknowledged: SIOCOUTQ, tcp(7).
int samara_unacknowledged(int socket, int *bytes);

/// splice(2) with SPLICE_F_MOVE | SPLICE_F_NONBLOCK.
ssize_t samara_splice(int from, int to, size_t length);
/// pipe2(2) O_NONBLOCK | O_CLOEXEC, then F_SETPIPE_SZ; the size granted is `*size`.
int samara_pipe(int fds[2], int wanted, int *size);

/// Receives one datagram, its source, and the local address and interface it came to (IP_PKTINFO, IPV6_PKTINFO).
/// IPv4 addresses are stored v4-mapped in `local`; it is all zero when the kernel did not say.
ssize_t samara_receive_datagram(
    int socket, void *data, size_t length, struct sockaddr_in6 *peer, struct in6_addr *local, unsigned *interface);
/// Sends one datagram from the given local address (as from samara_receive_datagram).
ssize_t samara_send_datagram(
    int socket, const void *data, size_t length, const struct sockaddr_in6 *peer, const struct in6_addr *local,
    unsigned interface);
/// Where a received datagram came to, as samara_receive_datagram tells it.
void samara_datagram_destination(const struct msghdr *message, struct in6_addr *local, unsigned *interface);
/// Writes the control message that makes a datagram to `peer` leave from `local`; returns its length, 0 for none.
/// `control` has room for CMSG_SPACE(sizeof(struct in6_pktinfo)).
size_t samara_datagram_source(
    void *control, const struct sockaddr_in6 *peer, const struct in6_addr *local, unsigned interface);
/// recvmmsg(2) and sendmmsg(2) with MSG_DONTWAIT.
int samara_receive_messages(int socket, struct mmsghdr *messages, unsigned count);
int samara_send_messages(int socket, struct mmsghdr *messages, unsigned count);

/// An unprivileged echo socket of AF_INET or AF_INET6, non-blocking: icmp(7). EACCES outside net.ipv4.ping_group_range.
int samara_ping_socket(int family);
/// Received datagrams of one sender may come joined: UDP_GRO, udp(7).
int samara_enable_datagram_batches(int socket);
/// Sends one datagram, or with `segment` below `length` a batch of datagrams of that size (UDP_SEGMENT).
ssize_t samara_send_segmented(
    int socket, const void *data, size_t length, const struct sockaddr_in6 *peer, unsigned segment);
/// Receives one datagram, or a batch; `*segment` is then the size of each but the last, else 0.
ssize_t samara_receive_segmented(
    int socket, void *data, size_t length, struct sockaddr_in6 *peer, unsigned *segment);
/// Takes one entry of the error queue (IP_RECVERR, IPV6_RECVERR): the start of the payload that was sent, where to, the
/// errno and the path MTU for EMSGSIZE.
ssize_t samara_receive_error(
    int socket, void *data, size_t length, struct sockaddr_in6 *destination, int *error, unsigned *info);
/// SO_MEMINFO: the send buffer's size and what of it is free (may be negative).
int samara_send_space(int socket, int *free, int *total);
/// MSG_PEEK of what lies `offset` bytes behind the first queued byte, for kernels without SO_PEEK_OFF on TCP. The result
/// counts the `offset` bytes too, which go to `waste`.
ssize_t samara_peek_behind(int socket, void *waste, size_t wasteLength, size_t offset, void *data, size_t length);

/// TUNSETIFF: attaches `fd` (of /dev/net/tun) to the interface `name`, making it; `flags` are IFF_* bits.
int samara_tun_attach(int fd, const char *name, int flags);
static const unsigned long samara_tun_set_offload = TUNSETOFFLOAD;

int samara_epoll_wait(int epoll, struct epoll_event *events, int count, int timeoutMilliseconds);
int samara_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token);
static inline uint64_t samara_epoll_token(const struct epoll_event *event) { return event->data.u64; }

int samara_ignore_signal(int signal);
/// poll(2) for POLLIN of one descriptor.
int samara_poll_readable(int fd, int timeoutMilliseconds);
/// unshare(2).
int samara_unshare(int flags);
/// CLOCK_MONOTONIC in milliseconds, from the vDSO.
uint64_t samara_monotonic_milliseconds(void);
uint64_t samara_monotonic_nanoseconds(void);
/// Processors that this thread may run on, at least 1.
int samara_processor_count(void);
/// Sets the soft RLIMIT_NOFILE to the hard one and returns it.
uint64_t samara_raise_descriptor_limit(void);
int samara_forbid_core_dumps(void);

#endif
