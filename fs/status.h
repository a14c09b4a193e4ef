/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a mount tells about itself: the answer of GET /status, and the gauges of GET /metrics. */
#include "base/buf.h"
#include "fs/volume.h"

struct status; /* remembers since when each store lags */
must_check int status_new(struct volume *v, struct status **ret);
struct status *status_free(struct status *s);
DEFINE_CLEANUP(struct status *, status_free)
struct volume *status_volume(struct status *s); /* borrowed */
/* listen: the address of the read-only server ("127.0.0.1:9464"), or NULL. Appends JSON. Any
 * thread. 0, -ENOMEM, -EIO. */
must_check int status_json(struct status *s, const char *socket, const char *listen,
			   struct buf *ret);
/* Sets the gauges and appends all metrics of the process. */
must_check int status_metrics(struct status *s, struct buf *ret);
/* Where a file's copies are. path: from the mount's root. Appends JSON. 0, -ENOENT, -ENOTDIR,
 * -EIO, -ENOMEM. */
must_check int status_where(struct status *s, const char *path, struct buf *ret);
