#include "tests/support/network.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "importers/model/load.h"
#include "importers/tensor/pb.h"

#define BUDGET ((size_t)8 << 30)
#define MOST_FOLDERS 256

static struct cb_tensor read_pb(struct network *net, const char *kind, int i)
{
    char path[512];
    struct cb_bytes bytes;
    struct cb_tensor t = { 0 };
    snprintf(path, sizeof path, "%.400s/test_data_set_0/%s_%d.pb", net->folder, kind, i);
    cr_assert(cb_file_map(path, &bytes).code == CB_OK, "%s", path);
    cr_assert(cb_pb_read(&net->arena, bytes, &t).code == CB_OK, "%s", path);
    cb_file_unmap(&bytes);
    return t;
}

static void own_constants(struct network *net)
{
    struct cb_graph *g = &net->model->graph;
    for (int v = 0; v < g->n_values; v++) {
        const size_t bytes =
            cb_shape_count(&g->values[v].shape) * cb_dtype_size(g->values[v].dtype);
        void *own;
        if (!g->values[v].data)
            continue;
        own = cb_arena_alloc(&net->arena, bytes, 1);
        cr_assert_not_null(own);
        g->values[v].data = bytes ? memcpy(own, g->values[v].data, bytes) : own;
        g->values[v].mapped = g->values[v].durable = false;
    }
}

void network_open(struct network *net, const char *folder)
{
    char path[512];
    *net = (struct network){ .folder = folder, .engine.plan_budget = BUDGET };
    snprintf(path, sizeof path, "%.400s/model.onnx", folder);
    cr_assert_eq(cb_arena_init(&net->arena, BUDGET).code, CB_OK);
    cr_assert_eq(cb_threads_create(0, &net->engine.threads).code, CB_OK);
    const struct cb_status st =
        cb_model_load(&(struct cb_model_source){ .path = path, .graph_only = true }, &net->model);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    own_constants(net);
    net->x = cb_arena_alloc(&net->arena, (size_t)net->model->graph.n_inputs, sizeof *net->x);
    for (int i = 0; i < net->model->graph.n_inputs; i++)
        net->x[i] = read_pb(net, "input", i);
    net->want = read_pb(net, "output", 0);
}

void network_close(struct network *net)
{
    cb_model_destroy(net->model);
    cb_threads_destroy(net->engine.threads);
    cb_arena_deinit(&net->arena);
}

void network_plan(struct network *net, enum cb_isa isa, bool no_passes, const int *wrt, int n_wrt)
{
    const struct cb_graph *g = &net->model->graph;
    struct cb_tensor *inputs = cb_arena_alloc(&net->arena, (size_t)g->n_inputs, sizeof *inputs);
    for (int i = 0; i < g->n_inputs; i++)
        inputs[i] = (struct cb_tensor){ .shape = net->x[i].shape, .dtype = net->x[i].dtype };
    const struct cb_plan_options options = { .inputs = inputs,
                                             .outputs = g->outputs,
                                             .n_outputs = 1,
                                             .wrt = wrt,
                                             .n_wrt = n_wrt,
                                             .no_passes = no_passes };
    net->engine.kernels = cb_kernels_for(isa);
    net->grad = NULL;
    struct cb_status st =
        cb_plan_create(&net->engine, g, net->model->weights, &options, &net->plan);
    cr_assert_eq(st.code, CB_OK, "%s: %s", net->folder, st.msg);
    cr_assert_eq(cb_session_create(net->plan, &net->session).code, CB_OK);
    network_run(net);
    if (!n_wrt)
        return;
    st = cb_grad_create(net->session, &net->grad);
    cr_assert_eq(st.code, CB_OK, "%s: %s", net->folder, st.msg);
}

void network_unplan(struct network *net)
{
    cb_grad_destroy(net->grad);
    cb_session_destroy(net->session);
    cb_plan_destroy(net->plan);
}

const struct cb_tensor *network_run(struct network *net)
{
    for (int i = 0; i < net->model->graph.n_inputs; i++)
        memcpy(cb_session_input(net->session, i)->data, net->x[i].data,
               cb_tensor_bytes(&net->x[i]));
    cb_session_run(net->session);
    return cb_session_output(net->session, 0);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

void network_each(const char *variable, const char *how, void (*check)(const char *folder))
{
    static char folders[MOST_FOLDERS][512];
    const char *root = getenv(variable);
    size_t n = 0;
    if (!root)
        cr_skip_test("%s names no folder of networks with reference answers: %s", variable, how);
    DIR *dir = opendir(root);
    cr_assert(dir, "%s", root);
    for (struct dirent *e; (e = readdir(dir)) && n < MOST_FOLDERS;) {
        char model[600];
        snprintf(folders[n], sizeof folders[n], "%.200s/%.200s", root, e->d_name);
        snprintf(model, sizeof model, "%s/model.onnx", folders[n]);
        n += e->d_name[0] != '.' && cb_file_exists(model);
    }
    closedir(dir);
    qsort(folders, n, sizeof *folders, by_text);
    cr_assert_gt(n, 0, "%s: no networks here", root);
    for (size_t i = 0; i < n; i++)
        check(folders[i]);
}
