// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Calls of malloc, calloc, realloc and aligned_alloc by this process so far, the Swift runtime's included.
long allocation_count(void);
