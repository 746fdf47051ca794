/* server/ids.h - random names for things that clients refer to. */
#pragma once

#include <stddef.h>

/* `prefix` and random lower-case letters and digits, len - 1 characters in all; about 5 bits
 * each. */
void cb_id_make(char prefix, char *out, size_t len);
