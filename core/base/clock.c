#include "core/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t cb_clock_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

double cb_clock_ms(void)
{
    return (double)cb_clock_ns() * 1e-6;
}

int64_t cb_clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

void cb_clock_text(int64_t wall_ms, char out[CB_CLOCK_TEXT])
{
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    const size_t len = strftime(out, CB_CLOCK_TEXT, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + len, CB_CLOCK_TEXT - len, ".%03dZ", (int)(wall_ms % 1000));
}
