// SPDX-License-Identifier: Apache-2.0
//
// What Swift's Glibc module does not offer: declarations behind _GNU_SOURCE, system calls without a
// libc wrapper, constants newer than the installed headers, variadic calls and macros.
// Nothing else belongs here. Every function returns the raw result and leaves errno set.
#ifndef SAMARA_CLINUX_H
#define SAMARA_CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "CLinuxNetwork.h"

// From <sys/mount.h>, which clashes with <linux/mount.h> in glibc 2.36.
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif
extern int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
extern int umount2(const char *target, int flags);

#include "CLinuxTerminal.h"
#include "CLinuxRuntime.h"

#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif
#ifndef MOVE_MOUNT_T_EMPTY_PATH
#define MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#endif

// Casted or parenthesised macros that Swift does not import, and flags newer than the headers.
static const int AT_RECURSIVE_VALUE = 0x8000;
static const int O_CREAT_EXCL = O_CREAT | O_EXCL;
static const int SOCK_SEQPACKET_VALUE = SOCK_SEQPACKET;
static const unsigned long MS_NODEV_VALUE = 4, MS_BIND_VALUE = 4096, MS_REC_VALUE = 16384, MS_PRIVATE_VALUE = 1 << 18, MS_SLAVE_VALUE = 1 << 19;
static const unsigned long TIOCSPTLCK_VALUE = TIOCSPTLCK, TIOCGPTPEER_VALUE = TIOCGPTPEER, TIOCSCTTY_VALUE = TIOCSCTTY;

static inline long samara_clone3(struct clone_args *args, size_t size) { return syscall(SYS_clone3, args, size); }
static inline int samara_openat2(int dir, const char *path, struct open_how *how, size_t size) {
    return (int)syscall(SYS_openat2, dir, path, how, size);
}
static inline int samara_fsopen(const char *type, unsigned flags) { return (int)syscall(SYS_fsopen, type, flags); }
static inline int samara_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux) {
    return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
static inline int samara_fsmount(int fd, unsigned flags, unsigned attributes) {
    return (int)syscall(SYS_fsmount, fd, flags, attributes);
}
static inline int samara_open_tree(int dir, const char *path, unsigned flags) {
    return (int)syscall(SYS_open_tree, dir, path, flags);
}
static inline int samara_move_mount(int fromDir, const char *from, int toDir, const char *to, unsigned flags) {
    return (int)syscall(SYS_move_mount, fromDir, from, toDir, to, flags);
}
static inline int samara_mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr, size_t size) {
    return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, size);
}
static inline int samara_pivot_root(const char *newRoot, const char *putOld) {
    return (int)syscall(SYS_pivot_root, newRoot, putOld);
}
static inline int samara_pidfd_open(pid_t pid, unsigned flags) { return (int)syscall(SYS_pidfd_open, pid, flags); }
static inline int samara_pidfd_send_signal(int fd, int sig, siginfo_t *info, unsigned flags) {
    return (int)syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}
static inline int samara_pidfd_getfd(int pidfd, int target, unsigned flags) {
    return (int)syscall(SYS_pidfd_getfd, pidfd, target, flags);
}
static inline int samara_close_range(unsigned first, unsigned last, unsigned flags) {
    return (int)syscall(SYS_close_range, first, last, flags);
}
static inline int samara_execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags) {
    return (int)syscall(SYS_execveat, dir, path, argv, envp, flags);
}
static inline int samara_capset(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data) {
    return (int)syscall(SYS_capset, header, data);
}
static inline int samara_seccomp(unsigned operation, unsigned flags, void *args) {
    return (int)syscall(SYS_seccomp, operation, flags, args);
}
static inline int samara_landlock_create_ruleset(const void *attributes, size_t size, unsigned flags) {
    return (int)syscall(444 /* landlock_create_ruleset */, attributes, size, flags);
}
static inline int samara_landlock_restrict_self(int ruleset, unsigned flags) {
    return (int)syscall(446 /* landlock_restrict_self */, ruleset, flags);
}
static inline int samara_waitid_pidfd(int pidfd, siginfo_t *info, int options) {
    return waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, info, options);
}
static inline int samara_renameat2(int fromDir, const char *from, int toDir, const char *to, unsigned flags) {
    return (int)syscall(SYS_renameat2, fromDir, from, toDir, to, flags);
}
// libc's setgroups and setresuid broadcast to threads; the raw calls are what a cloned child may use.
static inline int samara_setgroups(size_t count, const gid_t *groups) { return (int)syscall(SYS_setgroups, count, groups); }
static inline int samara_setresuid(uid_t r, uid_t e, uid_t s) { return (int)syscall(SYS_setresuid, r, e, s); }
static inline int samara_setresgid(gid_t r, gid_t e, gid_t s) { return (int)syscall(SYS_setresgid, r, e, s); }
static inline int samara_setrlimit(int resource, const struct rlimit64 *limit) {
    return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}
// The system call's own form: the length, not a pointer, and no allocation.
static inline long syscall_getcwd(void *buffer, size_t size) { return syscall(SYS_getcwd, buffer, size); }
extern char **environ;
static inline char **samara_environ(void) { return environ; }
// libc's, for its handlers around malloc; Swift hides fork.
static inline pid_t samara_fork(void) { return fork(); }
static inline pid_t samara_getpid(void) { return (pid_t)syscall(SYS_getpid); }

// Variadic calls.
static inline int samara_ioctl_pointer(int fd, unsigned long request, void *argument) { return ioctl(fd, request, argument); }
static inline int samara_ioctl_value(int fd, unsigned long request, unsigned long argument) { return ioctl(fd, request, argument); }
static inline int samara_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }
static inline int samara_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    return prctl(option, a, b, c, d);
}
static inline ssize_t samara_readlinkat(int dir, const char *path, void *buffer, size_t size) {
    return readlinkat(dir, path, (char *)buffer, size);
}
static inline int samara_openat(int dir, const char *path, int flags, mode_t mode) { return openat(dir, path, flags, mode); }

// Macros. (errno is one that Swift cannot import.)
static inline int samara_errno(void) { return errno; }
static inline void samara_set_errno(int value) { errno = value; }
static inline int samara_wifexited(int status) { return WIFEXITED(status); }
static inline int samara_wexitstatus(int status) { return WEXITSTATUS(status); }
static inline int samara_wtermsig(int status) { return WTERMSIG(status); }
static inline uint64_t samara_makedev(unsigned major_, unsigned minor_) { return makedev(major_, minor_); }
static inline unsigned samara_major(uint64_t device) { return major(device); }
static inline unsigned samara_minor(uint64_t device) { return minor(device); }

/// Sends `length` bytes and up to `fdCount` descriptors (SCM_RIGHTS) over a unix socket: sendmsg(2), unix(7).
ssize_t samara_send_with_fds(int socket, const void *data, size_t length, const int *fds, int fdCount, int flags);
/// Receives bytes and up to `*fdCount` descriptors, all close-on-exec; `*fdCount` becomes the number received.
/// Fails with EMSGSIZE if the kernel truncated the descriptors.
ssize_t samara_recv_with_fds(int socket, void *data, size_t length, int *fds, int *fdCount, int flags);

/// malloc_trim(3), and MADV_DONTNEED for what is below this function's part of the stack.
void samara_trim_memory(void);

/// Writes `CLOCK_MONOTONIC-nanoseconds point` and a newline, at once and without allocation. A failure changes nothing.
void samara_trace(int fd, const char *point);

/// Makes `title` the process's name in ps(1) by overwriting the argument area that the kernel handed to this process.
/// Truncates to the room there is; also sets the 15-byte thread name.
void samara_set_process_title(const char *title);

#endif
