// SPDX-License-Identifier: Apache-2.0
#ifndef CBENCH_H
#define CBENCH_H

#include <stdint.h>
#include <sys/types.h>

/// What wait4(2) tells of an ended process: its own use and that of the children it waited for.
struct cbench_usage {
    int32_t pid;         // 0: nothing has ended yet; -1: there is no child
    int32_t status;      // the exit status, or 128 plus the signal
    uint64_t user_ns;
    uint64_t system_ns;
    int64_t minor_faults;
};

/// Executes `path`: posix_spawn(3), in a process group of its own, with no signal blocked or ignored.
/// `streams` are the descriptors that become 0, 1 and 2. Returns 0 or an errno.
int cbench_spawn(
    const char *path, char *const argv[], char *const envp[], const char *directory, const int streams[3], pid_t *pid);

/// wait4(2) with WNOHANG; `pid` may be -1.
struct cbench_usage cbench_reap(pid_t pid);

/// Makes orphaned descendants children of this process: prctl(2), PR_SET_CHILD_SUBREAPER. 0 or an errno.
int cbench_become_subreaper(void);

/// Blocks SIGCHLD, SIGINT and SIGTERM and returns a signalfd(2) that reports them, or -1 with errno.
int cbench_signal_descriptor(void);

/// The next signal's number, 0 if none came within `timeout_ms` (-1: no limit).
int cbench_next_signal(int descriptor, int timeout_ms);

/// 1 when `descriptor` has something to read or has ended; 0 when a signal is there or `timeout_ms` have passed.
int cbench_wait_readable(int descriptor, int signals, int timeout_ms);

/// pipe2(2) with close-on-exec: 0 or an errno.
int cbench_pipe(int ends[2]);

/// A TCP port of 127.0.0.1 that nothing listens on; 0 if there is none.
int cbench_free_port(void);

/// Connects to the unix(7) socket `path`, sends `request`, ends the direction, and reads the answer into `answer` up to
/// `size` bytes with a final zero. Returns 0 or an errno.
int cbench_unix_request(const char *path, const char *request, char *answer, int size);

/// Connects to `port` of 127.0.0.1, sends a byte and waits for one, again and again until one comes.
/// Returns 0 or an errno: ETIMEDOUT after `limit_ms`, EINTR when a signal is there.
int cbench_first_byte(int port, int limit_ms, int signals);

/// CLOCK_MONOTONIC.
uint64_t cbench_now_ns(void);

/// The magic number of the file system at `path`: statfs(2); 0 if it cannot be asked.
uint64_t cbench_filesystem(const char *path);

#endif
