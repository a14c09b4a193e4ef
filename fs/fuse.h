/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The kernel's side of a mount. */
#include "fs/options.h"
#include "fs/volume.h"

/*
 * Mounts the volume at o->dir and answers the kernel until it is unmounted or a signal (SIGTERM,
 * SIGINT) asks for the end. Writes one zero byte to ready_fd (unless -1) when the mount answers,
 * and never touches it otherwise. 0 after an orderly end; negative errno with a sentence for
 * people in err. The volume stays open: who opened it closes it.
 */
must_check int fuse_serve(struct volume *v, const struct mount_options *o, int ready_fd, char *err,
			  size_t err_size);
