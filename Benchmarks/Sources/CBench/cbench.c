// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "cbench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int cbench_spawn(
    const char *path, char *const argv[], char *const envp[], const char *directory, const int streams[3], pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    for (int index = 0; index < 3; index++) posix_spawn_file_actions_adddup2(&actions, streams[index], index);
    if (directory) posix_spawn_file_actions_addchdir_np(&actions, directory);
    error = posix_spawn(pid, path, &actions, &attributes, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static uint64_t nanoseconds(struct timeval value) {
    return (uint64_t)value.tv_sec * 1000000000ULL + (uint64_t)value.tv_usec * 1000ULL;
}

struct cbench_usage cbench_reap(pid_t pid) {
    struct rusage usage;
    int status = 0;
    struct cbench_usage result = {0};
    pid_t ended = wait4(pid, &status, WNOHANG, &usage);
    result.pid = ended;
    if (ended <= 0) return result;
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.user_ns = nanoseconds(usage.ru_utime);
    result.system_ns = nanoseconds(usage.ru_stime);
    // Not ru_maxrss: it remembers the memory that the process shared with its maker before it executed anything.
    result.minor_faults = usage.ru_minflt;
    return result;
}

int cbench_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : errno; }

int cbench_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cbench_next_signal(int descriptor, int timeout_ms) {
    struct signalfd_siginfo info;
    struct pollfd entry = {.fd = descriptor, .events = POLLIN};
    if (poll(&entry, 1, timeout_ms) <= 0) return 0;
    if (read(descriptor, &info, sizeof info) != sizeof info) return 0;
    return (int)info.ssi_signo;
}

int cbench_wait_readable(int descriptor, int signals, int timeout_ms) {
    struct pollfd entries[2] = {{.fd = descriptor, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    return poll(entries, 2, timeout_ms) > 0 && entries[0].revents != 0;
}

int cbench_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno; }

int cbench_free_port(void) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd < 0) return 0;
    if (bind(fd, (struct sockaddr *)&name, length) == 0 && getsockname(fd, (struct sockaddr *)&name, &length) == 0)
        port = ntohs(name.sin_port);
    close(fd);
    return port;
}

int cbench_unix_request(const char *path, const char *request, char *answer, int size) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path) return ENAMETOOLONG;
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0, used = 0;
    if (fd < 0) return errno;
    if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
        error = errno;
    } else {
        shutdown(fd, SHUT_WR);
        ssize_t count;
        while (used < size - 1 && (count = recv(fd, answer + used, (size_t)(size - 1 - used), 0)) > 0) used += (int)count;
        answer[used] = 0;
    }
    close(fd);
    return error;
}

int cbench_first_byte(int port, int limit_ms, int signals) {
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_usec = 100000};
    uint64_t deadline = cbench_now_ns() + (uint64_t)limit_ms * 1000000ULL;
    struct pollfd entry = {.fd = signals, .events = POLLIN};
    while (cbench_now_ns() < deadline) {
        char byte = 'x';
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) return errno;
        // A forwarder may take the connection before the server is there, and keep it without an answer.
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        int answered = connect(fd, (struct sockaddr *)&name, sizeof name) == 0 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
                       recv(fd, &byte, 1, 0) == 1;
        close(fd);
        if (answered) return 0;
        // SIGCHLD comes all the time; the caller tells it from an interrupt.
        if (poll(&entry, 1, 0) > 0) return EINTR;
        struct timespec pause = {.tv_nsec = 100000};
        nanosleep(&pause, NULL);
    }
    return ETIMEDOUT;
}

uint64_t cbench_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

uint64_t cbench_filesystem(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (uint64_t)status.f_type : 0;
}
