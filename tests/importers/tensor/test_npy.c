#include <criterion/criterion.h>
#include <string.h>

#include "importers/tensor/npy.h"

static struct cb_arena arena;

static void setup(void)
{
    cr_assert_eq(cb_arena_init(&arena, 1 << 24).code, CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(npy, .init = setup, .fini = teardown);

/* A version 1 file with this header and `len` zero bytes of data. */
static struct cb_bytes file_of(struct cb_buf *buf, const char *header, size_t len)
{
    const size_t n = strlen(header);
    cb_buf_init(buf, 1 << 16);
    cb_buf_add(buf, "\x93NUMPY\x01", 7);
    cb_buf_add(buf, (uint8_t[]){ 0, (uint8_t)n, (uint8_t)(n >> 8) }, 3);
    cb_buf_add(buf, header, n);
    for (size_t i = 0; i < len; i++)
        cb_buf_add(buf, "", 1);
    return (struct cb_bytes){ (const uint8_t *)buf->data, buf->len };
}

Test(npy, what_is_written_is_read_back)
{
    for (int t = CB_DTYPE_NONE + 1; t < CB_DTYPE_OUTER_END; t++) {
        const enum cb_dtype dtype = (enum cb_dtype)t,
                            want = dtype == CB_BFLOAT16 ? CB_FLOAT32 : dtype;
        for (int rank = 0; rank <= 4; rank++) {
            struct cb_shape shape = { rank, { 3, 1, 5, 2 } };
            float f[30];
            int64_t n[30];
            struct cb_tensor x = { .shape = shape, .dtype = dtype }, y;
            struct cb_buf buf;
            for (int i = 0; i < 30; i++) {
                f[i] = (float)i / 4 - 2;
                n[i] = dtype == CB_BOOL ? i % 2 : i;
            }
            x.data = cb_dtype_get(dtype)->is_float ? (void *)f : n;
            cb_buf_init(&buf, 1 << 16);
            cb_npy_print(&buf, &x);
            cr_expect_eq((buf.len - cb_tensor_count(&x) * cb_dtype_get(want)->outer_size) % 64, 0,
                         "alignment");
            const struct cb_status st =
                cb_npy_read(&arena, (struct cb_bytes){ (uint8_t *)buf.data, buf.len }, &y);
            cr_assert_eq(st.code, CB_OK, "%s: %s", cb_dtype_get(dtype)->name, st.msg);
            cr_expect_eq(y.dtype, want);
            cr_expect(cb_shape_equal(&x.shape, &y.shape));
            cr_expect_eq(memcmp(x.data, y.data, cb_tensor_bytes(&x)), 0, "%s",
                         cb_dtype_get(dtype)->name);
            cb_buf_deinit(&buf);
        }
    }
}

Test(npy, reads_headers_as_others_write_them)
{
    static const struct {
        const char *header;
        size_t len;
        int rank;
    } cases[] = {
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n", 24, 2 },
        { "{\"shape\":(6,),\"descr\":\"<f4\",\"fortran_order\":False}", 24, 1 },
        { "{'descr': '=f4', 'fortran_order': False, 'shape': (2L, 3L)}", 24, 2 },
        { "{'descr': '<u1', 'fortran_order': False, 'shape': ()}", 1, 0 },
        { "{'descr': '|b1', 'fortran_order': False, 'shape': (0, 5)}", 0, 2 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct cb_buf buf;
        struct cb_tensor t;
        const struct cb_status st =
            cb_npy_read(&arena, file_of(&buf, cases[i].header, cases[i].len), &t);
        cr_expect_eq(st.code, CB_OK, "%s: %s", cases[i].header, st.msg);
        cr_expect_eq(t.shape.rank, cases[i].rank);
        cb_buf_deinit(&buf);
    }
}

Test(npy, says_what_it_does_not_read)
{
    static const struct {
        const char *header, *says;
    } cases[] = {
        { "{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", "Fortran order" },
        { "{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", "type >f4" },
        { "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "type <c8" },
        { "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "type |O" },
        { "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "no simple type" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
          "float [2] wants 8 bytes, has 4" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "no size" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "no size" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2147483648, 2147483648)}",
          "too large" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1)}",
          "more than 10 axes" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}", "does not end" },
        { "{'descr': '<f4', 'fortran_order': False}", "wants descr" },
        { "{'descr': '<f4', 'evil': 1}", "unknown key evil" },
        { "{'descr': '<f4", "no simple type" },
        { "{", "broken header" },
        { "", "no dict" },
        { "{'shape': (", "no size" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct cb_buf buf;
        struct cb_tensor t;
        const struct cb_status st = cb_npy_read(&arena, file_of(&buf, cases[i].header, 4), &t);
        cr_expect_eq(st.code, CB_ERR_MEDIA, "%s", cases[i].header);
        cr_expect(strstr(st.msg, cases[i].says), "%s: %s", cases[i].header, st.msg);
        cb_buf_deinit(&buf);
    }
}

Test(npy, every_cut_is_refused)
{
    struct cb_buf buf;
    struct cb_tensor t;
    const struct cb_bytes file =
        file_of(&buf, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4);
    for (size_t len = 0; len < file.len; len++)
        cr_expect_eq(cb_npy_read(&arena, (struct cb_bytes){ file.data, len }, &t).code,
                     CB_ERR_MEDIA, "%zu", len);
    cb_buf_deinit(&buf);
}
