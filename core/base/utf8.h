/* core/base/utf8.h - text from outside: which bytes are characters that people can read (RFC
 * 3629). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at `text`; 0 when there is none that is whole, valid, and no control
 * character. */
size_t cb_utf8_character(const char *text, size_t left);

/* True when all `len` bytes are such characters. */
bool cb_utf8_ok(const char *text, size_t len);
