#include <criterion/criterion.h>

#include "importers/tensor/pb.h"
#include "tests/support/proto_text.h"

static struct cb_status read_text(struct cb_arena *arena, const char *text, enum cb_dtype dtype,
                                  struct cb_tensor *out)
{
    struct cb_buf buf;
    cb_buf_init(&buf, 1 << 16);
    const struct cb_status st = cb_pb_read_as(arena, proto_bytes(&buf, text), dtype, out);
    cb_buf_deinit(&buf); /* the tensor must not need it */
    return st;
}

Test(pb, the_tensor_is_its_own)
{
    struct cb_arena arena;
    struct cb_tensor t;
    cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
    cr_assert_eq(read_text(&arena, "8\"name\" 1:2 2:1 9#0000803f000000c0", CB_FLOAT32, &t).code,
                 CB_OK);
    cr_expect_eq((uintptr_t)t.data % CB_ALIGN, 0);
    cr_expect(t.f[0] == 1 && t.f[1] == -2);
    cb_arena_deinit(&arena);
}

Test(pb, bfloat16_may_stand_as_its_bits)
{
    struct cb_arena arena;
    struct cb_tensor t;
    cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
    cr_assert_eq(read_text(&arena, "1:2 2:4 5[16256 49152]", CB_BFLOAT16, &t).code, CB_OK);
    cr_expect_eq(t.dtype, CB_BFLOAT16);
    cr_expect(t.f[0] == 1 && t.f[1] == -2);
    cb_arena_deinit(&arena);
}

Test(pb, refuses_what_is_no_tensor)
{
    static const struct {
        const char *text;
        enum cb_code code;
    } cases[] = {
        { "9!2", CB_ERR_MODEL },
        { "1:2 2:1 9#00", CB_ERR_MODEL },
        { "2\"x\"", CB_ERR_MODEL },
        { "2:8 6\"x\"", CB_ERR_UNSUPPORTED },
        { "1:1 2:1 14:1 13{1\"location\" 2\"/etc/passwd\"}", CB_ERR_UNSUPPORTED },
    };
    struct cb_arena arena;
    struct cb_tensor t;
    cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++)
        cr_expect_eq(read_text(&arena, cases[i].text, CB_FLOAT32, &t).code, cases[i].code, "%s",
                     cases[i].text);
    cb_arena_deinit(&arena);
}
