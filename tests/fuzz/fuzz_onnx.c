/* tests/fuzz/fuzz_onnx.c - any bytes as an ONNX file, as an upload and as a TensorProto. A model
 * that is accepted must be whole: every constant readable, every name there, declared inputs as
 * many as the graph's. */
#include <string.h>

#include "importers/onnx/load.h"
#include "importers/tensor/pb.h"
#include "tests/fuzz/fuzz.h"

/* Reads all of it, so that a sanitizer sees what lies outside. */
static uint64_t sum_of(const struct cb_tensor *t)
{
    const uint8_t *bytes = t->data;
    uint64_t sum = 0;
    for (size_t i = 0; i < cb_tensor_bytes(t); i++)
        sum += bytes[i];
    return sum;
}

static void check_io(const struct cb_onnx_io *io, int n)
{
    for (int i = 0; i < n; i++)
        require(io[i].name && io[i].shape.rank >= -1 && io[i].shape.rank <= CB_MAX_RANK);
}

static void check_model(const struct cb_onnx_model *m)
{
    volatile uint64_t sum = 0;
    for (int v = 0; v < m->graph.n_values; v++) {
        const struct cb_tensor t = cb_value_tensor(&m->graph.values[v]);
        require(m->graph.values[v].name != NULL);
        if (!t.data)
            continue;
        require(t.dtype != CB_DTYPE_NONE && cb_shape_check(&t.shape));
        sum += sum_of(&t);
    }
    for (int i = 0; i < m->graph.n_nodes; i++)
        require(m->graph.nodes[i].name && m->graph.nodes[i].op < CB_OP_COUNT);
    check_io(m->inputs, m->graph.n_inputs);
    check_io(m->outputs, m->graph.n_outputs);
    for (int i = 0; i < m->n_props; i++)
        require(m->props[i].key && m->props[i].value);
    require(m->producer && m->name && m->opset >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cb_arena arena;
    struct cb_onnx_model model;
    struct cb_tensor tensor;
    if (cb_arena_init(&arena, (size_t)64 << 20).code)
        return 0;
    struct cb_status st = cb_onnx_load(&arena, (struct cb_bytes){ data, len },
                                       &(struct cb_onnx_options){ 0 }, &model);
    require(st.code == CB_OK || st.msg[0]);
    if (st.code == CB_OK) {
        check_model(&model);
        cb_onnx_model_deinit(&model);
    }
    cb_arena_rewind(&arena, 0);
    st = cb_pb_read(&arena, (struct cb_bytes){ data, len }, &tensor);
    if (st.code == CB_OK) {
        volatile uint64_t sum = sum_of(&tensor);
        (void)sum;
    }
    cb_arena_deinit(&arena);
    return 0;
}
