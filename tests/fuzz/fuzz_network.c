/* tests/fuzz/fuzz_network.c - any bytes as an ONNX file that is planned and run: whatever
 * attributes and shapes a file has, what can be wrong is found before the run. Open dims are taken
 * as 2. */
#include <string.h>

#include "core/exec/session.h"
#include "importers/onnx/load.h"
#include "tests/fuzz/fuzz.h"

#define MAX_INPUTS 8
#define MAX_ELEMENTS 4096 /* of an input: a run shall take milliseconds */

/* The inputs' types and shapes, and elements (zeros and ones) for those that a plan must know. */
static bool make_inputs(struct cb_arena *arena, const struct cb_onnx_model *m,
                        struct cb_tensor in[MAX_INPUTS])
{
    bool known[MAX_INPUTS];
    if (m->graph.n_inputs > MAX_INPUTS || cb_plan_known_inputs(&m->graph, arena, known).code)
        return false;
    for (int i = 0; i < m->graph.n_inputs; i++) {
        in[i] = (struct cb_tensor){ .shape = m->inputs[i].shape, .dtype = m->inputs[i].dtype };
        for (int d = 0; d < in[i].shape.rank; d++)
            if (in[i].shape.dim[d] < 0)
                in[i].shape.dim[d] = 2;
        if (in[i].dtype == CB_DTYPE_NONE || !cb_shape_check(&in[i].shape) ||
            cb_tensor_count(&in[i]) > MAX_ELEMENTS)
            return false;
        if (!known[i])
            continue;
        if (!(in[i].data =
                  cb_arena_alloc(arena, cb_tensor_count(&in[i]), cb_dtype_size(in[i].dtype))))
            return false;
        for (size_t k = 1; k < cb_tensor_count(&in[i]); k += 2)
            memset((uint8_t *)in[i].data + k * cb_dtype_size(in[i].dtype), 1, 1);
    }
    return true;
}

static void run(const struct cb_engine *engine, const struct cb_onnx_model *m,
                const struct cb_tensor *in, bool passes)
{
    struct cb_weights *weights = NULL;
    struct cb_plan *plan = NULL;
    struct cb_session *session = NULL;
    struct cb_status st = cb_weights_create(&weights);
    const struct cb_plan_options options = { .inputs = in, .no_passes = !passes };
    if (st.code == CB_OK)
        st = cb_plan_create(engine, &m->graph, weights, &options, &plan);
    if (st.code == CB_OK)
        st = cb_session_create(plan, &session);
    if (st.code == CB_OK) {
        for (int i = 0; i < m->graph.n_inputs; i++) {
            struct cb_tensor *t = cb_session_input(session, i);
            if (t && t->data && !in[i].data)
                memset(t->data, 0, cb_tensor_bytes(t));
        }
        cb_session_run(session);
    } else if (!st.msg[0]) {
        __builtin_trap();
    }
    cb_session_destroy(session);
    cb_plan_destroy(plan);
    cb_weights_release(weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct cb_engine engine = { .kernels = cb_kernels_for(cb_isa_best()),
                                      .plan_budget = (size_t)4 << 20 };
    struct cb_arena arena;
    struct cb_onnx_model model;
    struct cb_tensor in[MAX_INPUTS];
    if (cb_arena_init(&arena, (size_t)64 << 20).code)
        return 0;
    if (cb_onnx_load(&arena, (struct cb_bytes){ data, len }, &(struct cb_onnx_options){ 0 }, &model)
            .code == CB_OK) {
        if (make_inputs(&arena, &model, in)) {
            run(&engine, &model, in, true);
            run(&engine, &model, in, false);
        }
        cb_onnx_model_deinit(&model);
    }
    cb_arena_deinit(&arena);
    return 0;
}
