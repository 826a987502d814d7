// SPDX-License-Identifier: Apache-2.0
#ifndef SAMARA_CALLOCATIONCOUNT_H
#define SAMARA_CALLOCATIONCOUNT_H

/// Calls of malloc, calloc, realloc and the aligned variants in this process so far.
unsigned long samara_allocation_count(void);

/// From now on the allocations of children of this process that are process 1 of a pid namespace are counted too, until
/// they execute a program. -1 with errno.
int samara_count_allocations_of_init(void);
/// How many there were.
unsigned long samara_allocations_of_init(void);

#endif
