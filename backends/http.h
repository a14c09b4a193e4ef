/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The door of libcurl: one thread with one multi handle carries every request of the
 * program. Starts with the first request; so a program that forks does it before.
 *
 * (H1) A submitted request ends exactly once: `done` runs on the HTTP thread, holding no lock.
 * (H2) It ends by its deadline, or within milliseconds after http_cancel().
 */
#include "backends/request.h"

/*
 * Borrows r until `done`. 0, or -ENOMEM (the thread cannot be started; `done` will not run),
 * -ESHUTDOWN.
 */
must_check int http_submit(struct request *r);
/* Asks for the end of a request that was submitted; harmless when it has ended. r must be alive. */
void http_cancel(struct request *r);
/*
 * Submits and waits; for tasks that may block, never for `done` functions. -ESHUTDOWN and -ENOMEM
 * as above.
 */
must_check int http_run(struct request *r);
/* Ends all requests as cancelled and joins the thread; a later submit starts it again. */
void http_stop(void);
