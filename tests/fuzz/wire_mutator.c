/* tests/fuzz/wire_mutator.c - mutations of files in protobuf's wire format that stay files: one
 * field somewhere in the tree is changed, left out, doubled or replaced by one beside it, and the
 * lengths around it are put right. Without it hardly a changed model passes the first parser. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rng.h"
#include "tests/fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

enum { DEPTH = 10, VARINT = 10, ROOM = 1 << 20 };

/* data[begin..end): the key, then the value, in a length-delimited one behind its length. */
struct field {
    size_t begin, after_key, value, end;
    unsigned type;
};

struct level {
    size_t begin, end; /* its fields */
    struct field field;
};

static bool read_varint(const uint8_t *data, size_t *at, size_t end, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        const uint8_t byte = data[(*at)++];
        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

static size_t write_varint(uint8_t *to, uint64_t value)
{
    size_t n = 0;
    for (; value > 127; value >>= 7)
        to[n++] = (uint8_t)(value | 128);
    to[n++] = (uint8_t)value;
    return n;
}

static bool read_field(const uint8_t *data, size_t at, size_t end, struct field *f)
{
    uint64_t key, len = 0;
    f->begin = at;
    if (!read_varint(data, &at, end, &key) || key >> 3 == 0)
        return false;
    f->after_key = at;
    f->type = key & 7;
    if (f->type == 0 || f->type == 2) {
        if (!read_varint(data, &at, end, &len))
            return false;
    } else if (f->type != 1 && f->type != 5)
        return false;
    f->value = f->type == 2 ? at : f->after_key;
    f->end = f->type == 2 ? at + len : f->type == 0 ? at : at + (f->type == 1 ? 8 : 4);
    return len <= ROOM * (f->type == 2 ? 1ULL : UINT64_MAX / ROOM) && f->end <= end;
}

/* How many fields there are; 0: it is no message. The one at `number` goes to *f. */
static size_t read_fields(const uint8_t *data, size_t at, size_t end, size_t number,
                          struct field *f)
{
    size_t n = 0;
    for (struct field next; at < end; at = next.end) {
        if (!read_field(data, at, end, &next))
            return 0;
        if (n++ == number)
            *f = next;
    }
    return n;
}

static uint64_t draw_number(struct cb_rng *rng, uint64_t old)
{
    switch (cb_rng_below(rng, 6)) {
    case 0: return cb_rng_below(rng, 18);
    case 1: return 0 - (uint64_t)cb_rng_below(rng, 5);
    case 2: return old + cb_rng_below(rng, 5) - 2;
    case 3: return (uint64_t)1 << cb_rng_below(rng, 64);
    case 4: return ((uint64_t)1 << cb_rng_below(rng, 64)) - 1;
    default: return old * (2 + cb_rng_below(rng, 3));
    }
}

/* The value's new bytes, at most `room`. */
static size_t mutate_value(struct cb_rng *rng, const uint8_t *data, const struct field *f,
                           uint8_t *to, size_t room)
{
    size_t at = f->value, len = f->end - f->value;
    uint64_t number = 0;
    if (f->type == 0 && read_varint(data, &at, f->end, &number))
        return write_varint(to, draw_number(rng, number));
    memcpy(to, data + f->value, len);
    if (f->type != 2) { /* floats: of little use with a few bits changed */
        static const float odd[] = { 0, -1, 0.5F, 1e30F, -1e30F, 1e-30F, 3 };
        const float value = odd[cb_rng_below(rng, 7)];
        memcpy(to + len - 4, &value, 4);
        return len;
    }
    if (len % 8 == 0 && len && cb_rng_below(rng, 2)) { /* as 64-bit numbers */
        const size_t place = cb_rng_below(rng, (uint32_t)(len / 8)) * 8;
        memcpy(&number, to + place, 8);
        number = draw_number(rng, number);
        memcpy(to + place, &number, 8);
        return len;
    }
    return LLVMFuzzerMutate(to, len, len + 16 < room ? len + 16 : room);
}

/* What stands in the field's place, key and all. */
static size_t mutate_field(struct cb_rng *rng, const uint8_t *data, const struct level *level,
                           size_t n, uint8_t *to, size_t room)
{
    const struct field *f = &level->field;
    const size_t whole = f->end - f->begin, key = f->after_key - f->begin;
    struct field other = *f;
    uint8_t value[ROOM / 4];
    if (whole + 64 > sizeof value || 2 * whole > room)
        return 0;
    switch (cb_rng_below(rng, 10)) {
    case 0: return 0;
    case 1:
        read_fields(data, level->begin, level->end, cb_rng_below(rng, (uint32_t)n), &other);
        if (whole + other.end - other.begin > room)
            return 0;
        memcpy(to, data + f->begin, whole);
        memcpy(to + whole, data + other.begin, other.end - other.begin);
        return whole + other.end - other.begin;
    case 2:
        read_fields(data, level->begin, level->end, cb_rng_below(rng, (uint32_t)n), &other);
        if (other.end - other.begin > room)
            return 0;
        memcpy(to, data + other.begin, other.end - other.begin);
        return other.end - other.begin;
    default: break;
    }
    memcpy(to, data + f->begin, key);
    const size_t len = mutate_value(rng, data, f, value, sizeof value);
    size_t at = key;
    if (f->type == 2)
        at += write_varint(to + at, len);
    memcpy(to + at, value, len);
    return at + len;
}

/* The file with `len` bytes in the last level's field's place; 0: more than max. */
static size_t put_together(const uint8_t *data, const struct level *path, int depth,
                           const uint8_t *bytes, size_t len, uint8_t *out, size_t max)
{
    size_t lens[DEPTH], at = 0, total = len;
    uint8_t varint[VARINT];
    for (int i = depth; i >= 0; i--) {
        const struct field *f = &path[i].field;
        if (i < depth) {
            lens[i] = total;
            total += f->after_key - f->begin + write_varint(varint, total);
        }
        total += path[i].end - path[i].begin - (f->end - f->begin);
    }
    if (total > max)
        return 0;
    for (int i = 0; i <= depth; i++) {
        const size_t stop = i < depth ? path[i].field.after_key : path[i].field.begin;
        memcpy(out + at, data + path[i].begin, stop - path[i].begin);
        at += stop - path[i].begin;
        if (i < depth)
            at += write_varint(out + at, lens[i]);
    }
    memcpy(out + at, bytes, len);
    at += len;
    for (int i = depth; i >= 0; i--) {
        memcpy(out + at, data + path[i].field.end, path[i].end - path[i].field.end);
        at += path[i].end - path[i].field.end;
    }
    return at;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    struct level path[DEPTH] = { { .end = size } };
    int depth = 0;
    size_t n = read_fields(data, 0, size, 0, &path[0].field);
    if (n == 0 || size > ROOM / 8 || max > ROOM || cb_rng_below(&rng, 16) == 0)
        return LLVMFuzzerMutate(data, size, max);
    for (;;) {
        struct level *l = &path[depth];
        n = read_fields(data, l->begin, l->end, 0, &l->field);
        read_fields(data, l->begin, l->end, cb_rng_below(&rng, (uint32_t)n), &l->field);
        const struct field f = l->field, none = { 0 };
        struct field first = none;
        if (depth + 1 == DEPTH || f.type != 2 || cb_rng_below(&rng, 10) == 0 ||
            !read_fields(data, f.value, f.end, 0, &first))
            break;
        path[++depth] = (struct level){ .begin = f.value, .end = f.end };
    }
    uint8_t *bytes = malloc(ROOM), *out = malloc(ROOM);
    size_t made = 0;
    if (bytes && out) {
        const size_t len = mutate_field(&rng, data, &path[depth], n, bytes, ROOM / 2);
        made = put_together(data, path, depth, bytes, len, out, max);
        memcpy(data, out, made);
    }
    free(bytes);
    free(out);
    return made ? made : LLVMFuzzerMutate(data, size, max);
}
