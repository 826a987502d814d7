// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

int samara_ping_socket(int family) {
    int protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

int samara_enable_datagram_batches(int socket) {
    int one = 1;
    return setsockopt(socket, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
}

ssize_t samara_send_segmented(
    int socket, const void *data, size_t length, const struct sockaddr_in6 *peer, unsigned segment) {
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr alignment;
    } control;
    struct iovec vector = {.iov_base = (void *)data, .iov_len = length};
    struct msghdr message = {
        .msg_name = (void *)peer,
        .msg_namelen = peer->sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
        .msg_iov = &vector, .msg_iovlen = 1};
    if (segment > 0 && segment < length) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        uint16_t size = (uint16_t)segment;
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(header), &size, sizeof size);
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t samara_receive_segmented(
    int socket, void *data, size_t length, struct sockaddr_in6 *peer, unsigned *segment) {
    char control[CMSG_SPACE(sizeof(int)) + 64];
    struct iovec vector = {.iov_base = data, .iov_len = length};
    struct msghdr message = {
        .msg_name = peer, .msg_namelen = sizeof *peer, .msg_iov = &vector, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof control};
    *segment = 0;
    ssize_t count = recvmsg(socket, &message, MSG_DONTWAIT);
    if (count < 0) return count;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(header), sizeof size);
            *segment = (unsigned)size;
        }
    }
    return count;
}

ssize_t samara_receive_error(
    int socket, void *data, size_t length, struct sockaddr_in6 *destination, int *error, unsigned *info) {
    char control[512];
    struct iovec vector = {.iov_base = data, .iov_len = length};
    struct msghdr message = {
        .msg_name = destination, .msg_namelen = sizeof *destination, .msg_iov = &vector, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof control};
    memset(destination, 0, sizeof *destination);
    *error = 0;
    *info = 0;
    ssize_t count = recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (count < 0) return count;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if ((header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR)
            || (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR)) {
            struct sock_extended_err report;
            memcpy(&report, CMSG_DATA(header), sizeof report);
            *error = (int)report.ee_errno;
            *info = report.ee_info;
        }
    }
    return count;
}

ssize_t samara_peek_behind(int socket, void *waste, size_t wasteLength, size_t offset, void *data, size_t length) {
    // The same waste many times over: the kernel writes what nobody reads.
    struct iovec vectors[512];
    size_t count = 0, left = offset;
    while (left > 0) {
        if (count == 511) {
            errno = EMSGSIZE;
            return -1;
        }
        size_t part = left < wasteLength ? left : wasteLength;
        vectors[count].iov_base = waste;
        vectors[count++].iov_len = part;
        left -= part;
    }
    vectors[count].iov_base = data;
    vectors[count++].iov_len = length;
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    return recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT);
}

int samara_send_space(int socket, int *free, int *total) {
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t length = sizeof memory;
    memset(memory, 0, sizeof memory);
    if (getsockopt(socket, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) return -1;
    *total = (int)memory[SK_MEMINFO_SNDBUF];
    *free = (int)memory[SK_MEMINFO_SNDBUF] - (int)memory[SK_MEMINFO_WMEM_QUEUED];
    return 0;
}
