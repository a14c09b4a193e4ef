/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The providers' checksums. CRC-32C: Castagnoli, reflected 0x82F63B78 (S3, GCS).
 * CRC-64/NVME: reflected 0x9A6C9329AC4BC9B5 (Azure's x-ms-content-crc64). Both with
 * all-ones in and out. "123456789" gives e3069283 and ae8b14860a799888. Pure; uses
 * the processor's instruction where there is one.
 */
#include "base/span.h"

uint32_t crc32c(uint32_t crc_so_far, struct span s); /* begin with 0 */
uint64_t crc64nvme(uint64_t crc_so_far, struct span s);
/* The CRC-32C of two texts one after the other, from those of each. */
uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t second_len);
