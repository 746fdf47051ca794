#include "importers/dataset/feature_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "tests/importers/dataset/folder.h"

enum { D = 5, LIMIT = 1 << 20 };

static struct cb_digest digest_of(int number)
{
    return cb_digest_of(&number, sizeof number);
}

static struct cb_feature_cache *open_cache(const struct folder *f, int key, int d, size_t limit)
{
    struct cb_feature_cache *cache;
    const struct cb_digest digest = digest_of(key);
    const struct cb_status st = cb_feature_cache_open(f->path, &digest, d, limit, &cache);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    return cache;
}

static void add(struct cb_feature_cache *cache, int from, int to)
{
    for (int i = from; i < to; i++) {
        const float features[D] = { (float)i, 1, 2, 3, (float)-i };
        const struct cb_digest digest = digest_of(i);
        cb_feature_cache_add(cache, &digest, features);
    }
}

static bool has(const struct cb_feature_cache *cache, int i)
{
    float features[D];
    const struct cb_digest digest = digest_of(i);
    return cb_feature_cache_find(cache, &digest, features) && features[0] == (float)i &&
           features[4] == (float)-i;
}

static int count(const struct cb_feature_cache *cache, int to)
{
    int n = 0;
    for (int i = 0; i < to; i++)
        n += has(cache, i);
    return n;
}

/* The only file of the folder. */
static void path_of(const struct folder *f, char path[512])
{
    DIR *dir = opendir(f->path);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            snprintf(path, 512, "%s/%s", f->path, entry->d_name);
    closedir(dir);
}

Test(feature_cache, keeps_what_was_added_for_the_next_time)
{
    struct folder f;
    folder_begin(&f);
    struct cb_feature_cache *cache = open_cache(&f, 1, D, LIMIT);
    cr_expect_not(has(cache, 0));
    add(cache, 0, 100);
    cb_feature_cache_close(cache);
    cache = open_cache(&f, 1, D, LIMIT);
    cr_expect_eq(count(cache, 100), 100);
    cr_expect_not(has(cache, 100));
    add(cache, 100, 120);
    cb_feature_cache_close(cache);
    cache = open_cache(&f, 1, D, LIMIT);
    cr_expect_eq(count(cache, 200), 120);
    cb_feature_cache_close(cache);
    cb_feature_cache_close(NULL);
    folder_end(&f);
}

Test(feature_cache, another_trunk_or_length_sees_nothing_of_it)
{
    struct folder f;
    folder_begin(&f);
    struct cb_feature_cache *cache = open_cache(&f, 1, D, LIMIT);
    add(cache, 0, 3);
    cb_feature_cache_close(cache);
    cache = open_cache(&f, 2, D, LIMIT);
    cr_expect_eq(count(cache, 3), 0);
    cb_feature_cache_close(cache);
    cache = open_cache(&f, 1, D + 1, LIMIT);
    cr_expect_not(cb_feature_cache_find(cache, &(struct cb_digest){ 0 }, (float[D + 1]){ 0 }));
    cb_feature_cache_close(cache);
    folder_end(&f);
}

/* Cut at every length and with a byte changed anywhere: sound records are found, others never. */
Test(feature_cache, what_a_crash_left_half_is_not_used)
{
    struct folder f;
    char path[512];
    struct cb_bytes whole;
    folder_begin(&f);
    struct cb_feature_cache *cache = open_cache(&f, 1, D, LIMIT);
    add(cache, 0, 4);
    cb_feature_cache_close(cache);
    path_of(&f, path);
    cr_assert_eq(cb_file_map(path, &whole).code, CB_OK);
    uint8_t *copy = malloc(whole.len);
    for (size_t k = 0; k < whole.len; k += 3) {
        memcpy(copy, whole.data, whole.len);
        copy[k] ^= 0x40;
        cr_assert_eq(cb_file_write(path, copy, whole.len).code, CB_OK);
        cache = open_cache(&f, 1, D, LIMIT);
        const int left = count(cache, 4);
        cr_expect(k < 64 ? left == 0 : left == 3, "byte %zu: %d", k, left);
        cb_feature_cache_close(cache);
        cr_assert_eq(cb_file_write(path, whole.data, k).code, CB_OK);
        cache = open_cache(&f, 1, D, LIMIT);
        cr_expect_eq(count(cache, 4), k < 64 ? 0 : (int)((k - 64) / (40 + 4 * D)), "cut at %zu", k);
        add(cache, 9, 10);
        cb_feature_cache_close(cache);
        cache = open_cache(&f, 1, D, LIMIT);
        cr_expect(has(cache, 9), "what is added after a cut at %zu is found", k);
        cb_feature_cache_close(cache);
    }
    free(copy);
    cb_file_unmap(&whole);
    folder_end(&f);
}

Test(feature_cache, holds_itself_and_its_folder_to_the_limit)
{
    struct folder f;
    struct stat info;
    char path[512];
    folder_begin(&f);
    for (int key = 0; key < 6; key++) {
        struct cb_feature_cache *cache = open_cache(&f, key, D, 3000);
        add(cache, 0, 20);
        cb_feature_cache_close(cache);
    }
    size_t bytes = 0;
    DIR *dir = opendir(f.path);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &info, 0) == 0)
            bytes += (size_t)info.st_size;
    closedir(dir);
    cr_expect(bytes > 0 && bytes <= 3000, "%zu bytes", bytes);
    struct cb_feature_cache *cache = open_cache(&f, 5, D, 3000);
    cr_expect_eq(count(cache, 20), 20, "the newest stays");
    add(cache, 20, 2000);
    cb_feature_cache_close(cache);
    path_of(&f, path);
    cr_expect(stat(path, &info) == 0 && info.st_size <= 3000);
    folder_end(&f);
}

Test(feature_cache, a_link_in_its_place_is_not_followed)
{
    struct folder f;
    char path[512], target[128];
    struct cb_feature_cache *cache;
    folder_begin(&f);
    cb_feature_cache_close(open_cache(&f, 1, D, LIMIT));
    path_of(&f, path);
    unlink(path);
    snprintf(target, sizeof target, "%s.target", f.path);
    cr_assert_eq(symlink(target, path), 0);
    const struct cb_digest key = digest_of(1);
    cr_expect_eq(cb_feature_cache_open(f.path, &key, D, LIMIT, &cache).code, CB_ERR_IO);
    cr_expect_not(cb_file_exists(target));
    folder_end(&f);
}
