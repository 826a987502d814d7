// SPDX-License-Identifier: Apache-2.0
// The same feature set as CLinux: clang merges the libc declarations of both modules.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <sys/capability.h>
