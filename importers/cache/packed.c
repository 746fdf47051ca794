#include "importers/cache/packed.h"

#include <errno.h>

#include "core/base/checksum.h"
#include "proto/code.h"

#define PAGE ((size_t)4096)
#define ORDER 0x01020304u
#define VERSION 1u

struct header {
    char magic[16];
    uint32_t order, version;
    uint8_t model[32];
    uint64_t build;
    uint32_t isa, n;
    uint64_t bytes;         /* of the whole file */
    uint64_t table, header; /* checksums; of the header with this one 0 */
};

struct entry {
    uint64_t key, offset, bytes, checksum;
};

static const char magic[16] = "cambium-packed";

uint64_t cb_packed_build(void)
{
    return cb_checksum(CB_CODE, sizeof CB_CODE);
}

static struct header header_of(const struct cb_digest *model, enum cb_isa isa, size_t n)
{
    struct header h = { .order = ORDER,
                        .version = VERSION,
                        .build = cb_packed_build(),
                        .isa = (uint32_t)isa,
                        .n = (uint32_t)n };
    memcpy(h.magic, magic, sizeof h.magic);
    memcpy(h.model, model->byte, sizeof h.model);
    return h;
}

static uint64_t header_sum(struct header h)
{
    h.header = 0;
    return cb_checksum(&h, sizeof h);
}

static size_t page_up(size_t bytes)
{
    return (bytes + PAGE - 1) & ~(PAGE - 1);
}

static struct cb_status refuse(const char *why)
{
    return cb_fail(CB_ERR_CONTENT, "packed weights: %s", why);
}

static struct cb_status check_header(struct cb_bytes file, const struct header *wanted)
{
    struct header h;
    if (file.len < PAGE)
        return refuse("the file is too short");
    memcpy(&h, file.data, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic) || h.order != ORDER || h.version != VERSION)
        return refuse("not a file of this version");
    if (h.header != header_sum(h))
        return refuse("the header is damaged");
    if (h.build != wanted->build)
        return cb_fail(CB_ERR_CONFLICT, "packed weights: made by another build");
    if (memcmp(h.model, wanted->model, sizeof h.model) || h.isa != wanted->isa)
        return refuse("made for another model or instruction set");
    if (h.bytes != file.len || h.n > CB_PACKED_MAX_BLOCKS ||
        h.n * sizeof(struct entry) > file.len - PAGE)
        return refuse("the file is not whole");
    if (h.table != cb_checksum(file.data + PAGE, h.n * sizeof(struct entry)))
        return refuse("the table is damaged");
    return cb_ok();
}

struct cb_status cb_packed_parse(struct cb_bytes file, const struct cb_digest *model,
                                 enum cb_isa isa, struct cb_arena *arena,
                                 struct cb_weights_entry **out, size_t *n)
{
    const struct header wanted = header_of(model, isa, 0);
    struct cb_weights_entry *entries;
    struct header h;
    CB_TRY(check_header(file, &wanted));
    memcpy(&h, file.data, sizeof h);
    CB_TRY(cb_arena_get(arena, h.n, sizeof *entries, "packed weights", &entries));
    for (size_t i = 0; i < h.n; i++) {
        struct entry e;
        memcpy(&e, file.data + PAGE + i * sizeof e, sizeof e);
        if (e.offset % CB_ALIGN || e.offset < PAGE + h.n * sizeof e || e.offset > file.len ||
            e.bytes > file.len - e.offset)
            return refuse("a block lies outside");
        entries[i] = (struct cb_weights_entry){
            .key = e.key, .data = file.data + e.offset, .bytes = e.bytes, .checksum = e.checksum
        };
    }
    *out = entries;
    *n = h.n;
    return cb_ok();
}

/* Where a block of that size lies that comes after `at`. */
static size_t place(size_t at, size_t bytes)
{
    return bytes < PAGE ? cb_align_up(at) : page_up(at);
}

size_t cb_packed_bytes(const struct cb_weights_entry *entries, size_t n)
{
    size_t at = PAGE + n * sizeof(struct entry);
    for (size_t i = 0; i < n; i++)
        at = place(at, entries[i].bytes) + entries[i].bytes;
    return at;
}

static struct cb_status add(int fd, const void *data, size_t len)
{
    return cb_file_add(fd, data, len) ? cb_ok()
                                      : cb_fail(CB_ERR_IO, "packed weights: %s", strerror(errno));
}

struct cb_status cb_packed_write(int fd, const struct cb_digest *model, enum cb_isa isa,
                                 struct cb_weights_entry *entries, size_t n)
{
    static const uint8_t zeros[PAGE];
    struct header h = header_of(model, isa, n);
    struct cb_arena arena;
    struct entry *table;
    uint8_t *page;
    size_t at = PAGE + n * sizeof *table;
    if (n > CB_PACKED_MAX_BLOCKS)
        return cb_fail(CB_ERR_TOO_LARGE, "packed weights: %zu blocks", n);
    CB_TRY(cb_arena_init(&arena, at + 2 * CB_ALIGN));
    page = cb_arena_alloc(&arena, PAGE, 1);
    table = cb_arena_alloc(&arena, n, sizeof *table);
    for (size_t i = 0; i < n; i++) {
        struct cb_weights_entry *e = &entries[i];
        if (!e->checksum)
            e->checksum = cb_checksum(e->data, e->bytes);
        at = place(at, e->bytes);
        table[i] = (struct entry){ e->key, at, e->bytes, e->checksum };
        at += e->bytes;
    }
    h.bytes = at;
    h.table = cb_checksum(table, n * sizeof *table);
    h.header = header_sum(h);
    memcpy(page, &h, sizeof h);
    struct cb_status st = add(fd, page, PAGE);
    if (!st.code)
        st = add(fd, table, n * sizeof *table);
    at = PAGE + n * sizeof *table;
    for (size_t i = 0; i < n && !st.code; i++) {
        st = add(fd, zeros, table[i].offset - at);
        if (!st.code)
            st = add(fd, entries[i].data, entries[i].bytes);
        at = table[i].offset + table[i].bytes;
    }
    cb_arena_deinit(&arena);
    return st;
}
