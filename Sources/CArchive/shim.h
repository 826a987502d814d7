// SPDX-License-Identifier: Apache-2.0
// The same feature set as CLinux: clang merges the libc declarations of both modules.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>
// Threads are this module's users' alone: what CLinux serves has one, always.
#include <pthread.h>
