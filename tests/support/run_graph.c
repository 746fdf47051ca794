#include "tests/support/run_graph.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/exec/session.h"

size_t run_graph(const struct cb_graph *graph, const struct cb_tensor *x, int value, bool passes,
                 size_t capacity, float *out)
{
    const struct cb_engine engine = { .kernels = cb_kernels_for(cb_isa_best()),
                                      .plan_budget = (size_t)1 << 30 };
    const struct cb_tensor input = { .shape = x->shape, .dtype = x->dtype };
    const struct cb_plan_options options = {
        .inputs = &input, .outputs = &value, .n_outputs = 1, .no_passes = !passes
    };
    struct cb_weights *weights;
    struct cb_plan *plan;
    struct cb_session *session;
    if (value < 0)
        value = graph->outputs[0];
    cr_assert_eq(cb_weights_create(&weights).code, CB_OK);
    struct cb_status st = cb_plan_create(&engine, graph, weights, &options, &plan);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    cr_assert_eq(cb_session_create(plan, &session).code, CB_OK);
    memcpy(cb_session_input(session, 0)->data, x->data, cb_tensor_bytes(x));
    cb_session_run(session);
    const struct cb_tensor *y = cb_session_output(session, 0);
    const size_t n = cb_tensor_count(y);
    cr_assert(n <= capacity, "%zu values, room for %zu", n, capacity);
    memcpy(out, y->f, n * sizeof *out);
    cb_session_destroy(session);
    cb_plan_destroy(plan);
    cb_weights_release(weights);
    return n;
}
