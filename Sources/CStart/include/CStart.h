// SPDX-License-Identifier: Apache-2.0
//
// What the Swift runtime would look up before main, for executables that are started often: see CStart.c.
#ifndef SAMARA_CSTART_H
#define SAMARA_CSTART_H
#endif
