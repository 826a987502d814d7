// SPDX-License-Identifier: Apache-2.0
//
// Runs a program step by step and prints the name of every function of an executable that is reached, in the order in
// which that happens first: what hack/text-order makes the linker's order of.
//
// Usage: text-order SYMBOLS EXECUTABLE PROGRAM [ARG...]
// SYMBOLS: lines "ADDRESS SIZE NAME" of EXECUTABLE, in hexadecimal, sorted by address; it must be linked at a fixed one.
// PROGRAM and what it makes run until PROGRAM ends; those of them that run EXECUTABLE are recorded.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

struct function {
    uint64_t address, size;
    char *name;
    int isSeen;
};

static struct function *functions;
static size_t count;

static void readSymbols(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) { perror(path); exit(1); }
    size_t capacity = 1 << 16;
    functions = malloc(capacity * sizeof *functions);
    char *line = NULL;
    size_t length = 0;
    while (getline(&line, &length, file) > 0) {
        uint64_t address, size;
        int start;
        if (sscanf(line, "%lx %lx %n", &address, &size, &start) != 2) continue;
        line[strcspn(line, "\n")] = 0;
        if (count == capacity) functions = realloc(functions, (capacity *= 2) * sizeof *functions);
        functions[count++] = (struct function){address, size, strdup(line + start), 0};
    }
    fclose(file);
}

static void visit(uint64_t address) {
    static size_t last;
    if (address >= functions[last].address && address < functions[last].address + functions[last].size) {
        if (functions[last].isSeen) return;
    } else {
        size_t low = 0, high = count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (functions[middle].address <= address) low = middle + 1; else high = middle;
        }
        if (low == 0) return;
        struct function *found = &functions[low - 1];
        if (address >= found->address + found->size) return;
        last = low - 1;
        if (found->isSeen) return;
    }
    // Names of the same address stand in a row; each may be the section's.
    uint64_t start = functions[last].address;
    size_t first = last;
    while (first > 0 && functions[first - 1].address == start) first--;
    for (size_t index = first; index < count && functions[index].address == start; index++) {
        functions[index].isSeen = 1;
        puts(functions[index].name);
    }
}


// Whether a process runs the executable that is recorded.
static int isRecorded(pid_t pid, const struct stat *wanted) {
    char path[64];
    struct stat found;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return stat(path, &found) == 0 && found.st_ino == wanted->st_ino && found.st_dev == wanted->st_dev;
}

enum { maximumPID = 1 << 22 };
static unsigned char isStepped[maximumPID];

int main(int argc, char **argv) {
    if (argc < 4) { fputs("Usage: text-order SYMBOLS EXECUTABLE PROGRAM [ARG...]\n", stderr); return 2; }
    readSymbols(argv[1]);
    struct stat wanted;
    if (stat(argv[2], &wanted) != 0) { perror(argv[2]); return 1; }
    pid_t child = fork();
    if (child == 0) {
        // The program's own output is not wanted among the names.
        dup2(2, 1);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[3], argv + 3);
        perror(argv[3]);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return 1;
    ptrace(PTRACE_SETOPTIONS, child, 0,
           PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    isStepped[child] = isRecorded(child, &wanted);
    ptrace(isStepped[child] ? PTRACE_SINGLESTEP : PTRACE_CONT, child, 0, 0);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) break;
        if (!WIFSTOPPED(status)) {
            // What the program left behind is killed with this process.
            if (pid == child) break;
            continue;
        }
        int stop = WSTOPSIG(status), event = status >> 16, signal = 0;
        if (event == PTRACE_EVENT_EXEC) {
            isStepped[pid] = isRecorded(pid, &wanted);
        } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            unsigned long made;
            if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &made) == 0 && made < maximumPID) isStepped[made] = isStepped[pid];
        } else if (stop == SIGTRAP && isStepped[pid]) {
            struct user_regs_struct registers;
            if (ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0) visit(registers.rip);
        } else if (stop != SIGSTOP && stop != SIGTRAP) {
            signal = stop;
        }
        ptrace(isStepped[pid] ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, 0, signal);
    }
    return 0;
}
