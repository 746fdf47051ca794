/* cli/bench_profile.h - where the time of a run goes: every node, and sums by operator and by
 * algorithm. */
#pragma once

#include "cli/cli.h"
#include "cli/output.h"
#include "core/exec/session.h"

struct cb_profile_row {
    const char *name, *op;
    const char *algorithm; /* NULL: its operator has one way */
    struct cb_shape shape; /* of the output */
    double ms;             /* median over the runs */
    double flops;          /* of the plain definition: two for each multiply-add; 0: not counted */
    int nodes;
};

struct cb_profile_table {
    struct cb_profile_row *rows;
    int n;
};

struct cb_profile {
    struct cb_profile_table nodes, operators, algorithms; /* sums: the longest first */
    double ms, flops;                                     /* of all nodes */
    double peak_gflops; /* of this set's multiply-adds on these threads */
    int runs;
    size_t activation_bytes, packed_bytes;
};

/* Runs the session for about `seconds`, each time on a copy of `inputs` (one per graph input).
 * Everything lies in the arena of `cli`. */
CB_MUST_USE struct cb_status cb_profile_measure(struct cb_cli *cli, const struct cb_plan *plan,
                                                struct cb_session *session,
                                                const struct cb_tensor *inputs, double seconds,
                                                struct cb_profile *out);

void cb_profile_print(const struct cb_profile *profile);

/* "profile": {...} of an object. */
void cb_profile_json(const struct cb_profile *profile, struct cb_json *json);
