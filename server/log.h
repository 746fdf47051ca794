/* server/log.h - one line per event on stderr: time, level, key=value pairs. No image data, no
 * secrets.
 *
 * A line is written with one call, so lines of several threads never mix. Control characters, which
 * text from outside may hold, become '?'. */
#pragma once

enum cb_level { CB_INFO, CB_WARN, CB_ERROR };

void cb_log(enum cb_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
