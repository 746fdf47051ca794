/* tests/plain/criterion/new/assert.h - see criterion.h above it. */
#pragma once

#include <criterion/criterion.h>

#define PLAIN_flt(a, op, b) ((a)op(b))
#define PLAIN_dbl(a, op, b) ((a)op(b))
#define PLAIN_int(a, op, b) ((a)op(b))
#define PLAIN_i64(a, op, b) ((a)op(b))
#define PLAIN_u64(a, op, b) ((a)op(b))
#define PLAIN_sz(a, op, b) ((a)op(b))
#define PLAIN_str(a, op, b) (strcmp(a, b) op 0)

#define eq(tag, a, b) PLAIN_##tag(a, ==, b)
#define ne(tag, a, b) PLAIN_##tag(a, !=, b)
#define lt(tag, a, b) PLAIN_##tag(a, <, b)
#define le(tag, a, b) PLAIN_##tag(a, <=, b)
#define gt(tag, a, b) PLAIN_##tag(a, >, b)
#define ge(tag, a, b) PLAIN_##tag(a, >=, b)
#define epsilon_eq(tag, a, b, e) PLAIN_NEAR(a, b, e)
