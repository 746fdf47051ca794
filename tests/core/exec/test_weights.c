#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/checksum.h"
#include "core/exec/weights.h"

#define OK(expr) cr_assert((expr).code == CB_OK)

static struct cb_weights *weights;

static void begin(void)
{
    OK(cb_weights_create(&weights));
}

static void end(void)
{
    cb_weights_release(weights);
}

TestSuite(weights, .init = begin, .fini = end);

static void fill(void *ctx, void *block)
{
    memset(block, *(int *)ctx, 100);
}

Test(weights, the_first_claimant_makes_a_block_and_others_find_it)
{
    struct cb_weights_block *a, *b;
    enum cb_claim claim;
    const void *data;
    int value = 7;
    OK(cb_weights_claim(weights, 1, 100, true, &a, &claim));
    cr_expect_eq(claim, CB_CLAIM_EMPTY);
    OK(cb_weights_claim(weights, 1, 100, true, &b, &claim));
    cr_expect(claim == CB_CLAIM_MADE && a == b);
    memset(cb_weights_data(a), 3, 100);
    cb_weights_finish(weights, a);
    OK(cb_weights_get(weights, 1, 100, true, fill, &value, &data));
    cr_expect_eq(((const uint8_t *)data)[99], 3);
    OK(cb_weights_get(weights, 2, 100, false, fill, &value, &data));
    cr_expect_eq(((const uint8_t *)data)[99], 7);
    cr_expect_eq((uintptr_t)data % 64, 0);
    cr_expect_eq(cb_weights_bytes(weights), 200);
    cr_expect_eq(cb_weights_made(weights), 1, "the other one is not durable");
}

static void *wait_for_block(void *block)
{
    cb_weights_wait(weights, block);
    return (void *)(uintptr_t)((const uint8_t *)cb_weights_data(block))[0];
}

Test(weights, whoever_comes_second_waits)
{
    struct cb_weights_block *block;
    enum cb_claim claim;
    pthread_t thread;
    void *seen;
    OK(cb_weights_claim(weights, 1, 64, true, &block, &claim));
    cr_assert(pthread_create(&thread, NULL, wait_for_block, block) == 0);
    memset(cb_weights_data(block), 9, 64);
    cb_weights_finish(weights, block);
    pthread_join(thread, &seen);
    cr_expect_eq((uintptr_t)seen, 9);
}

/* Three blocks of 64 bytes in a mapping; the second one's checksum is wrong. */
static void lend_three(void)
{
    uint8_t *file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct cb_weights_entry entries[3];
    cr_assert(file != MAP_FAILED);
    for (int i = 0; i < 3; i++) {
        memset(file + 64 * i, 10 + i, 64);
        entries[2 - i] = (struct cb_weights_entry){ .key = (uint64_t)(100 + i),
                                                    .data = file + 64 * i,
                                                    .bytes = 64,
                                                    .checksum = cb_checksum(file + 64 * i, 64) };
    }
    entries[1].checksum ^= 1;
    OK(cb_weights_lend(weights, (struct cb_bytes){ file, 4096 }, entries, 3));
}

Test(weights, what_is_lent_is_taken_only_with_its_checksum)
{
    int value = 7;
    const void *data;
    lend_three();
    OK(cb_weights_get(weights, 100, 64, true, fill, &value, &data));
    cr_expect_eq(((const uint8_t *)data)[0], 10);
    value = 5;
    struct cb_weights_block *block;
    enum cb_claim claim;
    OK(cb_weights_claim(weights, 101, 64, true, &block, &claim));
    cr_expect_eq(claim, CB_CLAIM_LENT);
    claim = cb_weights_judge_lent(weights, block, cb_checksum(cb_weights_data(block), 64));
    cr_expect_eq(claim, CB_CLAIM_EMPTY);
    memset(cb_weights_data(block), 5, 64);
    cb_weights_finish(weights, block);
    cr_expect_eq(cb_weights_made(weights), 1);
    OK(cb_weights_claim(weights, 102, 128, true, &block, &claim));
    cr_expect_eq(claim, CB_CLAIM_EMPTY, "of another size");
    cb_weights_finish(weights, block);
}

Test(weights, each_durable_block_is_listed_once)
{
    struct cb_arena arena;
    struct cb_weights_entry *list;
    const void *data;
    size_t n, lent = 0;
    int value = 7;
    OK(cb_arena_init(&arena, 1 << 20));
    lend_three();
    OK(cb_weights_get(weights, 100, 64, true, fill, &value, &data));
    struct cb_weights_block *block;
    enum cb_claim claim;
    OK(cb_weights_claim(weights, 101, 64, true, &block, &claim));
    claim = cb_weights_judge_lent(weights, block, cb_checksum(cb_weights_data(block), 64));
    cb_weights_finish(weights, block);
    OK(cb_weights_get(weights, 5, 100, false, fill, &value, &data));
    OK(cb_weights_get(weights, 6, 100, true, fill, &value, &data));
    cb_weights_discard(weights, 6);
    OK(cb_weights_list(weights, &arena, &list, &n));
    cr_expect_eq(n, 3);
    for (size_t i = 0; i < n; i++) {
        cr_expect(list[i].key >= 100 && list[i].key <= 102);
        lent += list[i].checksum != 0;
    }
    cr_expect_eq(lent, 2);
    cb_arena_deinit(&arena);
}

Test(weights, a_second_file_is_refused)
{
    lend_three();
    uint8_t *file = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(file != MAP_FAILED);
    cr_expect_eq(cb_weights_lend(weights, (struct cb_bytes){ file, 4096 }, NULL, 0).code,
                 CB_ERR_CONFLICT);
}

Test(checksum, every_changed_byte_shows_and_chunks_join_to_the_same)
{
    const size_t len = 2 * CB_CHECKSUM_CHUNK + 77;
    uint8_t *data = calloc(len, 1);
    uint64_t sums[3];
    const uint64_t zero = cb_checksum(data, len);
    const size_t places[] = {
        0, 7, 63, 64, 4095, CB_CHECKSUM_CHUNK - 1, CB_CHECKSUM_CHUNK, len - 1
    };
    cr_assert_eq(cb_checksum_chunks(len), 3);
    for (size_t i = 2; i < 3; i--)
        sums[i] = cb_checksum_chunk(data, len, i);
    cr_expect_eq(cb_checksum_join(sums, 3), zero);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (int bit = 0; bit < 8; bit++) {
            data[places[i]] ^= (uint8_t)(1 << bit);
            cr_expect_neq(cb_checksum(data, len), zero, "byte %zu, bit %d", places[i], bit);
            data[places[i]] ^= (uint8_t)(1 << bit);
        }
    /* The same two flips a lane apart do not cancel. */
    data[7] ^= 0x80;
    data[71] ^= 0x80;
    cr_expect_neq(cb_checksum(data, len), zero);
    cr_expect_neq(cb_checksum(data, len - 1), cb_checksum(data, len));
    cr_expect_neq(cb_checksum(data, 0), cb_checksum(data + 10, 1));
    free(data);
}
