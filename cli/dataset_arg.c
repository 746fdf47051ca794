#include "cli/dataset_arg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/output.h"
#include "importers/dataset/store.h"

#define TABLE_BUDGET ((size_t)16 << 30) /* address space: tables, and features of all photos */
#define TOLD_AT_MOST 20

static struct cb_status unpack(const char *path, struct cb_dataset_arg *arg)
{
    const char *folder = getenv("TMPDIR");
    struct cb_dataset_store *store;
    struct cb_status st, closed;
    snprintf(arg->unpacked, sizeof arg->unpacked, "%s/cambium-dataset-XXXXXX",
             folder && *folder ? folder : "/tmp");
    if (!mkdtemp(arg->unpacked)) {
        st = cb_fail(CB_ERR_IO, "%s: %s", arg->unpacked, strerror(errno));
        arg->unpacked[0] = 0;
        return st;
    }
    CB_TRY(cb_dataset_store_open(arg->unpacked, &cb_dataset_limits_default, &store));
    st = cb_dataset_store_add_archive(store, &(struct cb_archive_source){ .path = path },
                                      &arg->rejections);
    closed = cb_dataset_store_close(store);
    return cb_context(st.code ? st : closed, "%s", path);
}

static struct cb_status open_either(const char *path, struct cb_dataset_arg *arg)
{
    struct stat info;
    const char *folder = path;
    if (stat(path, &info))
        return cb_fail(errno == ENOENT ? CB_ERR_NOT_FOUND : CB_ERR_IO, "%s: %s", path,
                       strerror(errno));
    if (!S_ISDIR(info.st_mode)) {
        CB_TRY(unpack(path, arg));
        folder = arg->unpacked;
    }
    return cb_dataset_open(folder, &arg->arena, &arg->rejections, &arg->dataset);
}

struct cb_status cb_dataset_arg_open(const char *path, struct cb_dataset_arg *out)
{
    *out = (struct cb_dataset_arg){ 0 };
    CB_TRY(cb_arena_init(&out->arena, TABLE_BUDGET));
    out->rejections.arena = &out->arena;
    const struct cb_status st = open_either(path, out);
    if (st.code)
        cb_dataset_arg_close(out);
    return st;
}

void cb_dataset_arg_close(struct cb_dataset_arg *arg)
{
    if (arg->unpacked[0] && cb_folder_remove(arg->unpacked).code)
        fprintf(stderr, "cambium: warning: %s is left behind\n", arg->unpacked);
    arg->unpacked[0] = 0;
    cb_arena_deinit(&arg->arena);
}

void cb_dataset_arg_tell(struct cb_cli *cli, const struct cb_dataset_arg *arg)
{
    const struct cb_rejections *r = &arg->rejections;
    char file[256], reason[256];
    for (int i = 0; i < r->n_listed && i < TOLD_AT_MOST; i++)
        cb_cli_warn(cli, "%s is passed over: %s",
                    cb_output_clean(r->list[i].file, file, sizeof file),
                    cb_output_clean(r->list[i].reason, reason, sizeof reason));
    if (r->count > TOLD_AT_MOST)
        cb_cli_warn(cli, "and %d more files", r->count - TOLD_AT_MOST);
}
