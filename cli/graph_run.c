#include "cli/graph_run.h"

#include <string.h>

#include "importers/tensor/npy.h"
#include "importers/tensor/pb.h"

/* A network may allow other sizes than those that its file names: the plan finds out. */
static bool fits(const struct cb_shape *declared, const struct cb_shape *given)
{
    return declared->rank < 0 || declared->rank == given->rank;
}

static struct cb_status check_inputs(const struct cb_graph_run *run)
{
    const struct cb_graph *g = &run->model->graph;
    char wanted[CB_SHAPE_TEXT], found[CB_SHAPE_TEXT];
    if (run->n_inputs != g->n_inputs)
        return cb_fail(CB_ERR_INPUT, "the network has %d inputs (%s%s), %d are given", g->n_inputs,
                       g->n_inputs ? "first " : "none",
                       g->n_inputs ? g->values[g->inputs[0]].name : "", run->n_inputs);
    for (int i = 0; i < g->n_inputs; i++) {
        const struct cb_value *v = &g->values[g->inputs[i]];
        const struct cb_tensor *t = &run->inputs[i];
        if (v->dtype != t->dtype)
            return cb_fail(CB_ERR_INPUT, "input %d '%s': wants %s, has %s", i, v->name,
                           cb_dtype_get(v->dtype)->name, cb_dtype_get(t->dtype)->name);
        if (!run->any_shape && !fits(&v->shape, &t->shape))
            return cb_fail(CB_ERR_INPUT, "input %d '%s': wants %s, has %s", i, v->name,
                           cb_shape_text(&v->shape, wanted), cb_shape_text(&t->shape, found));
    }
    return cb_ok();
}

/* The inputs as the plan wants them: with elements only where shapes depend on these. */
static struct cb_status plan_inputs(const struct cb_graph_run *run, struct cb_tensor **out,
                                    bool **known)
{
    const size_t n = (size_t)run->n_inputs;
    CB_TRY(cb_arena_get(run->arena, n, sizeof **out, "inputs", out));
    CB_TRY(cb_arena_get(run->arena, n, sizeof **known, "inputs", known));
    CB_TRY(cb_plan_known_inputs(&run->model->graph, run->arena, *known));
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = run->inputs[i];
        if (!(*known)[i])
            (*out)[i].data = NULL;
    }
    return cb_ok();
}

static struct cb_status plan_outputs(const struct cb_graph_run *run, int **out)
{
    const struct cb_graph *g = &run->model->graph;
    CB_TRY(cb_arena_get(run->arena, (size_t)(g->n_outputs + run->n_extra), sizeof **out, "outputs",
                        out));
    memcpy(*out, g->outputs, (size_t)g->n_outputs * sizeof **out);
    if (run->n_extra)
        memcpy(*out + g->n_outputs, run->extra, (size_t)run->n_extra * sizeof **out);
    return cb_ok();
}

struct cb_status cb_graph_run(struct cb_graph_run *run)
{
    struct cb_tensor *inputs;
    bool *known;
    int *outputs;
    run->plan = NULL;
    run->session = NULL;
    CB_TRY(check_inputs(run));
    CB_TRY(plan_inputs(run, &inputs, &known));
    CB_TRY(plan_outputs(run, &outputs));
    const struct cb_plan_options options = {
        .inputs = inputs,
        .outputs = outputs,
        .n_outputs = run->model->graph.n_outputs + run->n_extra,
        .no_passes = run->no_passes,
    };
    CB_TRY(
        cb_plan_create(run->engine, &run->model->graph, run->model->weights, &options, &run->plan));
    CB_TRY(cb_session_create(run->plan, &run->session));
    for (int i = 0; i < run->n_inputs; i++)
        if (!known[i])
            memcpy(cb_session_input(run->session, i)->data, run->inputs[i].data,
                   cb_tensor_bytes(&run->inputs[i]));
    cb_session_run(run->session);
    return cb_ok();
}

void cb_graph_run_close(struct cb_graph_run *run)
{
    cb_session_destroy(run->session);
    cb_plan_destroy(run->plan);
    run->session = NULL;
    run->plan = NULL;
}

const struct cb_tensor *cb_graph_run_output(const struct cb_graph_run *run, int i)
{
    return cb_session_output(run->session, i);
}

struct cb_status cb_tensor_file_read(const char *path, enum cb_dtype wanted, struct cb_arena *arena,
                                     struct cb_tensor *out)
{
    struct cb_bytes file;
    struct cb_status st;
    CB_TRY(cb_file_map(path, &file));
    st = cb_path_ending(path, ".npy") ? cb_npy_read(arena, file, out)
                                      : cb_pb_read_as(arena, file, wanted, out);
    cb_file_unmap(&file);
    return cb_context(st, "%s", path);
}
