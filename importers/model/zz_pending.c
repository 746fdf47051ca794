/* importers/model/zz_pending.c - heads, until what reads and attaches them is linked. */
#include "importers/onnx/save.h"

__attribute__((weak)) struct cb_status cb_onnx_read_head(struct cb_bytes file, struct cb_arena *arena,
                                                         struct cb_onnx_head_file *out)
{
    (void)file, (void)arena, (void)out;
    return cb_fail(CB_ERR_UNSUPPORTED, "heads are not there");
}

__attribute__((weak)) const char *cb_onnx_head_property(const struct cb_onnx_head_file *file, const char *key)
{
    (void)file, (void)key;
    return NULL;
}

__attribute__((weak)) struct cb_status cb_head_attach(struct cb_graph *graph, int bottleneck, const struct cb_head *head,
                                                      uint64_t key, int *logits)
{
    (void)graph, (void)bottleneck, (void)head, (void)key, (void)logits;
    return cb_fail(CB_ERR_UNSUPPORTED, "heads are not there");
}
