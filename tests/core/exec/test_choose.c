#include <criterion/criterion.h>
#include <string.h>

#include "core/exec/choices.h"
#include "core/exec/plan_internal.h"
#include "core/kernels/conv.h"
#include "tests/support/close.h"
#include "tests/support/net.h"

/* Convolution with the plain loops as a second candidate, and weights that some algorithms refuse.
 */
static struct cb_op_def conv;
static int candidates[2];
static int refused, asked;

static int two_algorithms(const struct cb_op_call *call, int out[CB_ALGORITHMS_MAX])
{
    (void)call;
    memcpy(out, candidates, sizeof candidates);
    return 2;
}

static bool refuse(const struct cb_op_call *call)
{
    asked++;
    cr_expect(call->packed && call->in[1]->data);
    return call->node->attr.conv.algorithm != refused;
}

static const struct cb_op_def *get(enum cb_op op)
{
    return op == CB_OP_CONV ? &conv : cb_op_get(op);
}

static int number_of(const char *name)
{
    for (size_t i = 0; i < cb_conv_algorithm_count; i++)
        if (!strcmp(cb_conv_algorithms[i]->name, name))
            return (int)i + 1;
    cr_assert_fail("no algorithm %s", name);
    return 0;
}

static struct cb_engine engine;
static struct net net;
static struct cb_plan *plan;

static void measure_with(int64_t budget_ms)
{
    cb_choices_destroy(engine.choices);
    engine.choices = NULL;
    if (budget_ms >= 0)
        cr_assert(cb_choices_create(7, budget_ms, &engine.choices).code == CB_OK);
}

static void begin(void)
{
    const struct cb_tensor input = { .shape = { 4, { 1, 48, 19, 23 } }, .dtype = CB_FLOAT32 };
    conv = *cb_op_get(CB_OP_CONV);
    conv.algorithms = two_algorithms;
    conv.accurate = refuse;
    candidates[0] = number_of("direct");
    candidates[1] = number_of("indirect");
    refused = asked = 0;
    engine = (struct cb_engine){ .kernels = cb_kernels_for(cb_isa_best()),
                                 .plan_budget = (size_t)1 << 30 };
    net = net_begin(3);
    const int x = net_input(&net, "x", input.shape);
    const int y = net_conv(&net, "c", x, 48, 48, 3, 1, true);
    cr_assert(cb_graph_add_output(&net.graph, net_batch_norm(&net, "n", y, 48)).code == CB_OK);
    plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
}

static void end(void)
{
    measure_with(-1);
    cb_plan_destroy(plan);
    net_free(&net);
}

TestSuite(choose, .init = begin, .fini = end);

static int chosen(void)
{
    cr_assert(cb_plan_choose(plan, get).code == CB_OK);
    for (int i = 0; i < plan->graph.n_nodes; i++)
        if (plan->graph.nodes[i].op == CB_OP_CONV)
            return plan->graph.nodes[i].attr.conv.algorithm;
    cr_assert_fail("no convolution");
    return 0;
}

static struct cb_choice only_choice(void)
{
    struct cb_choice *list;
    size_t n;
    cr_assert(cb_choices_list(engine.choices, &net.arena, &list, &n).code == CB_OK);
    cr_assert_eq(n, 1);
    return list[0];
}

Test(choose, without_measuring_the_first_guess_is_taken)
{
    cr_expect_eq(chosen(), candidates[0]);
}

Test(choose, what_is_faster_is_taken_and_remembered)
{
    if (engine.kernels.isa == CB_ISA_GENERIC)
        cr_skip_test("the plain loops are all there is");
    measure_with(60000);
    cr_expect_eq(chosen(), candidates[1], "vectors beat plain loops");
    cr_expect_eq(cb_choices_measured(engine.choices), 1);
    const struct cb_choice first = only_choice();
    cr_expect(first.n == 2 && first.order[0] == candidates[1] && first.order[1] == candidates[0]);
    cr_expect_eq(chosen(), candidates[1]);
    cr_expect_eq(cb_choices_measured(engine.choices), 1, "not measured twice");
}

Test(choose, what_was_kept_from_before_is_taken_unmeasured)
{
    measure_with(60000);
    if (engine.kernels.isa == CB_ISA_GENERIC)
        cr_skip_test("never measures");
    chosen();
    struct cb_choice kept = only_choice();
    kept.order[0] = (uint8_t)candidates[0];
    kept.order[1] = (uint8_t)candidates[1];
    measure_with(60000);
    cb_choices_add(engine.choices, &kept, false);
    cr_expect_eq(chosen(), candidates[0], "even if it is the slower one");
    cr_expect_eq(cb_choices_measured(engine.choices), 0);
}

Test(choose, a_damaged_entry_is_measured_anew)
{
    if (engine.kernels.isa == CB_ISA_GENERIC)
        cr_skip_test("never measures");
    measure_with(60000);
    chosen();
    const struct cb_choice sound = only_choice();
    const struct cb_choice bad[] = {
        { sound.key, 2, { 200, 201 } },
        { sound.key, 2, { sound.order[0], sound.order[0] } },
        { sound.key, 255, { sound.order[0], sound.order[1] } },
        { sound.key, 0, { 0 } },
        { sound.key, 1, { sound.order[0] } },
    };
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++) {
        measure_with(60000);
        cb_choices_add(engine.choices, &bad[i], false);
        cr_expect_eq(chosen(), candidates[1], "entry %zu", i);
        cr_expect_eq(cb_choices_measured(engine.choices), 1, "entry %zu", i);
    }
}

Test(choose, without_time_the_first_guess_is_taken_and_nothing_remembered)
{
    measure_with(0);
    cr_expect_eq(chosen(), candidates[0]);
    cr_expect_eq(cb_choices_measured(engine.choices), 0);
}

Test(choose, the_generic_set_never_measures)
{
    engine.kernels = cb_kernels_for(CB_ISA_GENERIC);
    measure_with(60000);
    cr_expect_eq(chosen(), candidates[0]);
    cr_expect_eq(cb_choices_measured(engine.choices), 0);
}

Test(choose, what_is_not_accurate_with_these_weights_is_passed_over)
{
    refused = candidates[0];
    const size_t before = cb_weights_bytes(net.weights);
    cr_expect_eq(chosen(), candidates[1]);
    cr_expect_eq(asked, 1, "the last one is not asked");
    cr_expect_leq(cb_weights_bytes(net.weights), before + 64, "and its weights are not kept");
    cr_expect_eq(chosen(), candidates[1]);
    cr_expect_eq(asked, 1, "the verdict is kept with the weights");
}

Test(choose, the_table_holds_a_bounded_number)
{
    struct cb_choice *list;
    size_t n;
    measure_with(0);
    for (uint64_t i = 0; i < CB_CHOICES_MAX + 100; i++)
        cb_choices_add(engine.choices, &(struct cb_choice){ .key = i * 0x10001, .n = 1 }, false);
    cr_assert(cb_choices_list(engine.choices, &net.arena, &list, &n).code == CB_OK);
    cr_expect_eq(n, CB_CHOICES_MAX);
    cr_expect(!cb_choices_find(engine.choices, 0, &list[0]));
    cr_expect(cb_choices_find(engine.choices, 0x10001, &list[0]));
}
