#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/rng.h"
#include "core/base/threads.h"

Test(arena, blocks_are_aligned_zeroed_disjoint_and_within_budget)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct cb_rng rng = cb_rng_seed(seed);
        struct cb_arena a;
        cr_assert_eq(cb_arena_init(&a, 1 << 16).code, CB_OK);
        for (uint8_t *p, *end = a.base;; end = p) {
            const size_t n = 1 + cb_rng_below(&rng, 64), size = 1 + cb_rng_below(&rng, 100);
            if (!(p = cb_arena_alloc(&a, n, size)))
                break;
            cr_assert(p >= end && (uintptr_t)p % CB_ALIGN == 0, "seed %d", (int)seed);
            cr_assert(p[0] == 0 && p[n * size - 1] == 0, "seed %d", (int)seed);
            p = (uint8_t *)memset(p, 0xff, n * size) + n * size;
            cr_assert(p <= a.base + a.budget, "seed %d", (int)seed);
        }
        cb_arena_deinit(&a);
    }
}

Test(arena, refuses_what_overflows_or_is_over_the_budget)
{
    struct cb_arena a;
    void *p = NULL;
    cr_assert_eq(cb_arena_init(&a, 4096).code, CB_OK);
    cr_expect_null(cb_arena_alloc(&a, SIZE_MAX, 2));
    cr_expect_null(cb_arena_alloc(&a, SIZE_MAX, 1));
    cr_expect_null(cb_arena_alloc(&a, 4097, 1));
    const struct cb_status st = cb_arena_get(&a, 5, 1000, "picture", &p);
    cr_expect_eq(st.code, CB_ERR_NOMEM);
    cr_expect_str_eq(st.msg, "picture: 5 x 1000 bytes are over the budget of 4096");
    cr_expect_not_null(cb_arena_alloc(&a, 4096, 1));
    cb_arena_deinit(&a);
    cb_arena_deinit(&a); /* harmless */
    cr_expect_null(cb_arena_alloc(&a, 1, 1));
}

Test(arena, of_a_struct_holds_it_and_ends_with_it)
{
    struct {
        struct cb_arena arena;
        char text[100];
    } *it = NULL;
    cr_assert_eq(cb_arena_begin(4096, sizeof *it, &it).code, CB_OK);
    cr_expect_eq((void *)it->arena.base, (void *)it);
    cr_expect_eq(it->text[0] | it->text[99], 0);
    cr_expect_null(cb_arena_alloc(&it->arena, 4097 - sizeof *it, 1));
    cr_expect_not_null(cb_arena_alloc(&it->arena, 1024, 1));
    cb_arena_deinit(&it->arena);
    cr_expect_eq(cb_arena_begin(sizeof *it - 1, sizeof *it, &it).code, CB_ERR_NOMEM);
}

Test(arena, memory_given_back_is_zero_when_taken_again)
{
    struct cb_arena a;
    cr_assert_eq(cb_arena_init(&a, 1 << 20).code, CB_OK);
    cr_assert_not_null(cb_arena_alloc(&a, 100, 1));
    const size_t mark = a.used;
    memset(cb_arena_alloc(&a, 50000, 1), 0xab, 50000);
    cb_arena_rewind(&a, mark);
    const uint8_t *again = cb_arena_alloc(&a, 50000, 1);
    for (int i = 0; i < 50000; i++)
        cr_assert_eq(again[i], 0, "byte %d", i);
    cb_arena_deinit(&a);
}

Test(buf, stops_at_its_limit_and_remembers)
{
    struct cb_buf b;
    cb_buf_init(&b, 10);
    cb_buf_printf(&b, "%d,", 12345);
    cb_buf_add(&b, "abcd", 4);
    cr_expect_str_eq(b.data, "12345,abcd");
    cr_expect_not(b.failed);
    cb_buf_add(&b, "e", 1);
    cr_expect(b.failed);
    cr_expect_eq(b.len, 10);
    cb_buf_deinit(&b);
}

Test(status, context_goes_before_the_message_and_never_overflows)
{
    struct cb_status st = cb_context(cb_fail(CB_ERR_MODEL, "wants 3"), "%s", "conv1");
    cr_expect_str_eq(st.msg, "conv1: wants 3");
    cr_expect_eq(cb_context(cb_ok(), "never").code, CB_OK);
    for (int i = 0; i < 300; i++)
        st = cb_context(st, "layer %d", i);
    cr_expect_lt(strlen(st.msg), sizeof st.msg);
}

Test(file, is_written_whole_or_not_at_all)
{
    char folder[] = "/tmp/cambium-test-XXXXXX", path[128], deep[128];
    struct cb_bytes bytes;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a/b/c.bin", folder);
    cr_expect_eq(cb_file_write(path, "x", 1).code, CB_ERR_NOT_FOUND);
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    cr_assert_eq(cb_folder_make(deep).code, CB_OK);
    cr_assert_eq(cb_folder_make(deep).code, CB_OK, "twice is fine");
    const struct cb_bytes parts[] = { { (const uint8_t *)"hello ", 6 },
                                      { NULL, 0 },
                                      { (const uint8_t *)"world", 5 } };
    cr_assert_eq(cb_file_write_parts(path, parts, 3).code, CB_OK);
    cr_assert_eq(cb_file_map(path, &bytes).code, CB_OK);
    cr_assert_eq(bytes.len, 11);
    cr_expect_eq(memcmp(bytes.data, "hello world", 11), 0);
    cb_file_unmap(&bytes);
    cr_expect_eq(cb_file_map(deep, &bytes).code, CB_ERR_IO, "a folder is no file");
    cr_assert_eq(cb_folder_remove(folder).code, CB_OK);
    cr_expect_not(cb_file_exists(folder));
    cr_expect_eq(cb_folder_remove(folder).code, CB_OK, "not there is fine");
}

Test(file, removing_a_folder_does_not_follow_links)
{
    char outside[] = "/tmp/cambium-test-XXXXXX", folder[] = "/tmp/cambium-test-XXXXXX", path[128],
         link[128];
    cr_assert(mkdtemp(outside) && mkdtemp(folder));
    snprintf(path, sizeof path, "%s/kept", outside);
    snprintf(link, sizeof link, "%s/link", folder);
    cr_assert_eq(cb_file_write(path, "x", 1).code, CB_OK);
    cr_assert_eq(symlink(outside, link), 0);
    cr_assert_eq(cb_folder_remove(folder).code, CB_OK);
    cr_expect(cb_file_exists(path));
    cr_assert_eq(cb_folder_remove(outside).code, CB_OK);
}

Test(hash, equals_the_standards_examples)
{
    char text[CB_DIGEST_TEXT];
    struct cb_digest d = cb_digest_of("abc", 3);
    cb_digest_text(&d, text);
    cr_expect_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    d = cb_digest_of2("a", 1, "bc", 2);
    cb_digest_text(&d, text);
    cr_expect_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(rng, the_same_seed_gives_the_same_numbers_and_all_are_in_range)
{
    struct cb_rng a = cb_rng_seed(5), b = cb_rng_seed(5), c = cb_rng_seed(6);
    bool differs = false;
    double sum = 0, squares = 0;
    for (int i = 0; i < 10000; i++) {
        const uint64_t x = cb_rng_next(&a);
        cr_assert_eq(x, cb_rng_next(&b));
        differs |= x != cb_rng_next(&c);
        cr_assert_lt(cb_rng_below(&a, 7), 7);
        cb_rng_below(&b, 7);
        const float u = cb_rng_uniform(&a, -2, 3), n = cb_rng_normal(&b);
        cr_assert(u >= -2 && u < 3);
        sum += (double)n;
        squares += (double)n * (double)n;
        b = a;
    }
    cr_expect(differs);
    cr_expect_float_eq(sum / 10000, 0, 0.05);
    cr_expect_float_eq(squares / 10000, 1, 0.06);
}

struct visits {
    atomic_int count[1000], busy[8];
    atomic_bool clash;
};

static void visit(void *ctx, size_t i, size_t worker)
{
    struct visits *v = ctx;
    if (atomic_fetch_add(&v->busy[worker], 1))
        v->clash = true;
    v->count[i]++;
    atomic_fetch_sub(&v->busy[worker], 1);
}

Test(threads, every_index_is_visited_once_and_no_worker_is_two_at_a_time)
{
    for (size_t n_threads = 1; n_threads <= 4; n_threads++) {
        struct cb_threads *t = NULL;
        cr_assert_eq(cb_threads_create(n_threads, &t).code, CB_OK);
        cr_expect_eq(cb_threads_count(t), n_threads);
        static const size_t sizes[] = { 0, 1, 2, 3, 1000 };
        for (size_t s = 0; s < CB_COUNT_OF(sizes); s++) {
            static struct visits v;
            memset(&v, 0, sizeof v);
            cb_threads_for(t, sizes[s], visit, &v);
            for (size_t i = 0; i < 1000; i++)
                cr_assert_eq(v.count[i], i < sizes[s] ? 1 : 0);
            cr_expect_not(v.clash);
        }
        cb_threads_destroy(t);
    }
    cr_expect_eq(cb_threads_count(NULL), 1);
    cr_expect_geq(cb_threads_available(), 1);
    cb_threads_destroy(NULL);
}
