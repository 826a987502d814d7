// SPDX-License-Identifier: Apache-2.0
#ifndef SAMARA_CALLOCATIONCOUNT_H
#define SAMARA_CALLOCATIONCOUNT_H

/// Calls of malloc, calloc, realloc and the aligned variants in this process so far.
unsigned long samara_allocation_count(void);

#endif
