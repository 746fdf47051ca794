/* tests/plain/verify.c - `cambium verify` alone, for a processor that is emulated: of all libraries
 * it needs only those that read a network. */
#include <stdlib.h>
#include <string.h>

#include "cli/verbs.h"

int main(int argc, char **argv)
{
    struct cb_cli cli = {
        .verb = &cb_verb_verify,
        .engine = { .kernels = cb_kernels_for(cb_isa_best()), .plan_budget = (size_t)1 << 30 },
    };
    void *options = malloc(cb_verb_verify.size);
    const struct cb_option_set set = { cb_verb_verify.options, cb_verb_verify.n_options, options };
    struct cb_status st = cb_arena_init(&cli.arena, (size_t)1 << 28);
    if (!options)
        return 1;
    memcpy(options, cb_verb_verify.defaults, cb_verb_verify.size);
    if (st.code == CB_OK)
        st = cb_options_parse(&cli.arena, &set, 1, argc - 1, argv + 1, &cli.args);
    if (st.code == CB_OK)
        st = cb_verb_verify.run(&cli, options);
    if (st.code)
        fprintf(stderr, "verify on %s: %s\n", cli.engine.kernels.name, st.msg);
    cb_arena_deinit(&cli.arena);
    free(options);
    return st.code != CB_OK;
}
