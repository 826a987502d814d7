// SPDX-License-Identifier: Apache-2.0
//
// The floor of a container's start: a static program that makes only the system calls without which there would
// be no such container, each once, with no configuration read and nothing recorded. What an engine needs beyond this
// is the engine's.
//
// The calls are those of a rootless container with Podman's defaults: the user namespace of a sleeping holder
// (or a new one with a single ID), six further namespaces, an overlay with userxattr, the OCI default mounts, the
// default devices, loopback up, pivot_root, the default capabilities, a seccomp filter, execve, wait.
// mount(2) instead of fsopen(2) and its companions: fewer calls, so the lower floor.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

// Podman's default capabilities: chown dac_override fowner fsetid kill net_bind_service setfcap setgid setpcap
// setuid sys_chroot.
static const uint64_t default_capabilities = 0x800405fbULL;

enum mounts { MOUNTS_NONE, MOUNTS_PROC, MOUNTS_OCI };

static struct {
    int user_of;        // the process whose user namespace is joined first, or 0
    int join;           // the process whose pod namespaces (user, net, ipc, uts) are joined, or 0
    int enter;          // the process whose namespaces are all joined (exec), or 0
    uint64_t clone;     // CLONE_NEW*
    const char *root;   // lower directory of the overlay, or the root itself
    const char *scratch; // where upper, work and the mount point are made; NULL: the root is bound as it is
    enum mounts mounts;
    bool masks, no_sync, loopback, capabilities, hold, print_pid, cleanup, map;
    unsigned filter_length;
    struct sock_filter *filter;
    char **arguments;
} options = {
    .clone = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
    .mounts = MOUNTS_OCI,
    .loopback = true,
    .capabilities = true,
    .cleanup = true,
    .map = true,
};

static const char usage[] =
    "Usage: floor-start [OPTION...] [--] PROGRAM [ARG...]\n"
    "\n"
    "Starts PROGRAM in a container with no more system calls than it takes, and exits with its status.\n"
    "\n"
    "  --user-of PID         join the user namespace of PID first; a new one repeats its ID map\n"
    "  --join PID            join the user, net, ipc and uts namespaces of PID; make mount and pid only\n"
    "  --exec PID            join those and the mount (so the root) and pid namespace of PID; make none\n"
    "  --no-map              leave the new user namespace's map to somebody else (newuidmap)\n"
    "  --namespaces LIST     make these: user,mount,pid,net,ipc,uts,cgroup or none (default: all)\n"
    "  --root DIR            the root file system, with proc, dev and sys in it (default: the host's)\n"
    "  --overlay DIR         DIR is scratch space: mount an overlay over --root, made and removed for this run\n"
    "  --volatile            the overlay does not write its upper file system back when it goes\n"
    "  --keep                leave the scratch space as it is at the end\n"
    "  --mounts none|proc|oci  what is mounted in the root (default: oci)\n"
    "  --masks               Podman's masked and read-only paths too\n"
    "  --no-loopback         leave lo down\n"
    "  --no-capabilities     drop none\n"
    "  --seccomp FILE        load this filter (struct sock_filter as the kernel takes it)\n"
    "  --seccomp-length N    load a filter of N instructions that allows everything\n"
    "  --print-pid           print the process's number on standard output\n"
    "  --hold                execute nothing: wait for the end of standard input; implies --print-pid\n";

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    int error = errno;
    va_list list;
    fputs("floor-start: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, ": %s\n", strerror(error));
    _exit(125);
}

static void check(long result, const char *what) {
    if (result < 0) fail("%s", what);
}

// Namespaces and identity

static int open_process(int pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    check(fd, "pidfd_open");
    return fd;
}

static void join(int pid, int namespaces, const char *what) {
    int fd = open_process(pid);
    if (setns(fd, namespaces) != 0) fail("setns to the %s, process %d", what, pid);
    close(fd);
}

static void write_file(int pid, const char *name, const char *text, size_t length) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length) fail("write %s", path);
    close(fd);
}

// The map of the current namespace onto itself, extent by extent: one range across two parent extents is EINVAL
// (user_namespaces(7)).
static size_t own_map(const char *name, char *text, size_t size) {
    char lines[4096];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    check(fd, name);
    ssize_t count = read(fd, lines, sizeof lines - 1);
    check(count, name);
    close(fd);
    lines[count] = 0;
    size_t used = 0;
    for (char *line = lines; *line;) {
        unsigned long first, lower, length;
        if (sscanf(line, "%lu %lu %lu", &first, &lower, &length) != 3) break;
        used += (size_t)snprintf(text + used, size - used, "%lu %lu %lu\n", first, first, length);
        line = strchr(line, '\n');
        if (!line) break;
        line++;
    }
    return used;
}

static void write_maps(int pid) {
    char text[4096];
    if (options.user_of != 0 || geteuid() == 0) {
        write_file(pid, "uid_map", text, own_map("/proc/self/uid_map", text, sizeof text));
        write_file(pid, "gid_map", text, own_map("/proc/self/gid_map", text, sizeof text));
        return;
    }
    write_file(pid, "setgroups", "deny", 4);
    write_file(pid, "uid_map", text, (size_t)snprintf(text, sizeof text, "0 %u 1\n", geteuid()));
    write_file(pid, "gid_map", text, (size_t)snprintf(text, sizeof text, "0 %u 1\n", getegid()));
}

// Root file system

static void attach(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    if (mount(source, target, type, flags, data) != 0) fail("mount %s on %s", type ? type : source, target);
}

static void device(const char *name) {
    char source[32];
    snprintf(source, sizeof source, "/dev/%s", name);
    int fd = open(source + 1, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    check(fd, source);
    close(fd);
    attach(source, source + 1, NULL, MS_BIND, NULL);
}

// Relative to the new root, which is the working directory.
static void default_mounts(void) {
    const unsigned long locked = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    attach("proc", "proc", "proc", locked, NULL);
    if (options.mounts == MOUNTS_PROC) return;
    attach("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k");
    check(mkdir("dev/pts", 0755), "dev/pts");
    check(mkdir("dev/mqueue", 0755), "dev/mqueue");
    check(mkdir("dev/shm", 0755), "dev/shm");
    attach("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
    attach("mqueue", "dev/mqueue", "mqueue", locked, NULL);
    attach("shm", "dev/shm", "tmpfs", locked, "mode=1777,size=65536k");
    static const char *const devices[] = {"null", "zero", "full", "tty", "random", "urandom"};
    for (size_t index = 0; index < sizeof devices / sizeof *devices; index++) device(devices[index]);
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"},
        {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"}};
    for (size_t index = 0; index < sizeof links / sizeof *links; index++)
        check(symlink(links[index][0], links[index][1]), links[index][1]);
    // A new sysfs needs a network namespace that this user namespace owns.
    if (options.join == 0) attach("sysfs", "sys", "sysfs", locked | MS_RDONLY, NULL);
    else attach("/sys", "sys", NULL, MS_BIND | MS_REC, NULL);
}

static void mask_paths(void) {
    static const char *const masked[] = {"proc/acpi", "proc/interrupts", "proc/kcore", "proc/keys",
        "proc/latency_stats", "proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/dev/block",
        "sys/devices/virtual/powercap", "sys/firmware", "sys/fs/selinux"};
    static const char *const read_only[] = {
        "proc/asound", "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    for (size_t index = 0; index < sizeof read_only / sizeof *read_only; index++) {
        const char *path = read_only[index];
        if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) != 0) {
            if (errno == ENOENT) continue;
            fail("bind %s", path);
        }
        attach(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    }
    for (size_t index = 0; index < sizeof masked / sizeof *masked; index++) {
        const char *path = masked[index];
        if (mount("/dev/null", path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT) continue;
        if (errno != ENOTDIR) fail("mask %s", path);
        attach("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k");
    }
}

static char upper[4096], work[4096], merged[4096];

static void make_scratch(void) {
    int pid = getpid();
    snprintf(upper, sizeof upper, "%s/%d-upper", options.scratch, pid);
    snprintf(work, sizeof work, "%s/%d-work", options.scratch, pid);
    snprintf(merged, sizeof merged, "%s/merged", options.scratch);
    check(mkdir(upper, 0755), upper);
    check(mkdir(work, 0700), work);
    // One mount point serves every run: each mounts in a mount namespace of its own.
    if (mkdir(merged, 0755) != 0 && errno != EEXIST) fail("%s", merged);
}

static void remove_scratch(void) {
    char inner[4200];
    if (options.no_sync) {
        // The mark that this upper layer must not be mounted again: overlayfs.rst, "Volatile mount".
        static const char *const marks[] = {"work/incompat/volatile/dirty", "work/incompat/volatile", "work/incompat"};
        for (size_t index = 0; index < sizeof marks / sizeof *marks; index++) {
            snprintf(inner, sizeof inner, "%s/%s", work, marks[index]);
            if (remove(inner) != 0 && errno != ENOENT) fail("remove %s", inner);
        }
    }
    // overlayfs makes "work" in its work directory. The mount is gone with the namespace, or about to be.
    snprintf(inner, sizeof inner, "%s/work", work);
    if (rmdir(inner) != 0 && errno != ENOENT) fail("remove %s", inner);
    check(rmdir(work), work);
    if (rmdir(upper) != 0) fail("remove %s", upper);
}

static void assemble_root(void) {
    attach(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (options.scratch) {
        char data[12400];
        snprintf(data, sizeof data, "userxattr%s,lowerdir=%s,upperdir=%s,workdir=%s",
            options.no_sync ? ",volatile" : "", options.root, upper, work);
        attach("overlay", merged, "overlay", MS_NODEV, data);
        check(chdir(merged), merged);
    } else {
        attach(options.root, options.root, NULL, MS_BIND | MS_REC, NULL);
        check(chdir(options.root), options.root);
    }
    if (options.mounts != MOUNTS_NONE) default_mounts();
    if (options.masks) mask_paths();
    // The old root ends up on top of the new one and is taken off again: pivot_root(2), NOTES.
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount the old root");
    check(chdir("/"), "/");
}

// Privilege

static void loopback_up(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(fd, "socket");
    check(ioctl(fd, SIOCSIFFLAGS, &request), "lo up");
    close(fd);
}

static void load_filter(void) {
    struct sock_fprog program = {.len = (unsigned short)options.filter_length, .filter = options.filter};
    check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

static void drop_capabilities(void) {
    for (int number = 0; number < 64; number++) {
        if (default_capabilities >> number & 1) continue;
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0) continue;
        if (errno == EINVAL) break; // past the kernel's last
        fail("drop capability %d", number);
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const uint32_t low = (uint32_t)default_capabilities, high = (uint32_t)(default_capabilities >> 32);
    struct __user_cap_data_struct data[2] = {{.effective = low, .permitted = low}, {.effective = high, .permitted = high}};
    check(syscall(SYS_capset, &header, data), "capset");
}

// The child

__attribute__((noreturn)) static void run(int map_written) {
    if (map_written >= 0) {
        char byte;
        if (read(map_written, &byte, 1) != 1) _exit(125);
        close(map_written);
        check(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
        check(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
    }
    if (options.root && options.enter == 0) assemble_root();
    if (options.loopback && options.clone & CLONE_NEWNET) loopback_up();
    if (options.clone & CLONE_NEWUTS) check(sethostname("floor", 5), "sethostname");
    // Loaded before the capabilities go: without no_new_privs it needs CAP_SYS_ADMIN (seccomp(2)).
    if (options.filter) load_filter();
    if (options.capabilities) drop_capabilities();
    if (options.hold) {
        char byte;
        while (read(0, &byte, 1) > 0) {}
        _exit(0);
    }
    static char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    execve(options.arguments[0], options.arguments, environment);
    fail("execute %s", options.arguments[0]);
}

static int start(void) {
    int map_written[2] = {-1, -1};
    const bool maps = options.map && options.clone & CLONE_NEWUSER;
    if (maps) check(pipe2(map_written, O_CLOEXEC), "pipe2");
    struct clone_args arguments = {.flags = options.clone, .exit_signal = SIGCHLD};
    // After a setns the process is not dumpable, and the child's uid_map would belong to the host's root.
    if (options.user_of != 0) check(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "dumpable");
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    check(pid, "clone3");
    if (pid == 0) {
        if (map_written[1] >= 0) close(map_written[1]);
        run(map_written[0]);
    }
    if (maps) {
        close(map_written[0]);
        write_maps((int)pid);
        if (write(map_written[1], "", 1) != 1) fail("tell the child");
        close(map_written[1]);
    }
    if (options.print_pid) {
        printf("%ld\n", pid);
        fflush(stdout);
    }
    return (int)pid;
}

// The command line

static uint64_t namespaces(char *list) {
    static const struct { const char *name; uint64_t flag; } names[] = {{"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS},
        {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
        {"cgroup", CLONE_NEWCGROUP}, {"none", 0}};
    uint64_t flags = 0;
    for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
        size_t index = 0;
        while (index < sizeof names / sizeof *names && strcmp(names[index].name, name) != 0) index++;
        if (index == sizeof names / sizeof *names) {
            fprintf(stderr, "floor-start: there is no namespace %s\n", name);
            exit(2);
        }
        flags |= names[index].flag;
    }
    return flags;
}

static void read_filter(const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) fail("%s", path);
    options.filter = malloc((size_t)status.st_size);
    if (read(fd, options.filter, (size_t)status.st_size) != status.st_size) fail("%s", path);
    options.filter_length = (unsigned)((size_t)status.st_size / sizeof *options.filter);
    close(fd);
}

// Comparisons that never match, then "allow": as long to copy, check and compile as a real one.
static void make_filter(unsigned length) {
    options.filter = calloc(length, sizeof *options.filter);
    options.filter_length = length;
    if (!options.filter || length < 2) fail("a filter of %u instructions", length);
    options.filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    for (unsigned index = 1; index < length - 1; index++)
        options.filter[index] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 100000 + index, 0, 0);
    options.filter[length - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

int main(int argc, char **argv) {
    enum { USER_OF = 256, JOIN, EXEC, NAMESPACES, NO_MAP, ROOT, OVERLAY, VOLATILE, KEEP, MOUNTS, MASKS, NO_LOOPBACK, NO_CAPABILITIES,
        SECCOMP, SECCOMP_LENGTH, PRINT_PID, HOLD, HELP };
    static const struct option names[] = {{"user-of", 1, 0, USER_OF}, {"join", 1, 0, JOIN}, {"exec", 1, 0, EXEC},
        {"namespaces", 1, 0, NAMESPACES}, {"no-map", 0, 0, NO_MAP}, {"root", 1, 0, ROOT}, {"overlay", 1, 0, OVERLAY}, {"volatile", 0, 0, VOLATILE}, {"keep", 0, 0, KEEP},
        {"mounts", 1, 0, MOUNTS}, {"masks", 0, 0, MASKS}, {"no-loopback", 0, 0, NO_LOOPBACK},
        {"no-capabilities", 0, 0, NO_CAPABILITIES}, {"seccomp", 1, 0, SECCOMP}, {"seccomp-length", 1, 0, SECCOMP_LENGTH},
        {"print-pid", 0, 0, PRINT_PID}, {"hold", 0, 0, HOLD}, {"help", 0, 0, HELP}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "+h", names, NULL)) != -1) {
        switch (option) {
        case USER_OF: options.user_of = atoi(optarg); break;
        case JOIN: options.join = atoi(optarg); options.clone = CLONE_NEWNS | CLONE_NEWPID; break;
        case EXEC: options.enter = atoi(optarg); options.clone = 0; break;
        case NAMESPACES: options.clone = namespaces(optarg); break;
        case NO_MAP: options.map = false; break;
        case ROOT: options.root = optarg; break;
        case OVERLAY: options.scratch = optarg; break;
        case VOLATILE: options.no_sync = true; break;
        case KEEP: options.cleanup = false; break;
        case MOUNTS:
            options.mounts = strcmp(optarg, "none") == 0 ? MOUNTS_NONE : strcmp(optarg, "proc") == 0 ? MOUNTS_PROC : MOUNTS_OCI;
            break;
        case MASKS: options.masks = true; break;
        case NO_LOOPBACK: options.loopback = false; break;
        case NO_CAPABILITIES: options.capabilities = false; break;
        case SECCOMP: read_filter(optarg); break;
        case SECCOMP_LENGTH: make_filter((unsigned)atoi(optarg)); break;
        case PRINT_PID: options.print_pid = true; break;
        case HOLD: options.hold = options.print_pid = true; break;
        case 'h':
        case HELP: fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    options.arguments = argv + optind;
    if (!options.hold && !options.arguments[0]) {
        fputs(usage, stderr);
        return 2;
    }

    if (options.user_of) join(options.user_of, CLONE_NEWUSER, "holder of the user namespace");
    if (options.join) join(options.join, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, "pod");
    if (options.enter)
        join(options.enter, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
            "container");
    if (options.scratch) make_scratch();
    int pid = start(), status;
    if (options.hold && options.root == NULL) close(0);
    if (waitpid(pid, &status, 0) != pid) fail("wait");
    if (options.scratch && options.cleanup) remove_scratch();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
