#include "cli/bench_profile.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/kernels/peak.h"
#include "core/model/cost.h"

enum { LEAST_RUNS = 3, MOST_RUNS = 400 };

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int longest_first(const void *a, const void *b)
{
    const struct cb_profile_row *x = a, *y = b;
    return (x->ms < y->ms) - (x->ms > y->ms);
}

/* Nanoseconds of node i in run r: ns[i * MOST_RUNS + r]. */
static int time_runs(const struct cb_graph *g, struct cb_session *session,
                     const struct cb_tensor *inputs, double seconds, int64_t *one, int64_t *ns)
{
    const double end = cb_clock_ms() + seconds * 1e3;
    int runs = 0;
    while (runs < LEAST_RUNS || (runs < MOST_RUNS && cb_clock_ms() < end)) {
        for (int i = 0; i < g->n_inputs; i++)
            memcpy(cb_session_input(session, i)->data, inputs[i].data, cb_tensor_bytes(&inputs[i]));
        cb_session_run_timed(session, one);
        for (int i = 0; i < g->n_nodes; i++)
            ns[i * MOST_RUNS + runs] = one[i];
        runs++;
    }
    return runs;
}

static void fill_node(struct cb_profile_row *row, const struct cb_graph *g, int i,
                      const struct cb_session *session, int64_t *ns, int runs)
{
    const struct cb_node *node = &g->nodes[i];
    qsort(ns, (size_t)runs, sizeof *ns, by_value);
    *row = (struct cb_profile_row){
        .name = node->name,
        .op = cb_op_get(node->op)->name,
        .algorithm = cb_session_algorithm(session, i),
        .shape = g->values[node->out[0]].shape,
        .ms = (double)ns[runs / 2] / 1e6,
        .flops = 2 * (double)cb_cost_macs(g, node),
        .nodes = 1,
    };
}

/* Adds the nodes to the row of their operator, or of their algorithm where there are several. */
static struct cb_status sum_up(struct cb_cli *cli, const struct cb_profile_table *nodes,
                               bool algorithms, struct cb_profile_table *out)
{
    CB_TRY(cb_arena_get(&cli->arena, (size_t)nodes->n, sizeof *out->rows, "profile", &out->rows));
    for (int i = 0; i < nodes->n; i++) {
        const struct cb_profile_row *node = &nodes->rows[i];
        int k = 0;
        if (algorithms && !node->algorithm)
            continue;
        while (k < out->n && (strcmp(out->rows[k].op, node->op) ||
                              (algorithms && strcmp(out->rows[k].algorithm, node->algorithm))))
            k++;
        if (k == out->n)
            out->rows[out->n++] = (struct cb_profile_row){
                .op = node->op,
                .algorithm = algorithms ? node->algorithm : NULL,
            };
        out->rows[k].ms += node->ms;
        out->rows[k].flops += node->flops;
        out->rows[k].nodes++;
    }
    qsort(out->rows, (size_t)out->n, sizeof *out->rows, longest_first);
    return cb_ok();
}

struct cb_status cb_profile_measure(struct cb_cli *cli, const struct cb_plan *plan,
                                    struct cb_session *session, const struct cb_tensor *inputs,
                                    double seconds, struct cb_profile *out)
{
    const struct cb_graph *g = cb_plan_graph(plan);
    const size_t n = (size_t)g->n_nodes;
    int64_t *ns, *one;
    *out = (struct cb_profile){ .activation_bytes = cb_plan_activation_bytes(plan) };
    CB_TRY(cb_arena_get(&cli->arena, n * MOST_RUNS, sizeof *ns, "profile", &ns));
    CB_TRY(cb_arena_get(&cli->arena, n, sizeof *one, "profile", &one));
    CB_TRY(cb_arena_get(&cli->arena, n, sizeof *out->nodes.rows, "profile", &out->nodes.rows));
    out->peak_gflops = cb_peak_gflops(&cli->engine.kernels, cli->engine.threads);
    out->runs = time_runs(g, session, inputs, seconds, one, ns);
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_profile_row *row = &out->nodes.rows[out->nodes.n++];
        fill_node(row, g, i, session, ns + i * MOST_RUNS, out->runs);
        out->ms += row->ms;
        out->flops += row->flops;
    }
    CB_TRY(sum_up(cli, &out->nodes, false, &out->operators));
    return sum_up(cli, &out->nodes, true, &out->algorithms);
}

static double share(const struct cb_profile *p, const struct cb_profile_row *row)
{
    return p->ms > 0 ? row->ms / p->ms : 0;
}

static double gflops(const struct cb_profile_row *row)
{
    return row->ms > 0 ? row->flops / row->ms / 1e6 : 0;
}

/* Milliseconds, share, GFLOP/s, share of the peak. */
static void print_numbers(const struct cb_profile *p, const struct cb_profile_row *row)
{
    printf("%9.3f %6.1f%%", row->ms, 100 * share(p, row));
    if (row->flops > 0)
        printf(" %8.1f %6.1f%%", gflops(row), 100 * gflops(row) / p->peak_gflops);
    else
        printf(" %8s %7s", "", "");
}

static void print_table(const struct cb_profile *p, const struct cb_profile_table *table)
{
    printf("\n%-20s %-12s %6s %9s %7s %8s %7s\n", "operator", "algorithm", "nodes", "ms", "share",
           "GFLOP/s", "of peak");
    for (int i = 0; i < table->n; i++) {
        const struct cb_profile_row *row = &table->rows[i];
        printf("%-20s %-12s %6d ", row->op, row->algorithm ? row->algorithm : "", row->nodes);
        print_numbers(p, row);
        printf("\n");
    }
}

void cb_profile_print(const struct cb_profile *p)
{
    const struct cb_profile_row all = { .ms = p->ms, .flops = p->flops };
    char shape[CB_SHAPE_TEXT], name[80];
    printf("\n%-20s %-12s %-18s %9s %7s %8s %7s  %s\n", "operator", "algorithm", "output", "ms",
           "share", "GFLOP/s", "of peak", "node");
    for (int i = 0; i < p->nodes.n; i++) {
        const struct cb_profile_row *row = &p->nodes.rows[i];
        printf("%-20s %-12s %-18s ", row->op, row->algorithm ? row->algorithm : "",
               cb_shape_text(&row->shape, shape));
        print_numbers(p, row);
        printf("  %s\n", cb_output_clean(row->name, name, sizeof name));
    }
    print_table(p, &p->operators);
    if (p->algorithms.n)
        print_table(p, &p->algorithms);
    printf("\n%d nodes, medians of %d runs: ", p->nodes.n, p->runs);
    printf("%.3f ms, %.1f GFLOP/s, %.1f%% of the peak of %.1f GFLOP/s\n", p->ms, gflops(&all),
           100 * gflops(&all) / p->peak_gflops, p->peak_gflops);
    printf("operations are those of the plain definition, whatever the algorithm needs; the peak "
           "is what\nthe multiply-adds of this instruction set reached just now, on these "
           "threads\n");
    printf("activations %.1f MiB, packed weights %.1f MiB\n", (double)p->activation_bytes / 1048576,
           (double)p->packed_bytes / 1048576);
}

static void add_row(const struct cb_profile *p, const struct cb_profile_row *row,
                    struct cb_json *json)
{
    cb_json_open(json, NULL, '{');
    if (row->name)
        cb_json_text(json, "name", row->name);
    cb_json_text(json, "op", row->op);
    cb_json_text(json, "algorithm", row->algorithm);
    if (row->name) {
        cb_json_open(json, "shape", '[');
        for (int i = 0; i < row->shape.rank; i++)
            cb_json_int(json, NULL, row->shape.dim[i]);
        cb_json_close(json, ']');
    } else {
        cb_json_int(json, "nodes", row->nodes);
    }
    cb_json_real(json, "ms", row->ms);
    cb_json_real(json, "share", share(p, row));
    cb_json_real(json, "gflops", gflops(row));
    cb_json_real(json, "of_peak", gflops(row) / p->peak_gflops);
    cb_json_close(json, '}');
}

static void add_table(const struct cb_profile *p, const char *key,
                      const struct cb_profile_table *table, struct cb_json *json)
{
    cb_json_open(json, key, '[');
    for (int i = 0; i < table->n; i++)
        add_row(p, &table->rows[i], json);
    cb_json_close(json, ']');
}

void cb_profile_json(const struct cb_profile *p, struct cb_json *json)
{
    cb_json_open(json, "profile", '{');
    cb_json_real(json, "ms", p->ms);
    cb_json_int(json, "runs", p->runs);
    cb_json_real(json, "gflops", p->ms > 0 ? p->flops / p->ms / 1e6 : 0);
    cb_json_real(json, "peak_gflops", p->peak_gflops);
    cb_json_int(json, "activation_bytes", (int64_t)p->activation_bytes);
    cb_json_int(json, "packed_bytes", (int64_t)p->packed_bytes);
    add_table(p, "nodes", &p->nodes, json);
    add_table(p, "operators", &p->operators, json);
    add_table(p, "algorithms", &p->algorithms, json);
    cb_json_close(json, '}');
}
