/* tests/plain/main.c - runs every test in a process of its own: plain-tests [PART-OF-A-NAME]. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 300, STATUS_FAILED = 1 };

static struct plain_test *tests;
static int failures; /* of the running test */

void plain_register(struct plain_test *test)
{
    test->next = tests;
    tests = test;
}

void plain_check(bool fatal, const char *file, int line, const char *what, bool holds,
                 const char *format, ...)
{
    va_list args;
    if (holds)
        return;
    failures++;
    printf("%s:%d: %s:", file, line, what);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    if (fatal)
        _exit(STATUS_FAILED);
}

/* In a child: `param` NULL for a test without. */
static void run(const struct plain_test *test, void *param)
{
    alarm(test->timeout ? test->timeout : SECONDS);
    if (test->init)
        test->init();
    if (test->params)
        test->run_with(param);
    else
        test->run();
    if (test->fini)
        test->fini();
    fflush(stdout);
    _exit(failures ? STATUS_FAILED : 0);
}

static bool passes(const struct plain_test *test, void *param, size_t number)
{
    int status = -1;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0)
        run(test, param);
    if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
        return true;
    printf("FAIL %s/%s #%zu (%s)\n", test->suite, test->name, number,
           status > 0 && WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "failed");
    return false;
}

int main(int argc, char **argv)
{
    const char *filter = argc > 1 ? argv[1] : "";
    size_t passed = 0, failed = 0;
    for (const struct plain_test *t = tests; t; t = t->next) {
        char name[200];
        snprintf(name, sizeof name, "%s/%s", t->suite, t->name);
        if (!strstr(name, filter))
            continue;
        const struct cr_params params = t->params ? t->params() : (struct cr_params){ .count = 1 };
        for (size_t i = 0; i < params.count; i++)
            if (passes(t, params.data ? (char *)params.data + i * params.size : NULL, i))
                passed++;
            else
                failed++;
    }
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed || !passed;
}
