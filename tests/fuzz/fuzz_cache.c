/* tests/fuzz/fuzz_cache.c - any bytes as the files of the cache: as they are, and as a header and
 * table with checksums that fit, so that the checks behind those are reached. What is accepted lies
 * inside the file, and is lent to a store that takes it only with its checksum. */
#include <stdlib.h>
#include <string.h>

#include "core/base/checksum.h"
#include "importers/cache/folder.h"
#include "importers/cache/packed.h"
#include "tests/fuzz/fuzz.h"

/* Where the packed file's header has its numbers. */
enum { AT_BUILD = 56, AT_N = 68, AT_BYTES = 72, AT_TABLE = 80, AT_SUM = 88, HEADER = 96 };
enum { PAGE = 4096, ENTRY = 32 };

static const struct cb_digest model = { { 1, 2, 3 } };

static void put(uint8_t *file, size_t at, uint64_t value)
{
    memcpy(file + at, &value, sizeof value);
}

/* The head of a file that is written by the program, put before `table` and data. */
static void seal(uint8_t *file, size_t len)
{
    static const char magic[16] = "cambium-packed";
    const uint32_t order[2] = { 0x01020304u, 1 }, isa = CB_ISA_AVX2;
    uint32_t n;
    memcpy(&n, file + AT_N, sizeof n);
    n %= 40;
    memcpy(file, magic, sizeof magic);
    memcpy(file + 16, order, sizeof order);
    memcpy(file + 24, model.byte, sizeof model.byte);
    put(file, AT_BUILD, cb_packed_build());
    memcpy(file + 64, &isa, sizeof isa);
    memcpy(file + AT_N, &n, sizeof n);
    put(file, AT_BYTES, len);
    put(file, AT_TABLE, n * ENTRY <= len - PAGE ? cb_checksum(file + PAGE, n * ENTRY) : 0);
    put(file, AT_SUM, 0);
    put(file, AT_SUM, cb_checksum(file, HEADER));
}

static void fill(void *ctx, void *block)
{
    *(bool *)ctx = true;
    (void)block;
}

static void take(const struct cb_weights_entry *entries, size_t n)
{
    struct cb_weights *weights;
    require(cb_weights_create(&weights).code == CB_OK);
    require(cb_weights_lend(weights, (struct cb_bytes){ 0 }, entries, n).code == CB_OK);
    for (size_t i = 0; i < n; i++) {
        const void *data;
        bool made = false;
        if (cb_weights_get(weights, entries[i].key, entries[i].bytes, true, fill, &made, &data)
                .code)
            continue;
        if (!made && data == entries[i].data)
            require(cb_checksum(data, entries[i].bytes) == entries[i].checksum);
    }
    cb_weights_release(weights);
}

static bool parse(const uint8_t *file, size_t len)
{
    struct cb_arena arena;
    struct cb_weights_entry *entries;
    size_t n;
    require(cb_arena_init(&arena, (size_t)1 << 22).code == CB_OK);
    const bool accepted =
        cb_packed_parse((struct cb_bytes){ file, len }, &model, CB_ISA_AVX2, &arena, &entries, &n)
            .code == CB_OK;
    for (size_t i = 0; accepted && i < n; i++) {
        const uint8_t *data = entries[i].data;
        require(data >= file && entries[i].bytes <= len - (size_t)(data - file));
    }
    if (accepted)
        take(entries, n);
    cb_arena_deinit(&arena);
    return accepted;
}

/* A packed file whose table and data the fuzzer writes. */
static void parse_sealed(const uint8_t *data, size_t len)
{
    const size_t whole = PAGE + len + 64;
    uint8_t *file = aligned_alloc(64, (whole + 63) & ~(size_t)63);
    require(file != NULL);
    memset(file, 0, whole);
    require(whole < (size_t)1 << 32);
    seal(file, whole);
    require(parse(file, whole)); /* the layout above is still that of packed.c */
    if (len) {
        memcpy(file + PAGE, data, len);
        file[AT_N] = data[0];
    }
    seal(file, whole);
    parse(file, whole);
    free(file);
}

static void parse_records(const uint8_t *data, size_t len)
{
    const struct cb_records kind = { "choices", 1, 24, 100 };
    struct cb_arena arena;
    const uint8_t *records;
    size_t n;
    uint64_t sum = 0;
    require(cb_arena_init(&arena, (size_t)1 << 20).code == CB_OK);
    if (cb_records_parse((struct cb_bytes){ data, len }, &kind, &arena, &records, &n).code == CB_OK)
        for (size_t i = 0; i < n * kind.size; i++)
            sum += records[i];
    require(sum < UINT64_MAX);
    cb_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    parse(data, len);
    parse_records(data, len);
    parse_sealed(data, len);
    return 0;
}
