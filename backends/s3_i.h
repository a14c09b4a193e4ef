/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between the two halves of the S3 dialect: what is asked, and what the answers mean. */
#include "backends/exchange.h"

struct s3 {
	struct web web;
	bool path_style, amazon; /* amazon: the address follows from the region */
	char region[48];         /* under web.store.sync.lock */
};

static inline struct s3 *s3_of(struct web *w)
{
	return container_of(w, struct s3, web);
}

bool s3_region_is_good(const char *s);
/* Judges an answer: a call's result, or AGAIN_*. */
int s3_judge(struct exchange *x);
