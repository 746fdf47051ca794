/* tests/plain/main.c - runs every test in a process of its own: plain-tests [PART-OF-A-NAME]. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 300, STATUS_FAILED = 1, STATUS_SKIPPED = 2, CHILDREN_MAX = 16 };

static struct plain_test *tests;
static struct plain_suite *suites;
static int failures; /* of the running test */

void plain_register(struct plain_test *test)
{
    test->next = tests;
    tests = test;
}

void plain_register_suite(struct plain_suite *suite)
{
    suite->next = suites;
    suites = suite;
}

void plain_skip(const char *format, ...)
{
    va_list args;
    printf("skipped:");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _exit(STATUS_SKIPPED);
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
    const struct plain_suite none = { 0 }, *suite = suites;
    while (suite && strcmp(suite->name, test->suite))
        suite = suite->next;
    suite = suite ? suite : &none;
    alarm(test->timeout ? test->timeout : suite->timeout ? suite->timeout : SECONDS);
    if (suite->init)
        suite->init();
    if (test->init)
        test->init();
    if (test->params)
        test->run_with(param);
    else
        test->run();
    if (test->fini)
        test->fini();
    if (suite->fini)
        suite->fini();
    fflush(stdout);
    _exit(failures ? STATUS_FAILED : 0);
}

/* What runs now; at most as many as there are processors. */
static struct child {
    pid_t pid;
    const struct plain_test *test;
    size_t number;
} children[CHILDREN_MAX];
static size_t running, passed, failed, skipped;

static void wait_for_one(void)
{
    int status = -1;
    const pid_t pid = wait(&status);
    for (size_t i = 0; i < running; i++) {
        const struct child c = children[i];
        if (c.pid != pid)
            continue;
        children[i] = children[--running];
        if (status == 0) {
            passed++;
            return;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIPPED) {
            skipped++;
            return;
        }
        failed++;
        printf("FAIL %s/%s #%zu (%s)\n", c.test->suite, c.test->name, c.number,
               WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "failed");
        return;
    }
}

static void start(const struct plain_test *test, void *param, size_t number)
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0)
        run(test, param);
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    children[running++] = (struct child){ pid, test, number };
}

int main(int argc, char **argv)
{
    const char *filter = argc > 1 ? argv[1] : "";
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const size_t most = processors < 1              ? 1
                        : processors > CHILDREN_MAX ? CHILDREN_MAX
                                                    : (size_t)processors;
    for (const struct plain_test *t = tests; t; t = t->next) {
        char name[200];
        snprintf(name, sizeof name, "%s/%s", t->suite, t->name);
        if (!strstr(name, filter))
            continue;
        const struct criterion_test_params params =
            t->params ? t->params() : (struct criterion_test_params){ .count = 1 };
        for (size_t i = 0; i < params.count; i++) {
            if (running == most)
                wait_for_one();
            start(t, params.data ? (char *)params.data + i * params.size : NULL, i);
        }
    }
    while (running)
        wait_for_one();
    printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    return failed || !passed;
}
