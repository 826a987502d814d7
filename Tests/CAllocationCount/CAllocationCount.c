// SPDX-License-Identifier: Apache-2.0
//
// Replaces the allocator's entry points by ones that count, for the whole executable that links this.
#include "CAllocationCount.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

// Per thread: the test runner has threads of its own, whose allocations are none of the tested code's.
static _Thread_local unsigned long count;

// Shared with children that have no memory in common with this process otherwise.
static volatile unsigned long *inInit;

static void note(void) {
    count++;
    // libc may know the pid of before a raw clone.
    if (inInit && syscall(SYS_getpid) == 1) ++*inInit;
}

int samara_count_allocations_of_init(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return -1;
    inInit = page;
    return 0;
}

unsigned long samara_allocations_of_init(void) { return inInit ? *inInit : 0; }

unsigned long samara_allocation_count(void) { return count; }

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    note();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    note();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    note();
    *result = __libc_memalign(alignment, size);
    return *result ? 0 : ENOMEM;
}
