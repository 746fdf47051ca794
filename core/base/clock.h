/* core/base/clock.h - monotonic time for durations; wall time only for time stamps people read. */
#pragma once

#include <stdint.h>

int64_t cb_clock_ns(void);      /* monotonic, nanoseconds */
double cb_clock_ms(void);       /* monotonic, milliseconds */
int64_t cb_clock_wall_ms(void); /* since 1970, UTC, milliseconds */
