/* tests/plain/criterion/criterion.h - the part of Criterion's macros that the core's tests use, for
 * where Criterion itself cannot run: it starts the program anew for every test, which an emulator
 * of another processor's programs does not follow. Here a test is a fork (main.c). */
#pragma once

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct criterion_test_params {
    size_t size;
    void *data;
    size_t count;
};

struct plain_test {
    const char *suite, *name;
    void (*run)(void);
    void (*run_with)(void *param);
    struct criterion_test_params (*params)(void); /* NULL: run, once */
    void (*init)(void), (*fini)(void);
    unsigned timeout; /* seconds; 0: the runner's */
    struct plain_test *next;
};

/* What all tests of a suite begin and end with, beside their own. */
struct plain_suite {
    const char *name;
    void (*init)(void), (*fini)(void);
    unsigned timeout;
    struct plain_suite *next;
};

void plain_register(struct plain_test *test);
void plain_register_suite(struct plain_suite *suite);

/* Says where and what when it does not hold; `fatal` ends the test. */
void plain_check(bool fatal, const char *file, int line, const char *what, bool holds,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Ends the test, which does not count. */
void plain_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define cr_skip_test(...) plain_skip(" " __VA_ARGS__)

#define TestSuite(s, ...)                                                                          \
    __attribute__((constructor)) static void register_suite_##s(void)                              \
    {                                                                                              \
        static struct plain_suite suite = { .name = #s, __VA_ARGS__ };                             \
        plain_register_suite(&suite);                                                              \
    }                                                                                              \
    static_assert(1, "takes the semicolon")

#define PLAIN_REGISTER(s, n, ...)                                                                  \
    __attribute__((constructor)) static void register_##s##_##n(void)                              \
    {                                                                                              \
        static struct plain_test test = { .suite = #s, .name = #n, __VA_ARGS__ };                  \
        plain_register(&test);                                                                     \
    }

#define Test(s, n, ...)                                                                            \
    static void test_##s##_##n(void);                                                              \
    PLAIN_REGISTER(s, n, .run = test_##s##_##n, __VA_ARGS__)                                       \
    static void test_##s##_##n(void)

#define PLAIN_CHECK(fatal, what, holds, ...)                                                       \
    plain_check(fatal, __FILE__, __LINE__, what, holds, " " __VA_ARGS__)

#define cr_assert(x, ...) PLAIN_CHECK(true, #x, (x), __VA_ARGS__)
#define cr_expect(x, ...) PLAIN_CHECK(false, #x, (x), __VA_ARGS__)
#define cr_assert_fail(...) PLAIN_CHECK(true, "fails", false, __VA_ARGS__)
#define cr_expect_fail(...) PLAIN_CHECK(false, "fails", false, __VA_ARGS__)
#define cr_assert_not(x, ...) PLAIN_CHECK(true, "not " #x, !(x), __VA_ARGS__)
#define cr_expect_not(x, ...) PLAIN_CHECK(false, "not " #x, !(x), __VA_ARGS__)

#define PLAIN_COMPARE(fatal, a, op, b, ...)                                                        \
    PLAIN_CHECK(fatal, #a " " #op " " #b, (a)op(b), __VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN_COMPARE(true, a, ==, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN_COMPARE(true, a, <, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN_COMPARE(true, a, >, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN_COMPARE(true, a, <=, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN_COMPARE(true, a, >=, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN_COMPARE(true, a, !=, b, __VA_ARGS__)
#define cr_assert_null(a, ...) PLAIN_CHECK(true, #a, !(a), __VA_ARGS__)
#define cr_assert_not_null(a, ...) PLAIN_CHECK(true, #a, (a) != NULL, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) PLAIN_COMPARE(false, a, ==, b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) PLAIN_COMPARE(false, a, !=, b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) PLAIN_COMPARE(false, a, <, b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) PLAIN_COMPARE(false, a, <=, b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) PLAIN_COMPARE(false, a, >, b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) PLAIN_COMPARE(false, a, >=, b, __VA_ARGS__)
#define cr_expect_null(a, ...) PLAIN_CHECK(false, #a, !(a), __VA_ARGS__)
#define cr_expect_not_null(a, ...) PLAIN_CHECK(false, #a, (a) != NULL, __VA_ARGS__)

#define PLAIN_NEAR(a, b, e) (fabs((double)(a) - (double)(b)) <= (double)(e))
#define cr_assert_float_eq(a, b, e, ...)                                                           \
    PLAIN_CHECK(true, #a " ~ " #b, PLAIN_NEAR(a, b, e), __VA_ARGS__)
#define cr_expect_float_eq(a, b, e, ...)                                                           \
    PLAIN_CHECK(false, #a " ~ " #b, PLAIN_NEAR(a, b, e), __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN_CHECK(true, #a " is " #b, !strcmp(a, b), __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) PLAIN_CHECK(false, #a " is " #b, !strcmp(a, b), __VA_ARGS__)
