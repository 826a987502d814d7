// SPDX-License-Identifier: Apache-2.0
//
// What an OCI runtime asks of the kernel beyond a container start: see CLinux.h for what may be here.
#ifndef SAMARA_CLINUX_RUNTIME_H
#define SAMARA_CLINUX_RUNTIME_H

#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int F_GET_SEALS_VALUE = 1034, F_ADD_SEALS_VALUE = 1033;
static const int F_SEAL_WRITE_VALUE = 8, F_SEAL_ALL_VALUE = 1 | 2 | 4;
static const unsigned long MS_SHARED_VALUE = 1 << 20, MS_MOVE_VALUE = 8192;

static inline ssize_t samara_sendfile(int to, int from, size_t length) { return sendfile(to, from, NULL, length); }
static inline int samara_personality(unsigned long persona) { return personality(persona); }
static inline int samara_mknodat(int dir, const char *name, mode_t mode, uint64_t device) { return mknodat(dir, name, mode, device); }
// keyctl(2), KEYCTL_JOIN_SESSION_KEYRING with an anonymous keyring.
static inline long samara_join_session_keyring(void) { return syscall(SYS_keyctl, 1, NULL); }
static inline int samara_ioprio_set(int value) { return (int)syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, value); }
static inline int samara_setdomainname(const char *name, size_t length) { return (int)syscall(SYS_setdomainname, name, length); }
static inline int samara_capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data) {
    return (int)syscall(SYS_capget, header, data);
}

// sched_setattr(2); glibc 2.36 has no declaration.
struct samara_sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
static inline int samara_sched_setattr(struct samara_sched_attr *attributes) {
    attributes->size = sizeof *attributes;
    return (int)syscall(SYS_sched_setattr, 0, attributes, 0);
}

// The default disposition also of the two signals that libc keeps for itself, which posix_spawn(3) leaves ignored:
// rt_sigaction(2) with the kernel's own structure, all of it zero.
static inline void samara_reset_signal(int signal) {
    unsigned long action[4] = {0, 0, 0, 0};
    (void)syscall(SYS_rt_sigaction, signal, action, (void *)0, 8);
}

// Every processor that the process's cpuset has: sched_setaffinity(2), which leaves out the others.
static inline void samara_reset_affinity(void) {
    unsigned char all[1024];
    memset(all, 0xff, sizeof all);
    (void)syscall(SYS_sched_setaffinity, 0, sizeof all, all);
}

// The id of the mount that `path` is on: statx(2), STATX_MNT_ID (5.8). -1 with errno.
static inline int samara_mount_id(int dir, const char *path, int flags, uint64_t *id) {
    struct statx status;
    memset(&status, 0, sizeof status);
    if (syscall(SYS_statx, dir, path, flags, 0x1000u, &status) != 0) return -1;
    memcpy(id, (char *)&status + 0x90, sizeof *id);
    return 0;
}

// Loads a BPF_PROG_TYPE_CGROUP_DEVICE program of 8-byte instructions and attaches it with BPF_F_ALLOW_MULTI: bpf(2).
static inline int samara_bpf_load_device(const void *instructions, uint32_t count) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uintptr_t)instructions;
    attributes.insn_cnt = count;
    attributes.license = (uintptr_t) "GPL";
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}
static inline int samara_bpf_attach_device(int cgroup, int program) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    return (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes);
}

#endif
