// SPDX-License-Identifier: Apache-2.0
//
// Terminals, signals and log files: see CLinux.h for what may be here.
#ifndef SAMARA_CLINUX_TERMINAL_H
#define SAMARA_CLINUX_TERMINAL_H

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>

static inline int samara_poll(struct pollfd *entries, unsigned long count, int timeoutMilliseconds) {
    return poll(entries, count, timeoutMilliseconds);
}

// A non-blocking signalfd, close-on-exec.
static inline int samara_signalfd(const sigset_t *set) { return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK); }
// The number of the next pending signal of a signalfd, or -1 with errno (EAGAIN: none).
static inline int samara_signalfd_next(int fd) {
    struct signalfd_siginfo info;
    ssize_t length = read(fd, &info, sizeof info);
    return length == (ssize_t)sizeof info ? (int)info.ssi_signo : -1;
}
// Takes one pending signal of `set` without waiting; -1 with EAGAIN if there is none.
static inline int samara_take_pending_signal(const sigset_t *set) {
    struct timespec none = {0, 0};
    return sigtimedwait(set, NULL, &none);
}

// write(2) that fails with EAGAIN instead of waiting, whatever O_NONBLOCK says; EOPNOTSUPP where the file cannot.
// The flag O_NONBLOCK belongs to the open file description, which an inherited stdout shares with other processes.
static inline ssize_t samara_write_nowait(int fd, const void *bytes, size_t length) {
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
    return pwritev2(fd, &vector, 1, -1, RWF_NOWAIT);
}

static inline ssize_t samara_send_message(int socket, const void *bytes, size_t length) {
    return send(socket, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}
static inline ssize_t samara_receive_message(int socket, void *bytes, size_t length) {
    // MSG_TRUNC makes the result the length of the whole message, so that a longer one is noticed.
    return recv(socket, bytes, length, MSG_DONTWAIT | MSG_TRUNC);
}

static inline int samara_inotify_init(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }

// The offset of local time from UTC in seconds at `seconds` since the epoch.
static inline long samara_utc_offset(time_t seconds) {
    struct tm broken;
    return localtime_r(&seconds, &broken) ? broken.tm_gmtoff : 0;
}

static inline unsigned long samara_tiocgwinsz(void) { return TIOCGWINSZ; }
static inline unsigned long samara_tiocswinsz(void) { return TIOCSWINSZ; }
static inline unsigned long samara_fionread(void) { return FIONREAD; }

#endif
