#include "cli/cli.h"

#include <stdarg.h>

struct cb_status cb_cli_usage(struct cb_cli *cli, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cli->wrong_usage = true;
    return cb_fail(CB_ERR_INPUT, "%s", text);
}

void cb_cli_warn(const struct cb_cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "cambium %s: warning: ", cli->verb->name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}
