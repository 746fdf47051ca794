#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"

void cb_log(enum cb_level level, const char *fmt, ...)
{
    static const char *const name[] = {
        [CB_INFO] = "info", [CB_WARN] = "warn", [CB_ERROR] = "error"
    };
    char line[1200], now[CB_CLOCK_TEXT];
    va_list args;
    size_t len;
    int n;
    cb_clock_text(cb_clock_wall_ms(), now);
    len = (size_t)snprintf(line, sizeof line, "%s level=%s ", now, name[level]);
    va_start(args, fmt);
    n = vsnprintf(line + len, sizeof line - len - 1, fmt, args);
    va_end(args);
    if (n > 0)
        len += (size_t)n < sizeof line - len - 1 ? (size_t)n : sizeof line - len - 2;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 32 || line[i] == 127)
            line[i] = '?';
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nobody listens: nothing better to do */
}
