// SPDX-License-Identifier: Apache-2.0
//
// A static Swift executable runs the runtime's initializers on every start. Two of them ask the kernel for what this
// program knows or does not need: the arguments, which are looked for in /proc/self/maps and the stack, and the helper
// that prints backtraces of crashes, which is looked for in nine places. These definitions come before the runtime's
// (the linker takes a member of an archive only for a symbol that is still missing), so its initializers are left out:
// 19 system calls per start. SWIFT_BACKTRACE=swift-backtrace=PATH still works; a runtime that calls its functions
// otherwise keeps its own.
#include "CStart.h"

#include <malloc.h>
#include <stddef.h>

static char **arguments;
static int argumentCount;

__attribute__((constructor(101))) static void remember(int argc, char **argv, char **envp) {
    (void)envp;
    arguments = argv;
    argumentCount = argc;
    // The heap grows in one step to what a start needs, and is not given back piece by piece.
    mallopt(M_TOP_PAD, 512 << 10);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
}

// stdlib/public/stubs/CommandLine.cpp
char **_swift_stdlib_getUnsafeArgvArgc(int *count) {
    *count = argumentCount;
    return arguments;
}

void _swift_stdlib_overrideUnsafeArgvArgc(char **argv, int argc) {
    arguments = argv;
    argumentCount = argc;
}

// stdlib/public/runtime/Paths.cpp
const char *swift_getRuntimeLibraryPath(void) { return NULL; }
const char *swift_getRootPath(void) { return NULL; }
char *swift_copyAuxiliaryExecutablePath(const char *name) {
    (void)name;
    return NULL;
}
