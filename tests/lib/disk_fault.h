/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The disk fails on command: programs that are linked with disk_fault_dep have their fdatasync(2)
 * and pwritev(2) go through here.
 */
#include <stdint.h>

/* The n-th call from now on fails with this errno, and so do `more` after it; n = 0: none. */
void disk_fault_sync(unsigned n, unsigned more, int error);
/* The n-th write from now on stores `bytes` bytes and the next one fails; n = 0: none. */
void disk_fault_write(unsigned n, uint64_t bytes, int error);
unsigned disk_syncs(void); /* good ones so far */
