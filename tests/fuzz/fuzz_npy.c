/* tests/fuzz/fuzz_npy.c - any bytes as a .npy file. What is read is written again, and must read
 * the same. */
#include <math.h>
#include <string.h>

#include "importers/tensor/npy.h"
#include "tests/fuzz/fuzz.h"

/* To the last bit, but for which NaN it is: 16-bit ones keep no payload. */
static bool is_same(const struct cb_tensor *a, const struct cb_tensor *b)
{
    const bool real = cb_dtype_get(a->dtype)->is_float;
    for (size_t i = 0; i < cb_tensor_count(a); i++)
        if (real ? memcmp(&a->f[i], &b->f[i], sizeof *a->f) && !(isnan(a->f[i]) && isnan(b->f[i]))
                 : a->i[i] != b->i[i])
            return false;
    return true;
}

static void check(struct cb_arena *arena, const struct cb_tensor *t)
{
    struct cb_buf buf;
    struct cb_tensor again;
    cb_buf_init(&buf, (size_t)64 << 20);
    cb_npy_print(&buf, t);
    const struct cb_bytes file = { (const uint8_t *)buf.data, buf.len };
    if (buf.failed || cb_npy_read(arena, file, &again).code != CB_OK || again.dtype != t->dtype ||
        !cb_shape_equal(&again.shape, &t->shape) || !is_same(&again, t))
        __builtin_trap();
    cb_buf_deinit(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cb_arena arena;
    struct cb_tensor t;
    if (cb_arena_init(&arena, (size_t)64 << 20).code)
        return 0;
    if (cb_npy_read(&arena, (struct cb_bytes){ data, len }, &t).code == CB_OK)
        check(&arena, &t);
    cb_arena_deinit(&arena);
    return 0;
}
