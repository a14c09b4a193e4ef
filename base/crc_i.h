/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between crc.c, crc_x86.c and their test. */
#include "base/span.h"

/* Takes and answers the register of the definition: not inverted. */
typedef uint64_t crc_fn(uint64_t crc, struct span s);

/* CRC-64's register over s by table. */
uint64_t crc_tabled64(uint64_t crc, struct span s);

/* NULL where this processor lacks the instructions. */
crc_fn *crc_x86_crc32c(void);
crc_fn *crc_x86_crc64nvme(void);

/* The same numbers as crc32c() and crc64nvme(), never by special instructions. */
uint32_t crc32c_by_table(uint32_t crc_so_far, struct span s);
uint64_t crc64nvme_by_table(uint64_t crc_so_far, struct span s);
