// SPDX-License-Identifier: Apache-2.0
// The allocation functions of the test program stand in front of the C library's (the dynamic linker takes the
// program's definitions first) and count. glibc exports the originals under these names for that purpose; what they
// return may be freed by the library's own free.
#include "AllocationCounter.h"
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static long count;

static void note(void) { __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED); }

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    note();
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    note();
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

long allocation_count(void) { return __atomic_load_n(&count, __ATOMIC_RELAXED); }
