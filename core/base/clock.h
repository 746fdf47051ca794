/* core/base/clock.h - monotonic time for durations; wall time only for time stamps people read. */
#pragma once

#include <stdint.h>

int64_t cb_clock_ns(void);      /* monotonic, nanoseconds */
double cb_clock_ms(void);       /* monotonic, milliseconds */
int64_t cb_clock_wall_ms(void); /* since 1970, UTC, milliseconds */

/* A wall time as RFC 3339 has it: "2024-05-01T12:00:00.250Z". */
#define CB_CLOCK_TEXT 40
void cb_clock_text(int64_t wall_ms, char out[CB_CLOCK_TEXT]);
