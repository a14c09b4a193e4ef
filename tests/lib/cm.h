/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cmocka with what it needs before it, and without its fail(): ours has the name. */
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#undef fail
#define fail(error) fail_at((error), __FILE__, __LINE__)

/* A span's bytes against a C string. */
#define assert_span_str(s, text)                                                                   \
	do {                                                                                       \
		struct span got_ = (s);                                                            \
		const char *want_ = (text);                                                        \
		assert_int_equal(got_.len, strlen(want_));                                         \
		assert_memory_equal(got_.data ? (const void *)got_.data : "", want_, got_.len);    \
	} while (0)
