// SPDX-License-Identifier: Apache-2.0
#include "CLinux.h"

#include <malloc.h>

enum { MAX_FDS = 253 };  // SCM_MAX_FD

ssize_t samara_send_with_fds(int socket, const void *data, size_t length, const int *fds, int fdCount, int flags) {
    char control[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    struct iovec vector = {.iov_base = (void *)data, .iov_len = length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (fdCount > MAX_FDS || fdCount < 0) {
        errno = EINVAL;
        return -1;
    }
    if (fdCount > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fdCount);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fdCount);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)fdCount);
    }
    return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

ssize_t samara_recv_with_fds(int socket, void *data, size_t length, int *fds, int *fdCount, int flags) {
    char control[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    struct iovec vector = {.iov_base = data, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    int room = *fdCount, received = 0;
    *fdCount = 0;
    ssize_t result = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (result < 0) return result;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + sizeof(int) * (size_t)i, sizeof(int));
            if (received < room) fds[received++] = fd; else close(fd);
        }
    }
    *fdCount = received;
    if (message.msg_flags & MSG_CTRUNC) {
        for (int i = 0; i < received; i++) close(fds[i]);
        *fdCount = 0;
        errno = EMSGSIZE;
        return -1;
    }
    return result;
}

void samara_trim_memory(void) {
    enum { PAGE = 4096, DEPTH = 256 << 10 };
    malloc_trim(0);
    // One page below is left: signal handlers and the red zone. Where nothing is mapped, ENOMEM is the answer.
    uintptr_t top = ((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(PAGE - 1)) - PAGE;
    madvise((void *)(top - DEPTH), DEPTH, MADV_DONTNEED);
}

void samara_trace(int fd, const char *point) {
    char line[96];
    int length = snprintf(line, sizeof line, "%llu %s\n", (unsigned long long)samara_monotonic_nanoseconds(), point);
    if (write(fd, line, length < (int)sizeof line ? (size_t)length : sizeof line)) {}
}

// The kernel places argv and envp strings back to back; the room for a title is the run of contiguous strings
// that starts at argv[0]. glibc hands argc, argv and envp to constructors, also in a static executable.
static char *titleStart;
static size_t argumentRoom, environmentRoom;

__attribute__((constructor)) static void samara_remember_arguments(int argc, char **argv, char **envp) {
    if (argc < 1 || !argv || !argv[0]) return;
    char *end = argv[0];
    for (int i = 0; i < argc && argv[i] == end; i++) end += strlen(argv[i]) + 1;
    titleStart = argv[0];
    argumentRoom = (size_t)(end - argv[0]);
    char *environmentEnd = end;
    for (char **entry = envp; entry && *entry == environmentEnd; entry++) environmentEnd += strlen(*entry) + 1;
    environmentRoom = (size_t)(environmentEnd - end);
}

void samara_set_process_title(const char *title) {
    prctl(PR_SET_NAME, (unsigned long)title, 0, 0, 0);
    if (!titleStart) return;
    // ps(1) reads on into the environment's area when the last argument byte is not NUL: proc(5), /proc/PID/cmdline.
    // The strings there are copied away first, because getenv still points at them.
    size_t titleRoom = argumentRoom;
    if (strlen(title) >= argumentRoom && environmentRoom > 0) {
        for (char **entry = environ; *entry; entry++)
            if (*entry >= titleStart && *entry < titleStart + argumentRoom + environmentRoom) {
                char *copy = strdup(*entry);
                if (copy) *entry = copy;
            }
        titleRoom = argumentRoom + environmentRoom;
    }
    if (titleRoom < 2) return;
    size_t length = strlen(title);
    if (length > titleRoom - 1) length = titleRoom - 1;
    memcpy(titleStart, title, length);
    memset(titleStart + length, 0, titleRoom - length);
}
