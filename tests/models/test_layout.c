#include <criterion/criterion.h>
#include <stdio.h>

#include "core/exec/plan.h"
#include "importers/model/load.h"

/* Transposes that stay in a plan that is given its photo channels-last. */
static int transposes_left(const char *name)
{
    const struct cb_engine engine = { .kernels = cb_kernels_for(cb_isa_best()),
                                      .plan_budget = (size_t)1 << 31 };
    struct cb_model *m = NULL;
    struct cb_plan *plan = NULL;
    char path[128];
    int height, width, count = 0;
    snprintf(path, sizeof path, "../shared/models/%s", name);
    cr_assert(cb_model_load(&(struct cb_model_source){ .path = path }, &m).code == CB_OK);
    cb_model_default_size(m, &height, &width);
    const struct cb_tensor input = { .shape = { 4, { 1, height, width, m->channels } },
                                     .dtype = m->graph.values[m->input].dtype };
    const struct cb_plan_options options = { .inputs = &input,
                                             .nhwc_input = m->recipe.layout == CB_NCHW };
    cr_assert(cb_plan_create(&engine, &m->graph, m->weights, &options, &plan).code == CB_OK);
    const struct cb_graph *g = cb_plan_graph(plan);
    for (int i = 0; i < g->n_nodes; i++)
        count += g->nodes[i].op == CB_OP_TRANSPOSE;
    cb_plan_destroy(plan);
    cb_model_destroy(m);
    return count;
}

Test(layout, of_trained_networks_is_channels_last_from_end_to_end)
{
    /* mnist flattens a map, not a vector, before its product */
    static const struct {
        const char *name;
        int left;
    } networks[] = {
        { "squeezenet1.1", 0 },
        { "squeezenet1.1-fp16", 0 },
        { "mobilenet_v2", 0 },
        { "resnet20-cifar10", 0 },
        { "resnet20-cifar10-bn", 0 },
        { "resnet56-cifar10", 0 },
        { "resnet8-cifar10", 0 },
        { "mnist", 1 },
        { "resnet50v2-stage3-features", 0 },
    };
    if (!cb_file_exists("../shared/models"))
        cr_skip_test("../shared/models is not there");
    for (size_t i = 0; i < CB_COUNT_OF(networks); i++)
        cr_expect_eq(transposes_left(networks[i].name), networks[i].left, "%s: %d",
                     networks[i].name, transposes_left(networks[i].name));
}
