/* Whole networks with another framework's answers: folders in $CAMBIUM_ZOO with model.onnx,
 * test_data_set_0 and cam.npz (a zip of .npy files: map [h,w] and cls, Grad-CAM of image 0 at the
 * last spatial layer). Skipped without it. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grad/grad.h"
#include "importers/model/load.h"
#include "importers/tensor/pb.h"
#include "tests/support/npz.h"

static struct cb_tensor read_pb(const char *folder, const char *name, struct cb_arena *arena)
{
    char path[512];
    struct cb_bytes bytes;
    struct cb_tensor t = { 0 };
    snprintf(path, sizeof path, "%s/test_data_set_0/%s", folder, name);
    cr_assert(cb_file_map(path, &bytes).code == CB_OK, "%s", path);
    cr_assert(cb_pb_read(arena, bytes, &t).code == CB_OK, "%s", path);
    return t;
}

static double correlation(const float *a, const float *b, size_t n)
{
    double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ma += (double)a[i] / (double)n;
        mb += (double)b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        ab += ((double)a[i] - ma) * ((double)b[i] - mb);
        aa += ((double)a[i] - ma) * ((double)a[i] - ma);
        bb += ((double)b[i] - mb) * ((double)b[i] - mb);
    }
    return aa == 0 && bb == 0 ? 1 : ab / sqrt(aa * bb);
}

/* Grad-CAM's map of image 0 from the layer a [N,C,h,w] and the gradient g there. */
static void weigh(const struct cb_tensor *a, const float *g, float *map)
{
    const size_t channels = (size_t)a->shape.dim[1], area = cb_shape_span(&a->shape, 2, 4);
    for (size_t c = 0; c < channels; c++) {
        double mean = 0;
        for (size_t i = 0; i < area; i++)
            mean += (double)g[c * area + i] / (double)area;
        for (size_t i = 0; i < area; i++)
            map[i] += (float)mean * a->f[c * area + i];
    }
    for (size_t i = 0; i < area; i++)
        map[i] = fmaxf(0, map[i]);
}

/* The output of both images, and the map of the first. */
static void check_network(const char *folder, enum cb_isa isa)
{
    struct cb_arena arena;
    struct cb_model *m = NULL;
    struct cb_plan *plan = NULL;
    struct cb_session *s = NULL;
    struct cb_grad *grad = NULL;
    struct cb_tensor map = { 0 }, cls = { 0 };
    char path[512];
    double worst = 0, most = 0;
    cr_assert(cb_arena_init(&arena, (size_t)1 << 28).code == CB_OK);
    struct cb_engine engine = { .kernels = cb_kernels_for(isa), .plan_budget = (size_t)1 << 33 };
    cr_assert(cb_threads_create(0, &engine.threads).code == CB_OK);
    const struct cb_status st = cb_model_load(&(struct cb_model_source){ .path = folder }, &m);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    const struct cb_tensor x = read_pb(folder, "input_0.pb", &arena),
                           want = read_pb(folder, "output_0.pb", &arena);
    const int outputs[] = { m->graph.outputs[0], m->logits };
    struct cb_tensor input = x;
    input.data = NULL;
    const struct cb_plan_options options = {
        .inputs = &input, .outputs = outputs, .n_outputs = 2, .wrt = &m->cam_layer, .n_wrt = 1
    };
    cr_assert(cb_plan_create(&engine, &m->graph, m->weights, &options, &plan).code == CB_OK);
    cr_assert(cb_session_create(plan, &s).code == CB_OK);
    cr_assert(cb_grad_create(s, &grad).code == CB_OK);
    memcpy(cb_session_input(s, 0)->f, x.f, cb_tensor_bytes(&x));
    cb_session_run(s);
    const struct cb_tensor *y = cb_session_output(s, 0), *a = cb_session_value(s, m->cam_layer);
    for (size_t i = 0; i < cb_tensor_count(&want); i++) {
        worst = fmax(worst, fabs((double)y->f[i] - (double)want.f[i]));
        most = fmax(most, fabs((double)want.f[i]));
    }
    cr_expect_lt(worst, 1e-4 * most, "%s: output off by %g of %g", folder, worst, most);

    snprintf(path, sizeof path, "%.480s/cam.npz", folder);
    cr_assert(npz_read(path, "map", &arena, &map), "%s", path);
    cr_assert(npz_read(path, "cls", &arena, &cls), "%s", path);
    cb_grad_seed(grad, 1)->f[cls.i[0]] = 1; /* image 0's row */
    cb_grad_run(grad);
    const size_t area = cb_tensor_count(&map);
    float *cam = cb_arena_alloc(&arena, area, sizeof *cam);
    cr_assert_eq((size_t)(a->shape.dim[2] * a->shape.dim[3]), area,
                 "%s: the CAM layer has another size", folder);
    weigh(a, cb_grad_of(grad, 0)->f, cam);
    const double r = correlation(cam, map.f, area);
    printf("%-40s %-8s output within %.2g of its largest, map's correlation %.6f\n", folder,
           engine.kernels.name, worst / most, r);
    cr_expect_gt(r, 0.999, "%s", folder);
    cb_grad_destroy(grad);
    cb_session_destroy(s);
    cb_plan_destroy(plan);
    cb_model_destroy(m);
    cb_threads_destroy(engine.threads);
    cb_arena_deinit(&arena);
}

Test(zoo, outputs_and_grad_cam_maps_equal_the_frameworks_own, .timeout = 600)
{
    const char *root = getenv("CAMBIUM_ZOO");
    if (!root)
        cr_skip_test("CAMBIUM_ZOO names no folder of networks with reference answers");
    DIR *dir = opendir(root);
    cr_assert(dir, "%s", root);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[512], cam[1024];
        snprintf(path, sizeof path, "%.200s/%.200s", root, e->d_name);
        snprintf(cam, sizeof cam, "%s/cam.npz", path);
        if (e->d_name[0] != '.' && cb_file_exists(cam))
            check_network(path, cb_isa_best());
    }
    closedir(dir);
}
