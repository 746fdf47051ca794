/* tests/plain/criterion/parameterized.h - see criterion.h beside it. */
#pragma once

#include <criterion/criterion.h>

#define cr_make_param_array(type, array, n)                                                        \
    ((struct criterion_test_params){ .size = sizeof(type), .data = (array), .count = (n) })

#define ParameterizedTestParameters(s, n) static struct criterion_test_params params_##s##_##n(void)

#define ParameterizedTest(param, s, n, ...)                                                        \
    static void test_##s##_##n(param);                                                             \
    static void with_##s##_##n(void *p)                                                            \
    {                                                                                              \
        test_##s##_##n(p);                                                                         \
    }                                                                                              \
    PLAIN_REGISTER(s, n, .run_with = with_##s##_##n, .params = params_##s##_##n, __VA_ARGS__)      \
    static void test_##s##_##n(param)
