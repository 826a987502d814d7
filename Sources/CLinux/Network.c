// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <sched.h>
#include <time.h>

static socklen_t address_length(const struct sockaddr_in6 *address) {
    return address->sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int samara_accept(int listener, struct sockaddr_in6 *peer) {
    socklen_t length = sizeof *peer;
    return accept4(listener, (struct sockaddr *)peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int samara_accept_unix(int listener, int flags) { return accept4(listener, NULL, NULL, flags); }

int samara_bind_unix(int socket, const struct sockaddr_un *address) {
    return bind(socket, (const struct sockaddr *)address, sizeof *address);
}

int samara_connect_unix(int socket, const struct sockaddr_un *address) {
    return connect(socket, (const struct sockaddr *)address, sizeof *address);
}

int samara_bind(int socket, const struct sockaddr_in6 *address) {
    return bind(socket, (const struct sockaddr *)address, address_length(address));
}

int samara_connect(int socket, const struct sockaddr_in6 *address) {
    return connect(socket, (const struct sockaddr *)address, address_length(address));
}

int samara_getsockname(int socket, struct sockaddr_in6 *address) {
    socklen_t length = sizeof *address;
    memset(address, 0, sizeof *address);
    return getsockname(socket, (struct sockaddr *)address, &length);
}

int samara_set_option(int socket, int level, int name, int value) {
    return setsockopt(socket, level, name, &value, sizeof value);
}

int samara_get_option(int socket, int level, int name, int *value) {
    socklen_t length = sizeof *value;
    return getsockopt(socket, level, name, value, &length);
}

int samara_tcp_least_round_trip(int socket, uint32_t *microseconds) {
    // linux/tcp.h has tcpi_min_rtt and cannot be included beside netinet/tcp.h, whose tcp_info ends before it.
    enum { offset = 148 };
    unsigned char info[offset + sizeof *microseconds];
    socklen_t length = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, info, &length) != 0) return -1;
    if (length < sizeof info) {
        errno = ENODATA;
        return -1;
    }
    memcpy(microseconds, info + offset, sizeof *microseconds);
    return 0;
}

int samara_set_congestion(int socket, const char *name) {
    return setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

int samara_get_congestion(int socket, struct samara_congestion *congestion) {
    socklen_t length = sizeof congestion->name - 1;
    memset(congestion, 0, sizeof *congestion);
    return getsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, congestion->name, &length);
}

int samara_set_reset_on_close(int socket) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int samara_unacknowledged(int socket, int *bytes) { return ioctl(socket, SIOCOUTQ, bytes); }

ssize_t samara_splice(int from, int to, size_t length) {
    return splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

int samara_pipe(int fds[2], int wanted, int *size) {
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) return -1;
    // EPERM above the user's budget leaves a pipe of two pages: the caller must look at the size, pipe(7).
    (void)fcntl(fds[1], F_SETPIPE_SZ, wanted);
    *size = fcntl(fds[1], F_GETPIPE_SZ);
    return 0;
}

ssize_t samara_receive_datagram(
    int socket, void *data, size_t length, struct sockaddr_in6 *peer, struct in6_addr *local, unsigned *interface) {
    char control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct iovec vector = {.iov_base = data, .iov_len = length};
    struct msghdr message = {
        .msg_name = peer, .msg_namelen = sizeof *peer, .msg_iov = &vector, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof control};
    ssize_t count = recvmsg(socket, &message, MSG_DONTWAIT);
    if (count >= 0) samara_datagram_destination(&message, local, interface);
    return count;
}

void samara_datagram_destination(const struct msghdr *message, struct in6_addr *local, unsigned *interface) {
    memset(local, 0, sizeof *local);
    *interface = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR((struct msghdr *)message, header)) {
        if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof info);
            *local = info.ipi6_addr;
            *interface = (unsigned)info.ipi6_ifindex;
        } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof info);
            memset(local, 0, sizeof *local);
            local->s6_addr[10] = local->s6_addr[11] = 0xff;
            // ipi_spec_dst is the address to answer from, also when the datagram was a broadcast: ip(7).
            memcpy(&local->s6_addr[12], &info.ipi_spec_dst, 4);
            *interface = (unsigned)info.ipi_ifindex;
        }
    }
}

size_t samara_datagram_source(
    void *control, const struct sockaddr_in6 *peer, const struct in6_addr *local, unsigned interface) {
    if (IN6_IS_ADDR_UNSPECIFIED(local)) return 0;
    struct msghdr message = {.msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(struct in6_pktinfo))};
    memset(control, 0, message.msg_controllen);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (peer->sin6_family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, &local->s6_addr[12], 4);
        header->cmsg_level = IPPROTO_IP;
        header->cmsg_type = IP_PKTINFO;
        header->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(header), &info, sizeof info);
        return CMSG_SPACE(sizeof info);
    }
    struct in6_pktinfo info = {.ipi6_addr = *local};
    // Only a link-local source needs its interface; elsewhere routing decides.
    if (IN6_IS_ADDR_LINKLOCAL(local)) info.ipi6_ifindex = interface;
    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(header), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
}

int samara_receive_messages(int socket, struct mmsghdr *messages, unsigned count) {
    return recvmmsg(socket, messages, count, MSG_DONTWAIT, NULL);
}

int samara_send_messages(int socket, struct mmsghdr *messages, unsigned count) {
    return sendmmsg(socket, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t samara_send_datagram(
    int socket, const void *data, size_t length, const struct sockaddr_in6 *peer, const struct in6_addr *local,
    unsigned interface) {
    union {
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
        struct cmsghdr alignment;
    } control;
    struct iovec vector = {.iov_base = (void *)data, .iov_len = length};
    struct msghdr message = {
        .msg_name = (void *)peer, .msg_namelen = address_length(peer), .msg_iov = &vector, .msg_iovlen = 1};
    message.msg_controllen = samara_datagram_source(control.bytes, peer, local, interface);
    if (message.msg_controllen > 0) message.msg_control = control.bytes;
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int samara_tun_attach(int fd, const char *name, int flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (strlen(name) >= sizeof request.ifr_name) {
        errno = EINVAL;
        return -1;
    }
    strcpy(request.ifr_name, name);
    request.ifr_flags = (short)flags;
    return ioctl(fd, TUNSETIFF, &request);
}

int samara_unshare(int flags) { return unshare(flags); }

int samara_epoll_wait(int epoll, struct epoll_event *events, int count, int timeoutMilliseconds) {
    return epoll_wait(epoll, events, count, timeoutMilliseconds);
}

int samara_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data = {.u64 = token}};
    return epoll_ctl(epoll, operation, fd, &event);
}

uint64_t samara_monotonic_milliseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

uint64_t samara_monotonic_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int samara_processor_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

uint64_t samara_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return (uint64_t)limit.rlim_cur;
}

int samara_forbid_core_dumps(void) {
    struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none);
}

int samara_ignore_signal(int number) { return signal(number, SIG_IGN) == SIG_ERR ? -1 : 0; }

int samara_poll_readable(int fd, int timeoutMilliseconds) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    return poll(&entry, 1, timeoutMilliseconds);
}
