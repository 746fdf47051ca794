#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/exec/session.h"
#include "importers/model/load.h"
#include "tests/support/close.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"

enum { CLASSES = 260 };

static char *folder;
static char model_path[4096], cache_path[4096];
static int warnings;

static void count_warning(void *ctx, const char *text)
{
    (void)ctx;
    cr_log_info("%s", text);
    warnings++;
}

/* What changes within a tick of the clock is not cached: a file that was just written waits. */
static void let_it_age(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 150000000 }, NULL);
}

/* More weights than are not worth keeping, some of them folded. */
static void write_model(uint64_t seed)
{
    struct onnx_builder b = onnx_begin(17);
    const float ones[8] = { 1, 2, 1, 3, 1, 2, 1, 1 };
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(-1, 3, 12, 12));
    onnx_random(&b, "w", ONNX_DIMS(8, 3, 3, 3), seed);
    onnx_node(&b, "Conv", "x w", "c");
    onnx_attr_ints(&b, "pads", ONNX_DIMS(1, 1, 1, 1));
    onnx_random(&b, "beta", ONNX_DIMS(8), seed + 1);
    onnx_floats(&b, "ones", ONNX_DIMS(8), ones);
    onnx_node(&b, "BatchNormalization", "c ones beta beta ones", "n");
    onnx_node(&b, "Relu", "n", "r");
    onnx_node(&b, "Flatten", "r", "f");
    onnx_random(&b, "v", ONNX_DIMS(CLASSES, 8 * 12 * 12), seed + 2);
    onnx_node(&b, "Gemm", "f v", "y");
    onnx_attr_int(&b, "transB", 1);
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_bytes file = onnx_end(&b);
    const int fd = open(model_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    cr_assert(fd >= 0 && cb_file_add(fd, file.data, file.len));
    close(fd);
    onnx_free(&b);
    let_it_age();
}

static void setup(void)
{
    folder = program_folder();
    snprintf(model_path, sizeof model_path, "%s/model.onnx", folder);
    snprintf(cache_path, sizeof cache_path, "%s/cache", folder);
    warnings = 0;
    write_model(1);
}

static void teardown(void)
{
    program_folder_remove(folder);
}

TestSuite(cache, .init = setup, .fini = teardown);

static struct cb_cache *open_with(size_t limit)
{
    struct cb_cache *cache;
    const struct cb_status st = cb_cache_open(
        &(struct cb_cache_options){
            .folder = cache_path, .limit = limit, .isa = cb_isa_best(), .warn = count_warning },
        &cache);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return cache;
}

struct outcome {
    float y[CLASSES];
    size_t made; /* blocks that were not found in the cache */
};

/* Loads the model, runs it once, and closes the cache when one is given. */
static struct outcome run_with(struct cb_cache *cache, int threads)
{
    struct cb_engine engine = { .kernels = cb_kernels_for(cb_isa_best()),
                                .plan_budget = (size_t)1 << 30 };
    const struct cb_tensor x = { .shape = { 4, { 1, 3, 12, 12 } }, .dtype = CB_FLOAT32 };
    const struct cb_model_source source = { .path = model_path,
                                            .graph_only = true,
                                            .cache = cache };
    struct cb_model *model;
    struct cb_plan *plan;
    struct cb_session *session;
    struct outcome o;
    struct cb_status st = cb_threads_create((size_t)threads, &engine.threads);
    cr_assert(st.code == CB_OK);
    st = cb_model_load(&source, &model);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    st = cb_plan_create(&engine, &model->graph, model->weights,
                        &(struct cb_plan_options){ .inputs = &x }, &plan);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_assert(cb_session_create(plan, &session).code == CB_OK);
    for (int i = 0; i < 3 * 12 * 12; i++)
        cb_session_input(session, 0)->f[i] = (float)(i % 17) / 17;
    cb_session_run(session);
    memcpy(o.y, cb_session_output(session, 0)->f, sizeof o.y);
    o.made = cb_weights_made(model->weights);
    cb_session_destroy(session);
    cb_plan_destroy(plan);
    cb_model_destroy(model);
    cb_cache_close(cache);
    cb_threads_destroy(engine.threads);
    return o;
}

static struct outcome run_cached(void)
{
    return run_with(open_with(0), 2);
}

/* The packed file, whose name is in `path`; its length, 0 when there is none. */
static size_t find_packed(char path[4096])
{
    char command[9000];
    struct stat info;
    FILE *list;
    snprintf(command, sizeof command, "ls %s/*.packed 2>/dev/null", cache_path);
    cr_assert((list = popen(command, "r")));
    path[0] = 0;
    if (fscanf(list, "%4095s", path) != 1)
        path[0] = 0;
    pclose(list);
    return path[0] && stat(path, &info) == 0 ? (size_t)info.st_size : 0;
}

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    const int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1, "%s at %lld", path, (long long)at);
    byte ^= 0x20;
    cr_assert(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

Test(cache, a_second_start_packs_nothing_and_gives_the_same_bits)
{
    const struct outcome plain = run_with(NULL, 1), first = run_cached(), second = run_cached();
    cr_expect_gt(first.made, 1);
    cr_expect_eq(second.made, 0);
    cb_expect_equal(CLASSES, first.y, plain.y, "first");
    cb_expect_equal(CLASSES, second.y, plain.y, "second");
    cr_expect_eq(warnings, 0);
}

Test(cache, another_content_under_the_same_name_is_never_served_from_the_old_one)
{
    struct stat info;
    const struct outcome old = run_cached();
    cr_assert_eq(run_cached().made, 0);
    cr_assert(stat(model_path, &info) == 0);
    write_model(2); /* in place: the same inode and size */
    cr_assert(
        utimensat(AT_FDCWD, model_path, (struct timespec[]){ info.st_atim, info.st_mtim }, 0) == 0);
    let_it_age();
    const struct outcome changed = run_cached(), plain = run_with(NULL, 1);
    cr_expect_gt(changed.made, 0);
    cb_expect_equal(CLASSES, changed.y, plain.y, "changed");
    cr_expect_neq(memcmp(changed.y, old.y, sizeof old.y), 0);
    cb_expect_equal(CLASSES, run_cached().y, plain.y, "changed, second");
}

Test(cache, a_model_that_changed_only_now_takes_no_part)
{
    struct cb_file_identity identity;
    struct cb_digest digest = { { 7 } };
    char path[4096];
    program_write(program_path(folder, "fresh"), "x");
    const int fd = open(program_path(folder, "fresh"), O_RDONLY);
    cr_assert(cb_file_identify(fd, &identity));
    struct cb_cache *cache = open_with(0);
    cb_cache_remember(cache, &identity, &digest);
    cr_expect(!cb_cache_digest(cache, &identity, &digest));
    let_it_age();
    cb_cache_remember(cache, &identity, &digest);
    cr_expect(cb_cache_digest(cache, &identity, &digest));
    cb_cache_close(cache);
    cr_expect_eq(find_packed(path), 0);
    close(fd);
}

Test(cache, what_was_packed_while_the_model_changed_is_not_kept)
{
    char path[4096];
    struct stat info;
    struct cb_model *model;
    run_cached(); /* the digest is known */
    find_packed(path);
    cr_assert(unlink(path) == 0);
    struct cb_cache *cache = open_with(0);
    const struct cb_model_source source = { .path = model_path,
                                            .cache = cache,
                                            .graph_only = true };
    cr_assert(cb_model_load(&source, &model).code == CB_OK);
    cr_assert(stat(model_path, &info) == 0);
    write_model(2);
    cr_assert(
        utimensat(AT_FDCWD, model_path, (struct timespec[]){ info.st_atim, info.st_mtim }, 0) == 0);
    const struct cb_engine engine = { .kernels = cb_kernels_for(cb_isa_best()),
                                      .plan_budget = (size_t)1 << 30 };
    const struct cb_tensor x = { .shape = { 4, { 1, 3, 12, 12 } }, .dtype = CB_FLOAT32 };
    struct cb_plan *plan;
    cr_assert(cb_plan_create(&engine, &model->graph, model->weights,
                             &(struct cb_plan_options){ .inputs = &x }, &plan)
                  .code == CB_OK);
    cr_expect_gt(cb_weights_made(model->weights), 0, "packed of the new content");
    cb_plan_destroy(plan);
    cb_model_destroy(model);
    cb_cache_close(cache);
    cr_expect_eq(find_packed(path), 0);
}

Test(cache, a_damaged_file_is_passed_over_and_written_again)
{
    char path[4096];
    const struct outcome plain = run_cached();
    /* Below 0: from the end, which moves with the algorithms that were chosen. */
    const off_t places[] = { 0, 20, 60, 90, 4096, 4096 + 17, 4096 + 31, -1 };
    for (size_t i = 0; i < CB_COUNT_OF(places); i++) {
        const off_t size = (off_t)find_packed(path);
        flip(path, places[i] < 0 ? size + places[i] : places[i]);
        const struct outcome damaged = run_cached();
        cr_expect_gt(damaged.made, 0, "at %lld", (long long)places[i]);
        cb_expect_equal(CLASSES, damaged.y, plain.y, "at %lld", (long long)places[i]);
        cr_expect_eq(run_cached().made, 0, "at %lld", (long long)places[i]);
    }
}

Test(cache, a_file_of_another_length_is_passed_over)
{
    char path[4096];
    const struct outcome plain = run_cached();
    const off_t size = (off_t)find_packed(path);
    const off_t lengths[] = { 0, 1, 95, 4095, 4096, 5000, size - 1, size + 1, size + 4096 };
    for (size_t i = 0; i < CB_COUNT_OF(lengths); i++) {
        cr_assert(truncate(path, lengths[i]) == 0);
        cb_expect_equal(CLASSES, run_cached().y, plain.y, "%lld bytes", (long long)lengths[i]);
        cr_expect_eq(run_cached().made, 0, "%lld bytes", (long long)lengths[i]);
    }
    cr_expect_eq(warnings, CB_COUNT_OF(lengths));
}

Test(cache, what_others_could_have_written_is_not_trusted)
{
    char path[4096], elsewhere[4096];
    run_cached();
    find_packed(path);
    cr_assert(chmod(path, 0666) == 0);
    cr_expect_gt(run_cached().made, 0);
    cr_expect_eq(run_cached().made, 0, "it was replaced");
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    cr_assert(rename(path, elsewhere) == 0 && symlink(elsewhere, path) == 0);
    cr_expect_gt(run_cached().made, 0);
    cr_expect_gt(warnings, 1);
}

Test(cache, a_folder_that_others_may_write_is_refused)
{
    struct cb_cache *cache = NULL;
    const struct cb_cache_options options = { .folder = cache_path };
    cr_assert(mkdir(cache_path, 0700) == 0 && chmod(cache_path, 0777) == 0);
    cr_expect_eq(cb_cache_open(&options, &cache).code, CB_ERR_INPUT);
    program_write(program_path(folder, "file"), "x");
    cr_expect_neq(
        cb_cache_open(&(struct cb_cache_options){ .folder = program_path(folder, "file") }, &cache)
            .code,
        CB_OK);
}

Test(cache, nothing_is_written_that_is_over_the_limit)
{
    char path[4096];
    run_with(open_with(100000), 1);
    cr_expect_eq(find_packed(path), 0);
    cr_expect_eq(warnings, 1);
}

Test(cache, the_oldest_model_goes_when_the_folder_is_full)
{
    char first[4096], second[4096];
    const size_t size = (run_cached(), find_packed(first));
    write_model(2);
    run_with(open_with(size + size / 2), 1);
    cr_expect_eq(find_packed(second), size);
    cr_expect_str_neq(first, second);
}

Test(cache, processes_that_write_at_once_leave_sound_files)
{
    enum { PROCESSES = 4 };
    const struct outcome plain = run_with(NULL, 1);
    pid_t child[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        if ((child[i] = fork()) == 0) {
            struct cb_cache *cache = open_with(0);
            for (uint64_t k = 1; k < 20; k++)
                cb_choices_add(cb_cache_choices(cache),
                               &(struct cb_choice){ .key = (uint64_t)i * 100 + k, .n = 1 }, true);
            _exit(memcmp(run_with(cache, 1).y, plain.y, sizeof plain.y) ? 1 : 0);
        }
    for (int i = 0; i < PROCESSES; i++) {
        int status = 1;
        cr_expect(waitpid(child[i], &status, 0) == child[i] && status == 0);
    }
    struct cb_cache *cache = open_with(0);
    struct cb_choice choice;
    for (uint64_t i = 0; i < PROCESSES; i++)
        for (uint64_t k = 1; k < 20; k++)
            cr_expect(cb_choices_find(cb_cache_choices(cache), i * 100 + k, &choice));
    const struct outcome last = run_with(cache, 1);
    cr_expect_eq(last.made, 0);
    cb_expect_equal(CLASSES, last.y, plain.y, "after all");
    cr_expect_eq(warnings, 0);
}

Test(cache, damaged_choices_and_digests_are_forgotten_with_a_warning)
{
    static const char *const names[] = { "cache/choices", "cache/digests" };
    struct cb_choice choice = { .key = 5, .n = 2, .order = { 2, 1 } };
    struct cb_cache *cache = open_with(0);
    cb_choices_add(cb_cache_choices(cache), &choice, true);
    run_with(cache, 1);
    for (size_t i = 0; i < CB_COUNT_OF(names); i++)
        for (off_t at = 0; at < 80; at += 13) {
            cache = open_with(0);
            cb_choices_add(cb_cache_choices(cache), &choice, true);
            cb_cache_close(cache);
            run_cached();
            warnings = 0;
            flip(program_path(folder, names[i]), at);
            run_cached();
            /* Of another build (bytes 24 to 31) they are passed over without a word. */
            cr_expect(warnings > 0 || (at >= 24 && at < 32), "%s at %d", names[i], (int)at);
        }
    cr_assert(truncate(program_path(folder, names[0]), 70) == 0);
    cache = open_with(0);
    cr_expect(!cb_choices_find(cb_cache_choices(cache), 5, &choice));
    cb_cache_close(cache);
}

Test(cache, a_program_that_runs_long_saves_now_and_then)
{
    char path[4096];
    struct cb_cache *cache = open_with(0);
    cr_assert(cb_cache_start(cache).code == CB_OK);
    cb_choices_add(cb_cache_choices(cache), &(struct cb_choice){ .key = 5, .n = 1 }, true);
    for (int i = 0; i < 100 && !cb_file_exists(program_path(folder, "cache/choices")); i++)
        let_it_age();
    cr_expect(cb_file_exists(program_path(folder, "cache/choices")));
    run_with(cache, 1);
    cr_expect_gt(find_packed(path), 0);
}
