/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Runs a person's command; the one place of the daemon that starts a process. */
#include "base/buf.h"

/*
 * Runs it by /bin/sh -c, without input, its messages on our stderr, and appends what it prints.
 * It and what it started are killed at the deadline. 0; -ETIMEDOUT; -EMSGSIZE (more than ret's
 * limit); -ECHILD: it ended badly, *ret_status is as wait(2)'s; -errno.
 */
must_check int command_run(const char *command, uint64_t deadline_ns, struct buf *ret,
			   int *ret_status);
