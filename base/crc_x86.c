/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc_i.h"

crc_fn *crc_x86_crc32c(void)
{
	return NULL;
}

crc_fn *crc_x86_crc64nvme(void)
{
	return NULL;
}
