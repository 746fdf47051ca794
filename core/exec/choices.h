/* core/exec/choices.h - which algorithm is the fastest for what: measured once, remembered.
 *
 * An engine that has this lets plans measure; without it, plans choose by rule. The table knows no
 * files: who wants to keep it lists it and adds what was kept. Safe in any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/ops/op.h"

#define CB_CHOICES_MAX 8192 /* more are not remembered */

/* Candidates of one kind of call, the fastest first. */
struct cb_choice {
    uint64_t key; /* operator, shapes, attributes, machine; never 0 */
    uint8_t n;
    uint8_t order[CB_ALGORITHMS_MAX];
};

struct cb_choices;

/* `machine` says what times depend on: this CPU, this build. `budget_ms`: what one plan may spend
 * on measuring. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_choices_create(uint64_t machine, int64_t budget_ms,
                                               struct cb_choices **out);
void cb_choices_destroy(struct cb_choices *choices);

uint64_t cb_choices_machine(const struct cb_choices *choices);
int64_t cb_choices_budget_ms(const struct cb_choices *choices);

bool cb_choices_find(struct cb_choices *choices, uint64_t key, struct cb_choice *out);

/* Adds or replaces. What it says is not checked here: plans take no candidate that does not
 * compete. `measured`: it was found just now, and not known from before. */
void cb_choices_add(struct cb_choices *choices, const struct cb_choice *choice, bool measured);

/* How many were measured. */
size_t cb_choices_measured(struct cb_choices *choices);

/* All of them, in `arena`. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_choices_list(struct cb_choices *choices, struct cb_arena *arena,
                                             struct cb_choice **out, size_t *n);
