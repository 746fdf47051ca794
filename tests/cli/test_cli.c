#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/program.h"

static const char *const verbs[] = { "serve", "predict", "explain", "features", "run",
                                     "train", "verify",  "inspect", "bench",    "models" };

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

Test(cli, lists_its_verbs)
{
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "--help");
    for (size_t i = 0; i < CB_COUNT_OF(verbs); i++)
        cr_expect(strstr(run.out, verbs[i]), "%s", verbs[i]);
    program_free(&run);
}

Test(cli, every_verb_has_help_with_usage_and_examples)
{
    for (size_t i = 0; i < CB_COUNT_OF(verbs); i++) {
        struct program_run run;
        EXPECT_PROGRAM(0, &run, verbs[i], "--help");
        cr_expect(strncmp(run.out, "usage: cambium ", 15) == 0, "%s", verbs[i]);
        cr_expect(strstr(run.out, "examples:\n  cambium "), "%s", verbs[i]);
        cr_expect(strstr(run.out, "--threads N") && strstr(run.out, "--isa NAME"), "%s", verbs[i]);
        program_free(&run);
    }
}

Test(cli, wrong_usage_is_status_2_and_one_line)
{
    static const char *const cases[][4] = {
        { "nonsense" },
        { "models", "--nonsense" },
        { "models", "superfluous" },
        { "models", "--threads", "many" },
        { "models", "--isa", "sse9" },
        { "predict" },
        { "features", "x.png" },
        { "explain", "x.png" },
        { "run" },
        { "verify" },
        { "bench", "--precision", "int3" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct program_run run;
        program_expect(2, cases[i], &run);
        cr_expect(lines(run.err) == 1, "%s: %s", cases[i][0], run.err);
        cr_expect(*run.out == 0, "%s: %s", cases[i][0], run.out);
        program_free(&run);
    }
    EXPECT_PROGRAM(2, NULL, NULL);
}

Test(cli, a_wrong_isa_in_the_environment_is_wrong_usage)
{
    setenv("CAMBIUM_ISA", "mmx", 1);
    EXPECT_PROGRAM(2, NULL, "models");
    setenv("CAMBIUM_ISA", "generic", 1);
    EXPECT_PROGRAM(0, NULL, "models");
}
