/* tests/fuzz/fuzz_head.c - any bytes as a head's file, and as a trunk's file that a head is put on.
 * A head that is read fits itself: it is written again, and read to be the same. */
#include <string.h>

#include "importers/onnx/head/save.h"
#include "tests/fuzz/fuzz.h"

static void read_twice(struct cb_bytes bytes, struct cb_arena *arena)
{
    struct cb_onnx_head_file first, second;
    struct cb_buf again;
    if (cb_onnx_read_head(bytes, arena, &first).code)
        return;
    const struct cb_head *h = &first.head;
    const size_t inner = (size_t)(h->hidden ? h->hidden : h->inputs);
    const struct cb_onnx_save save = { .name = "head",
                                       .head = h,
                                       .bottleneck = "x",
                                       .properties = first.properties,
                                       .n_properties = first.n_properties };
    require(h->inputs >= 1 && h->classes >= 2 && (h->w1 != NULL) == (h->hidden > 0));
    cb_buf_init(&again, (size_t)64 << 20);
    require(cb_onnx_save_head(&save, &again).code == CB_OK);
    const struct cb_status st = cb_onnx_read_head(
        (struct cb_bytes){ (const uint8_t *)again.data, again.len }, arena, &second);
    if (st.code == CB_OK)
        require(!memcmp(h->w2, second.head.w2, inner * (size_t)h->classes * sizeof(float)));
    else
        require(st.code == CB_ERR_NOMEM);
    cb_buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const float weights[6] = { 1, 2, 3, 4, 5, 6 };
    const struct cb_head head = { .inputs = 2, .classes = 2, .w2 = weights, .b2 = weights + 4 };
    const struct cb_onnx_save save = {
        .name = "whole", .head = &head, .bottleneck = "x", .spatial = true
    };
    const struct cb_bytes bytes = { data, len };
    struct cb_arena arena;
    struct cb_buf whole;
    require(cb_arena_init(&arena, (size_t)64 << 20).code == CB_OK);
    read_twice(bytes, &arena);
    cb_buf_init(&whole, (size_t)64 << 20);
    if (cb_onnx_save_whole(bytes, &save, &whole).code == CB_OK)
        require(whole.len > sizeof weights);
    cb_buf_deinit(&whole);
    cb_arena_deinit(&arena);
    return 0;
}
