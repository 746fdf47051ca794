#include "importers/tensor/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "importers/tensor/convert.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_LEN 6
#define HEADER_STEP 64 /* data begin at a multiple of this */

/* The header's text, read from the left. It is a Python dict literal. */
struct text {
    const char *at, *end;
};

struct header {
    enum cb_dtype dtype;
    struct cb_shape shape;
    bool has_descr, has_order, has_shape;
};

static void skip_blanks(struct text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t'))
        t->at++;
}

static bool take_char(struct text *t, char c)
{
    skip_blanks(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static bool take_word(struct text *t, const char *word)
{
    const size_t len = strlen(word);
    skip_blanks(t);
    if ((size_t)(t->end - t->at) < len || memcmp(t->at, word, len) != 0)
        return false;
    t->at += len;
    return true;
}

/* 'text' or "text" without the quotes. */
static bool take_string(struct text *t, char *out, size_t size)
{
    size_t n = 0;
    skip_blanks(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"'))
        return false;
    const char quote = *t->at++;
    for (; t->at < t->end && *t->at != quote; t->at++) {
        if (n + 1 == size)
            return false;
        out[n++] = *t->at;
    }
    out[n] = 0;
    return take_char(t, quote);
}

/* Digits, and the L that Python 2 put after them. */
static bool take_number(struct text *t, int64_t *out)
{
    int64_t v = 0;
    skip_blanks(t);
    const char *from = t->at;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
        if ((v = v * 10 + (*t->at - '0')) > (int64_t)CB_MAX_ELEMENTS)
            return false;
    *out = v;
    const bool any = t->at > from;
    if (any && t->at < t->end && *t->at == 'L')
        t->at++;
    return any;
}

static struct cb_status read_descr(struct text *t, struct header *h)
{
    char descr[16];
    if (!take_string(t, descr, sizeof descr))
        return cb_fail(CB_ERR_MEDIA, "npy: descr is no simple type");
    if (descr[0] == '=' || (descr[0] == '<' && descr[1] && descr[2] == '1'))
        descr[0] = descr[1] && descr[2] == '1' ? '|' : '<';
    for (int i = CB_DTYPE_NONE + 1; i < CB_DTYPE_OUTER_END; i++) {
        const char *npy = cb_dtype_get((enum cb_dtype)i)->npy;
        if (npy && strcmp(npy, descr) == 0)
            h->dtype = (enum cb_dtype)i;
    }
    h->has_descr = true;
    return h->dtype == CB_DTYPE_NONE ? cb_fail(CB_ERR_MEDIA, "npy: elements of type %s", descr)
                                     : cb_ok();
}

static struct cb_status read_order(struct text *t, struct header *h)
{
    if (take_word(t, "True"))
        return cb_fail(CB_ERR_MEDIA,
                       "npy: Fortran order; save it in C order (numpy.ascontiguousarray)");
    if (!take_word(t, "False"))
        return cb_fail(CB_ERR_MEDIA, "npy: fortran_order is neither True nor False");
    h->has_order = true;
    return cb_ok();
}

static struct cb_status read_shape(struct text *t, struct header *h)
{
    int64_t dim;
    h->shape.rank = 0;
    if (!take_char(t, '('))
        return cb_fail(CB_ERR_MEDIA, "npy: shape is no tuple");
    while (!take_char(t, ')')) {
        if (!take_number(t, &dim))
            return cb_fail(CB_ERR_MEDIA, "npy: shape has something that is no size");
        if (h->shape.rank == CB_MAX_RANK)
            return cb_fail(CB_ERR_MEDIA, "npy: more than %d axes", CB_MAX_RANK);
        h->shape.dim[h->shape.rank++] = dim;
        if (!take_char(t, ',') && (t->at == t->end || *t->at != ')'))
            return cb_fail(CB_ERR_MEDIA, "npy: shape does not end");
    }
    h->has_shape = true;
    return cb_ok();
}

static struct cb_status read_header(struct text t, struct header *h)
{
    static const struct {
        const char *key;
        struct cb_status (*read)(struct text *t, struct header *h);
    } keys[] = { { "descr", read_descr },
                 { "fortran_order", read_order },
                 { "shape", read_shape } };
    char key[16];
    if (!take_char(&t, '{'))
        return cb_fail(CB_ERR_MEDIA, "npy: the header is no dict");
    while (!take_char(&t, '}')) {
        size_t i = 0;
        if (!take_string(&t, key, sizeof key) || !take_char(&t, ':'))
            return cb_fail(CB_ERR_MEDIA, "npy: broken header");
        while (i < CB_COUNT_OF(keys) && strcmp(keys[i].key, key) != 0)
            i++;
        if (i == CB_COUNT_OF(keys))
            return cb_fail(CB_ERR_MEDIA, "npy: unknown key %s in the header", key);
        CB_TRY(keys[i].read(&t, h));
        take_char(&t, ',');
    }
    if (!h->has_descr || !h->has_order || !h->has_shape)
        return cb_fail(CB_ERR_MEDIA, "npy: the header wants descr, fortran_order and shape");
    return cb_ok();
}

/* Where the header's text lies: its length is 2 bytes in version 1, 4 from version 2. */
static struct cb_status find_header(struct cb_bytes file, struct text *text)
{
    if (file.len < MAGIC_LEN + 4 || memcmp(file.data, MAGIC, MAGIC_LEN) != 0)
        return cb_fail(CB_ERR_MEDIA, "no .npy file");
    const int version = file.data[MAGIC_LEN];
    const size_t width = version == 1 ? 2 : 4, begin = MAGIC_LEN + 2 + width;
    size_t len = 0;
    if (version < 1 || version > 3)
        return cb_fail(CB_ERR_MEDIA, "npy: version %d", version);
    for (size_t i = 0; i < width && MAGIC_LEN + 2 + i < file.len; i++)
        len |= (size_t)file.data[MAGIC_LEN + 2 + i] << 8 * i;
    if (begin > file.len || len > file.len - begin)
        return cb_fail(CB_ERR_MEDIA, "npy: the file ends in its header");
    text->at = (const char *)file.data + begin;
    text->end = text->at + len;
    return cb_ok();
}

struct cb_status cb_npy_read(struct cb_arena *arena, struct cb_bytes file, struct cb_tensor *out)
{
    struct header h = { .dtype = CB_DTYPE_NONE };
    struct text text;
    char shape[CB_SHAPE_TEXT];
    CB_TRY(find_header(file, &text));
    CB_TRY(read_header(text, &h));
    if (!cb_shape_check(&h.shape))
        return cb_fail(CB_ERR_MEDIA, "npy: shape %s is too large", cb_shape_text(&h.shape, shape));
    const uint8_t *data = (const uint8_t *)text.end;
    struct cb_tensor t = { .dtype = h.dtype, .shape = h.shape };
    const size_t count = cb_tensor_count(&t), wanted = count * cb_dtype_get(h.dtype)->outer_size;
    const size_t has = (size_t)(file.data + file.len - data);
    if (has != wanted)
        return cb_fail(CB_ERR_MEDIA, "npy: %s %s wants %zu bytes, has %zu",
                       cb_dtype_get(h.dtype)->name, cb_shape_text(&h.shape, shape), wanted, has);
    CB_TRY(cb_arena_get(arena, count, cb_dtype_size(h.dtype), "npy", &t.data));
    cb_convert_in(h.dtype, count, data, t.data);
    *out = t;
    return cb_ok();
}

static int print_header(char *out, size_t size, const char *descr, const struct cb_shape *shape)
{
    int n = snprintf(out, size, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < shape->rank; i++)
        n += snprintf(out + n, size - (size_t)n, "%s%" PRId64 "%s", i ? ", " : "", shape->dim[i],
                      shape->rank == 1 ? "," : "");
    return n + snprintf(out + n, size - (size_t)n, "), }");
}

void cb_npy_print(struct cb_buf *buf, const struct cb_tensor *tensor)
{
    const enum cb_dtype dtype = cb_dtype_get(tensor->dtype)->npy ? tensor->dtype : CB_FLOAT32;
    const struct cb_dtype_info *info = cb_dtype_get(dtype);
    const size_t count = cb_tensor_count(tensor), step = 4096 / info->outer_size;
    char header[512];
    uint8_t part[4096];
    const int len = print_header(header, sizeof header, info->npy, &tensor->shape);
    const int pad = HEADER_STEP - 1 - (MAGIC_LEN + 4 + len) % HEADER_STEP;
    const int whole = len + pad + 1;
    const uint8_t sizes[4] = { 1, 0, (uint8_t)(whole & 0xff), (uint8_t)(whole >> 8) };
    cb_buf_add(buf, MAGIC, MAGIC_LEN);
    cb_buf_add(buf, sizes, sizeof sizes);
    cb_buf_printf(buf, "%s%*s\n", header, pad, "");
    for (size_t i = 0; i < count && !buf->failed; i += step) {
        const size_t n = count - i < step ? count - i : step;
        cb_convert_out(dtype, n, (const uint8_t *)tensor->data + i * cb_dtype_size(dtype), part);
        cb_buf_add(buf, part, n * info->outer_size);
    }
}

struct cb_status cb_npy_save(const char *path, const struct cb_tensor *tensor)
{
    struct cb_buf buf;
    cb_buf_init(&buf, cb_tensor_count(tensor) * sizeof(int64_t) + 1024);
    cb_npy_print(&buf, tensor);
    struct cb_status st = buf.failed ? cb_fail(CB_ERR_NOMEM, "%s: no memory", path)
                                     : cb_file_write(path, buf.data, buf.len);
    cb_buf_deinit(&buf);
    return st;
}
