/* What pull does with servers that keep their word, and with those that do not. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importers/catalogue/pull.h"
#include "importers/model/load.h"
#include "tests/support/http_server.h"
#include "tests/support/program.h"

#define LEN 100003 /* prime, and more than one read */

static struct http_server server;
static struct cb_catalogue_source source = { .name = "test" };
static struct cb_catalogue_labels labels;
static struct cb_catalogue_entry entry;
static struct cb_arena arena;
static struct cb_pull pull;
static struct cb_pull_result result;
static char *folder, file[LEN], warned[1000];
static struct cb_recipe recipe;

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(warned + strlen(warned), sizeof warned - strlen(warned), "%s\n", text);
}

static void setup(void)
{
    static const char *const three[] = { "ant", "bee", "wasp" };
    folder = program_folder();
    for (size_t i = 0; i < LEN; i++)
        file[i] = (char)(i * 7 + i / 251);
    http_server_start(&server, file, LEN);
    cr_assert(cb_arena_init(&arena, (size_t)16 << 20).code == CB_OK);
    cr_assert(cb_recipe_parse(cb_bytes_of_text("{\"color\":\"BGR\"}"), &recipe).code == CB_OK);
    labels = (struct cb_catalogue_labels){ .name = "three", .item = three, .n = 3 };
    entry = (struct cb_catalogue_entry){ .name = "net",
                                         .source = &source,
                                         .path = "a/b/net-7.onnx",
                                         .bytes = LEN,
                                         .digest = cb_digest_of(file, LEN),
                                         .has_digest = true,
                                         .recipe = &recipe,
                                         .labels = &labels };
    pull = (struct cb_pull){ .folder = folder,
                             .name = "net",
                             .entry = &entry,
                             .from = server.base,
                             .stall_s = 1,
                             .warn = warn };
}

static void teardown(void)
{
    http_server_stop(&server);
    cb_arena_deinit(&arena);
    program_folder_remove(folder);
}

TestSuite(pull, .init = setup, .fini = teardown);

static const char *in(const char *name)
{
    return program_path(folder, name);
}

/* Stays: paths of in() are overwritten after a few. */
static const char *usb(void)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", in("usb"));
    return path;
}

static bool holds(const char *name, const void *data, size_t len)
{
    struct cb_bytes found;
    if (cb_file_map(in(name), &found).code)
        return false;
    const bool same = found.len == len && memcmp(found.data, data, len) == 0;
    cb_file_unmap(&found);
    return same;
}

static long part_size(void)
{
    struct stat info;
    return stat(in(".pull/net/model.onnx.part"), &info) ? -1 : (long)info.st_size;
}

static void expect_done(int64_t resumed)
{
    const struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_OK, "%s", st.msg);
    cr_expect_eq(result.resumed, resumed);
    cr_expect(holds("net/model.onnx", file, LEN));
    cr_expect(!cb_file_exists(in(".pull/net")));
}

/* It fails, names the address and says this; under the name there is nothing. */
static void expect_failure(enum http_manner manner, enum cb_code code, const char *says)
{
    server.manner = manner;
    const struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect_eq(st.code, code, "%d: %s", st.code, st.msg);
    cr_expect(strstr(st.msg, server.base), "%s", st.msg);
    cr_expect(strstr(st.msg, says), "wants \"%s\" in: %s", says, st.msg);
    cr_expect(!cb_file_exists(in("net")));
}

Test(pull, publishes_the_file_with_recipe_and_labels)
{
    struct cb_recipe read;
    struct cb_bytes text;
    expect_done(0);
    cr_expect(holds("net/labels.txt", "ant\nbee\nwasp\n", 13));
    cr_assert(cb_file_map(in("net/recipe.json"), &text).code == CB_OK);
    cr_expect(cb_recipe_parse(text, &read).code == CB_OK && read.color == CB_BGR);
    cb_file_unmap(&text);
    cr_expect(result.verified && result.recipe && result.labels && !result.already);
    cr_expect_str_eq(result.path, in("net"));
    cr_expect_str_empty(warned);
    cr_expect_eq(server.requests, 1);
}

Test(pull, goes_on_where_a_server_broke_off)
{
    expect_failure(HTTP_BREAKS_OFF, CB_ERR_IO, "broke off: wants 100003 bytes, has 50001");
    cr_expect_eq(part_size(), LEN / 2);
    expect_failure(HTTP_BREAKS_OFF, CB_ERR_IO, "broke off: wants 100003 bytes, has 75002");
    server.manner = HTTP_HONEST;
    expect_done(75002);
    cr_expect_eq(server.ranges, 2);
}

Test(pull, begins_again_where_ranges_are_ignored)
{
    expect_failure(HTTP_BREAKS_OFF, CB_ERR_IO, "broke off");
    server.manner = HTTP_NO_RANGES;
    expect_done(0);
}

Test(pull, does_not_join_two_files)
{
    expect_failure(HTTP_BREAKS_OFF, CB_ERR_IO, "broke off");
    expect_failure(HTTP_CHANGED, CB_ERR_CONTENT, "SHA-256"); /* If-Range gives the whole other */
    cr_expect_eq(part_size(), -1);
    server.manner = HTTP_HONEST;
    expect_done(0);
}

Test(pull, takes_another_file_whole_when_nobody_says_the_digest)
{
    entry.has_digest = false;
    expect_failure(HTTP_BREAKS_OFF, CB_ERR_IO, "broke off");
    server.manner = HTTP_CHANGED;
    const struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_expect(!result.verified && result.resumed == 0);
    memset(file, 'x', LEN);
    cr_expect(holds("net/model.onnx", file, LEN));
}

Test(pull, replaces_a_beginning_that_was_spoilt)
{
    cr_assert(cb_folder_make(in(".pull/net")).code == CB_OK);
    program_write(in(".pull/net/model.onnx.part"), "something else");
    expect_done(0);
    cr_expect_eq(server.requests, 2); /* went on, saw that it was wrong, began again */
}

Test(pull, verifies_a_whole_file_that_was_not_published)
{
    cr_assert(cb_folder_make(in(".pull/net")).code == CB_OK);
    cr_assert(cb_file_write(in(".pull/net/model.onnx.part"), file, LEN).code == CB_OK);
    expect_done(LEN);
    cr_expect_eq(server.requests, 0);
}

Test(pull, begins_again_behind_the_end_of_a_file)
{
    char *longer = calloc(LEN + 5, 1);
    cr_assert(cb_folder_make(in(".pull/net")).code == CB_OK);
    cr_assert(cb_file_write(in(".pull/net/model.onnx.part"), longer, LEN + 5).code == CB_OK);
    entry.bytes = 0;
    expect_done(0);
    cr_expect_eq(server.requests, 2);
    free(longer);
}

Test(pull, says_what_is_wrong_with_what_a_server_sends)
{
    expect_failure(HTTP_SAYS_MORE, CB_ERR_CONTENT, "wants 100003 bytes, has 100103");
    expect_failure(HTTP_SAYS_LESS, CB_ERR_CONTENT, "wants 100003 bytes, has 50001");
    expect_failure(HTTP_WRONG_BYTES, CB_ERR_CONTENT, "wants SHA-256 ");
    cr_expect_eq(part_size(), -1); /* wrong bytes are not gone on with */
    expect_failure(HTTP_EMPTY, CB_ERR_CONTENT, "wants 100003 bytes, has 0");
    expect_failure(HTTP_ENDLESS, CB_ERR_CONTENT, "wants 100003 bytes, has more");
    cr_expect_eq(part_size(), -1);
}

Test(pull, names_wanted_and_found_digest)
{
    char wanted[CB_DIGEST_TEXT], found[CB_DIGEST_TEXT];
    cb_digest_text(&entry.digest, wanted);
    expect_failure(HTTP_WRONG_BYTES, CB_ERR_CONTENT, wanted);
    file[LEN / 2] ^= 4;
    const struct cb_digest digest = cb_digest_of(file, LEN);
    file[LEN / 2] ^= 4;
    cb_digest_text(&digest, found);
    expect_failure(HTTP_WRONG_BYTES, CB_ERR_CONTENT, found);
}

Test(pull, sees_lies_about_length_without_a_known_one)
{
    entry.bytes = 0;
    expect_failure(HTTP_SAYS_MORE, CB_ERR_IO, "broke off: wants 100103 bytes, has 100003");
    cb_download_forget(in(".pull/net/model.onnx.part"));
    expect_failure(HTTP_SAYS_LESS, CB_ERR_CONTENT, "wants SHA-256 ");
}

Test(pull, takes_a_file_whose_length_nobody_says)
{
    entry.bytes = 0;
    server.manner = HTTP_NO_LENGTH;
    expect_done(0);
}

Test(pull, refuses_a_part_that_was_not_asked_for)
{
    expect_failure(HTTP_BREAKS_OFF, CB_ERR_IO, "broke off");
    expect_failure(HTTP_OTHER_RANGE, CB_ERR_IO,
                   "wanted bytes from 50001 on, was given them from 1");
    cr_expect_eq(part_size(), LEN / 2);
}

Test(pull, says_what_a_server_answered)
{
    expect_failure(HTTP_NOT_FOUND, CB_ERR_NOT_FOUND, "/a/b/net-7.onnx: wants status 200, has 404");
    expect_failure(HTTP_FAILS, CB_ERR_IO, "wants status 200, has 500");
    expect_failure(HTTP_LOOPS, CB_ERR_IO, "more than 5 redirects");
    cr_expect_eq(server.requests, 2 + 6);
    expect_failure(HTTP_TO_FILE, CB_ERR_IO,
                   "redirects to file:///etc/passwd, which is not http or https");
}

Test(pull, follows_a_redirect)
{
    server.manner = HTTP_ONCE_AROUND;
    expect_done(0);
}

Test(pull, gives_up_on_a_server_that_stalls_and_keeps_what_came)
{
    expect_failure(HTTP_STALLS, CB_ERR_IO, "no news for 1 seconds, after 50001 bytes");
    cr_expect_eq(part_size(), LEN / 2);
    server.manner = HTTP_HONEST;
    expect_done(LEN / 2);
}

Test(pull, says_when_nobody_listens)
{
    pull.from = "http://127.0.0.1:1";
    const struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_IO && strstr(st.msg, "http://127.0.0.1:1/a/b/net-7.onnx: "), "%s",
              st.msg);
}

Test(pull, takes_plain_http_only_from_a_mirror_named_so)
{
    const char *const addresses[] = { "https://127.0.0.1:1/" };
    char address[100];
    pull.from = NULL;
    pull.entry = NULL;
    snprintf(address, sizeof address, "%s/net-7.onnx", server.base);
    pull.address = address;
    struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_INPUT && strstr(st.msg, "begins with https://"), "%s", st.msg);
    pull.address = "file:///etc/passwd";
    st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_INPUT && strstr(st.msg, "begins with https://"), "%s", st.msg);
    source.address = addresses;
    source.n = 1;
    cr_expect_eq(server.requests, 0);
}

Test(pull, tries_the_next_address_and_says_why)
{
    const char *const addresses[] = { "https://127.0.0.1:1/one/", "https://127.0.0.1:1/two/" };
    source.address = addresses;
    source.n = 2;
    pull.from = NULL;
    const struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(strstr(warned, "https://127.0.0.1:1/one/a/b/net-7.onnx: "), "%s", warned);
    cr_expect(strstr(st.msg, "https://127.0.0.1:1/two/a/b/net-7.onnx: "), "%s", st.msg);
}

Test(pull, is_content_with_what_is_there_already)
{
    expect_done(0);
    server.manner = HTTP_FAILS;
    cr_expect(cb_pull_run(&pull, &arena, &result).code == CB_OK && result.already);
    cr_expect(result.verified && result.bytes == LEN && result.labels && result.recipe);
    cr_expect_eq(server.requests, 1);
}

Test(pull, replaces_another_model_only_when_told_to)
{
    cr_assert(cb_folder_make(in("net")).code == CB_OK);
    program_write(in("net/model.onnx"), "mine");
    struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_CONFLICT && strstr(st.msg, "net: is there already"), "%s", st.msg);
    cr_expect(holds("net/model.onnx", "mine", 4));
    pull.replace = true;
    server.manner = HTTP_WRONG_BYTES;
    cr_expect(cb_pull_run(&pull, &arena, &result).code == CB_ERR_CONTENT);
    cr_expect(holds("net/model.onnx", "mine", 4));
    server.manner = HTTP_HONEST;
    expect_done(0);
}

Test(pull, never_replaces_a_file_beside)
{
    program_write(in("net.onnx"), "mine");
    pull.replace = true;
    const struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_CONFLICT && strstr(st.msg, "net.onnx: is there"), "%s", st.msg);
}

Test(pull, runs_once_at_a_time_for_a_name)
{
    cr_assert(cb_folder_make(in(".pull")).code == CB_OK);
    const int fd = open(in(".pull/net.lock"), O_RDWR | O_CREAT, 0644);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    const struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_BUSY && strstr(st.msg, "net: another pull"), "%s", st.msg);
    close(fd);
    expect_done(0);
}

Test(pull, takes_files_from_a_folder_in_any_of_three_places)
{
    static const char *const places[] = { "usb/a/b", "usb", "usb/net" };
    static const char *const names[] = { "usb/a/b/net-7.onnx", "usb/net-7.onnx",
                                         "usb/net/model.onnx" };
    pull.from = usb();
    for (size_t i = 0; i < CB_COUNT_OF(places); i++) {
        cr_assert(cb_folder_make(in(places[i])).code == CB_OK);
        cr_assert(cb_file_write(in(names[i]), file, LEN).code == CB_OK);
        expect_done(0);
        cr_assert(cb_folder_remove(in("net")).code == CB_OK);
        cr_assert(cb_folder_remove(in("usb")).code == CB_OK);
    }
    cr_expect_eq(server.requests, 0);
}

Test(pull, verifies_files_from_a_folder_too)
{
    cr_assert(cb_folder_make(in("usb")).code == CB_OK);
    pull.from = usb();
    struct cb_status st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_NOT_FOUND && strstr(st.msg, "usb/net-7.onnx: "), "%s", st.msg);
    file[0] ^= 1;
    cr_assert(cb_file_write(in("usb/net-7.onnx"), file, LEN).code == CB_OK);
    st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_CONTENT && strstr(st.msg, "wants SHA-256 "), "%s", st.msg);
    cr_assert(cb_file_write(in("usb/net-7.onnx"), file, LEN - 1).code == CB_OK);
    st = cb_pull_run(&pull, &arena, &result);
    cr_expect(st.code == CB_ERR_CONTENT && strstr(st.msg, "wants 100003 bytes, has 100002"), "%s",
              st.msg);
    cr_expect(!cb_file_exists(in("net")));
}

Test(pull, makes_labels_of_synsets_and_counts_them)
{
    cr_assert(cb_folder_make(in("usb/a")).code == CB_OK);
    cr_assert(cb_file_write(in("usb/net-7.onnx"), file, LEN).code == CB_OK);
    program_write(in("usb/a/words.txt"), "n01440764 tench, Tinca\nn01443537 goldfish");
    pull.from = usb();
    labels = (struct cb_catalogue_labels){
        .source = &source, .path = "a/words.txt", .n = 2, .synsets = true
    };
    expect_done(0);
    cr_expect(holds("net/labels.txt", "tench, Tinca\ngoldfish\n", 22));
    cr_expect_str_empty(warned);
}

Test(pull, leaves_out_labels_that_are_none_and_says_so)
{
    static const char *const bad[] = { "<html>", "n01440764 tench\n", "n0144076 a\nn01440765 b\n" };
    cr_assert(cb_folder_make(in("usb")).code == CB_OK);
    cr_assert(cb_file_write(in("usb/net-7.onnx"), file, LEN).code == CB_OK);
    pull.from = usb();
    labels = (struct cb_catalogue_labels){
        .source = &source, .path = "a/words.txt", .n = 2, .synsets = true
    };
    for (size_t i = 0; i <= CB_COUNT_OF(bad); i++) {
        if (i < CB_COUNT_OF(bad))
            program_write(in("usb/words.txt"), bad[i]);
        else
            unlink(in("usb/words.txt"));
        warned[0] = 0;
        expect_done(0);
        cr_expect(!result.labels && !cb_file_exists(in("net/labels.txt")));
        cr_expect(strstr(warned, "left without labels: "), "%s", warned);
        cr_assert(cb_folder_remove(in("net")).code == CB_OK);
    }
}

Test(pull, refuses_what_is_no_name)
{
    pull.name = "../net";
    cr_expect(cb_pull_run(&pull, &arena, &result).code == CB_ERR_INPUT);
}
