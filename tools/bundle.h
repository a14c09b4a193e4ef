/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a report about a fault should have with it, in one file and without secrets. */
#include "tools/ctl.h"

/* output: a path, or NULL: mangrove-VOLUME-TIME.tar.gz here. An exit status. */
int bundle_write(struct ctl_mount *m, const char *output);
