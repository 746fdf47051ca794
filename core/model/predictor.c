#include "core/model/predictor.h"

#include <math.h>

#include "core/exec/session.h"
#include "core/grad/grad.h"
#include "core/image/preprocess.h"
#include "core/model/softmax.h"

#define MAX_LANES 6                     /* plans kept ready; the least recently used goes */
#define MAX_BATCH 16                    /* photos of one run; more are run in parts */
#define SCRATCH_BYTES ((size_t)2 << 30) /* address space for resizing one photo */

enum purpose { SCORES, FEATURES, CAM };

/* A plan and a session for one purpose and one input size. */
struct lane {
    enum purpose purpose;
    int layer; /* CAM's */
    int n, height, width;
    struct cb_plan *plan; /* NULL: the lane is free */
    struct cb_session *session;
    struct cb_grad *grad;
    uint64_t used;
};

struct cb_predictor {
    struct cb_arena arena;
    const struct cb_engine *engine;
    const struct cb_model *model;
    struct lane lanes[MAX_LANES];
    uint64_t clock;
    bool singly;              /* the network turned out to take one photo at a time */
    struct cb_arena *scratch; /* one per worker */
    size_t workers;
};

struct cb_status cb_predictor_create(const struct cb_engine *engine, const struct cb_model *model,
                                     struct cb_predictor **out)
{
    const size_t workers = cb_threads_count(engine->threads);
    struct cb_predictor *p;
    struct cb_status st = cb_ok();
    CB_TRY(cb_arena_begin(((size_t)1 << 16) + workers * 2 * sizeof *p->scratch, sizeof *p, &p));
    p->scratch = cb_arena_alloc(&p->arena, workers, sizeof *p->scratch);
    p->engine = engine;
    p->model = model;
    for (; p->workers < workers && !st.code; p->workers++)
        st = cb_arena_init(&p->scratch[p->workers], SCRATCH_BYTES);
    if (st.code)
        cb_predictor_destroy(p);
    else
        *out = p;
    return st;
}

static void close_lane(struct lane *lane)
{
    cb_grad_destroy(lane->grad);
    cb_session_destroy(lane->session);
    cb_plan_destroy(lane->plan);
    *lane = (struct lane){ 0 };
}

void cb_predictor_destroy(struct cb_predictor *predictor)
{
    if (!predictor)
        return;
    for (size_t i = 0; i < MAX_LANES; i++)
        close_lane(&predictor->lanes[i]);
    for (size_t i = 0; i < predictor->workers; i++)
        cb_arena_deinit(&predictor->scratch[i]);
    cb_arena_deinit(&predictor->arena);
}

static struct cb_status open_lane(struct cb_predictor *p, struct lane *lane)
{
    const struct cb_model *m = p->model;
    const bool nhwc = m->recipe.layout == CB_NHWC;
    const int output = lane->purpose == FEATURES ? m->bottleneck : m->logits;
    const struct cb_tensor input = {
        .shape = { 4, { lane->n, lane->height, lane->width, m->channels } },
        .dtype = m->graph.values[m->input].dtype
    };
    const struct cb_plan_options options = {
        .inputs = &input,
        .outputs = &output,
        .n_outputs = 1,
        .wrt = &lane->layer,
        .n_wrt = lane->purpose == CAM,
        .nhwc_input = !nhwc,
    };
    CB_TRY(cb_plan_create(p->engine, &m->graph, m->weights, &options, &lane->plan));
    CB_TRY(cb_session_create(lane->plan, &lane->session));
    return lane->purpose == CAM ? cb_grad_create(lane->session, &lane->grad) : cb_ok();
}

static struct cb_status get_lane(struct cb_predictor *p, const struct lane *want, struct lane **out)
{
    struct lane *oldest = &p->lanes[0];
    struct cb_status st;
    for (size_t i = 0; i < MAX_LANES; i++) {
        struct lane *l = &p->lanes[i];
        if (l->plan && l->purpose == want->purpose && l->layer == want->layer && l->n == want->n &&
            l->height == want->height && l->width == want->width) {
            l->used = ++p->clock;
            *out = l;
            return cb_ok();
        }
        if (l->used < oldest->used)
            oldest = l;
    }
    close_lane(oldest);
    *oldest = *want;
    oldest->used = ++p->clock;
    st = cb_context(open_lane(p, oldest), "%s at %dx%d", p->model->name, want->width, want->height);
    if (st.code)
        close_lane(oldest);
    else
        *out = oldest;
    return st;
}

struct filling {
    struct cb_predictor *predictor;
    const struct cb_image *images;
    struct cb_tensor *input;
    size_t per_image;
    struct cb_status status[MAX_BATCH];
};

static void fill_one(void *ctx, size_t i, size_t worker)
{
    struct filling *f = ctx;
    struct cb_arena *scratch = &f->predictor->scratch[worker];
    const struct cb_recipe *recipe = &f->predictor->model->recipe;
    if (cb_dtype_get(f->input->dtype)->is_float) {
        f->status[i] =
            cb_preprocess(scratch, recipe, &f->images[i], f->input->f + i * f->per_image);
    } else { /* a network that takes bytes */
        const size_t mark = scratch->used;
        float *pixels = cb_arena_alloc(scratch, f->per_image, sizeof *pixels);
        f->status[i] = pixels ? cb_preprocess(scratch, recipe, &f->images[i], pixels)
                              : cb_fail(CB_ERR_NOMEM, "photo: no room for its pixels");
        for (size_t k = 0; k < f->per_image && !f->status[i].code; k++)
            f->input->i[i * f->per_image + k] = lrintf(pixels[k]);
        cb_arena_rewind(scratch, mark);
    }
}

/* Preprocesses the lane's n images into its input, and runs it. */
static struct cb_status run_lane(struct cb_predictor *p, struct lane *lane,
                                 const struct cb_image *images)
{
    struct filling f = { .predictor = p,
                         .images = images,
                         .input = cb_session_input(lane->session, 0) };
    f.per_image = cb_tensor_count(f.input) / (size_t)lane->n;
    cb_threads_for(p->engine->threads, (size_t)lane->n, fill_one, &f);
    for (int i = 0; i < lane->n; i++)
        CB_TRY(f.status[i]);
    cb_session_run(lane->session);
    return cb_ok();
}

static void image_size(const struct cb_predictor *p, const struct cb_image *image, int *height,
                       int *width)
{
    cb_recipe_output_size(&p->model->recipe, image->width, image->height, width, height);
}

/* How many of the next photos go into one run: a power of two of the same size, so that few plans
 * serve all. */
static int next_batch(const struct cb_predictor *p, const struct cb_image *images, int n,
                      int height, int width)
{
    int same = 1, batch = 1, limit = p->singly ? 1 : p->model->batch ? p->model->batch : MAX_BATCH;
    for (; same < n && same < limit && same < MAX_BATCH; same++) {
        int h, w;
        image_size(p, &images[same], &h, &w);
        if (h != height || w != width)
            break;
    }
    while (batch * 2 <= same)
        batch *= 2;
    return batch;
}

/* Whether y has a row of `per_image` numbers, or of as many maps, for each of n photos. A network
 * that was made for one size may give more or fewer at another. */
static struct cb_status check_rows(const struct cb_predictor *p, const struct lane *lane,
                                   const struct cb_tensor *y, size_t per_image)
{
    const size_t n = (size_t)lane->n, count = cb_tensor_count(y);
    char shape[CB_SHAPE_TEXT];
    if (y->shape.rank > 0 && y->shape.dim[0] == lane->n &&
        (count == n * per_image ||
         (y->shape.rank > 2 && count && (size_t)y->shape.dim[1] == per_image)))
        return cb_ok();
    return cb_fail(CB_ERR_INPUT,
                   "%s: %d pictures of %dx%d give %s, where %zu numbers for each were wanted",
                   p->model->name, lane->n, lane->width, lane->height,
                   cb_shape_text(&y->shape, shape), per_image);
}

/* Plans for the next photos, all of one size, and runs them; *done says how many they were. */
static struct cb_status run_part(struct cb_predictor *p, enum purpose purpose,
                                 const struct cb_image *images, int n, size_t per_image,
                                 struct lane **lane, int *done)
{
    struct lane want = { .purpose = purpose, .layer = -1 };
    struct cb_status st;
    image_size(p, images, &want.height, &want.width);
    want.n = next_batch(p, images, n, want.height, want.width);
    st = get_lane(p, &want, lane);
    if (!st.code)
        st = check_rows(p, *lane, cb_session_output((*lane)->session, 0), per_image);
    if (st.code && want.n > 1) { /* its own shapes may insist on one */
        p->singly = true;
        return run_part(p, purpose, images, n, per_image, lane, done);
    }
    CB_TRY(st);
    *done = want.n;
    return run_lane(p, *lane, images);
}

typedef void take_fn(const struct cb_tensor *tensor, int n, size_t per_image, float *out);

/* Runs n photos in parts; each part's output goes through `take` into out [n, per_image]. */
static struct cb_status run_all(struct cb_predictor *p, enum purpose purpose,
                                const struct cb_image *images, int n, size_t per_image,
                                take_fn *take, float *out)
{
    for (int done = 0, part; done < n; done += part) {
        struct lane *lane;
        CB_TRY(run_part(p, purpose, &images[done], n - done, per_image, &lane, &part));
        take(cb_session_output(lane->session, 0), part, per_image, out + (size_t)done * per_image);
    }
    return cb_ok();
}

/* [n, C, spatial...] averaged over space, or flat. */
static void take_features(const struct cb_tensor *x, int n, size_t length, float *out)
{
    const size_t area = cb_tensor_count(x) / ((size_t)n * length);
    for (size_t i = 0; i < (size_t)n * length; i++) {
        double sum = 0;
        for (size_t k = 0; k < area; k++)
            sum += (double)x->f[i * area + k];
        out[i] = (float)(sum / (double)area);
    }
}

static void take_probabilities(const struct cb_tensor *logits, int n, size_t classes, float *out)
{
    take_features(logits, n, classes, out);
    cb_softmax_rows((size_t)n, classes, out, out);
}

struct cb_status cb_predict(struct cb_predictor *predictor, const struct cb_image *images, int n,
                            float *probabilities)
{
    const struct cb_model *m = predictor->model;
    if (m->logits < 0 || m->classes < 1)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s has no classifier: train a head on it", m->name);
    return run_all(predictor, SCORES, images, n, (size_t)m->classes, take_probabilities,
                   probabilities);
}

struct cb_status cb_predictor_prepare(struct cb_predictor *predictor)
{
    const struct cb_model *m = predictor->model;
    struct lane want = { .purpose = m->logits < 0 ? FEATURES : SCORES, .layer = -1, .n = 1 }, *lane;
    if (m->logits < 0 && m->bottleneck < 0)
        return cb_ok();
    cb_model_default_size(m, &want.height, &want.width);
    return get_lane(predictor, &want, &lane);
}

struct cb_status cb_feature_length(struct cb_predictor *predictor, int *out)
{
    const struct cb_model *m = predictor->model;
    struct lane want = { .purpose = FEATURES, .layer = -1, .n = 1 }, *lane;
    const struct cb_tensor *x;
    if (m->bottleneck < 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: no bottleneck was found; its recipe can name one",
                       m->name);
    cb_model_default_size(m, &want.height, &want.width);
    CB_TRY(get_lane(predictor, &want, &lane));
    x = cb_session_output(lane->session, 0);
    *out = (int)(x->shape.rank > 2 ? x->shape.dim[1] : (int64_t)cb_tensor_count(x));
    return cb_ok();
}

struct cb_status cb_features(struct cb_predictor *predictor, const struct cb_image *images, int n,
                             float *features)
{
    int length;
    CB_TRY(cb_feature_length(predictor, &length));
    return run_all(predictor, FEATURES, images, n, (size_t)length, take_features, features);
}

static struct cb_status check_cam(const struct cb_model *m, int class_index, int layer)
{
    if (m->logits < 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s has no classifier to explain", m->name);
    if (layer < 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s has no layer with height and width for Grad-CAM",
                       m->name);
    if (class_index >= m->classes)
        return cb_fail(CB_ERR_INPUT, "class %d: %s has classes 0 to %d", class_index, m->name,
                       m->classes - 1);
    return cb_ok();
}

/* The class's score is the mean of its map, where the network gives one. */
static void seed_class(struct cb_grad *grad, size_t classes, size_t class_index)
{
    struct cb_tensor *seed = cb_grad_seed(grad, 0);
    const size_t area = cb_tensor_count(seed) / classes;
    cb_grad_clear(grad);
    for (size_t i = 0; i < area; i++)
        seed->f[class_index * area + i] = 1 / (float)area;
}

/* arXiv:1610.02391, equations 1 and 2: relu(sum over c of mean(dy/dA_c) A_c). */
static void weigh(const struct cb_tensor *activation, const struct cb_tensor *gradient, float *map)
{
    const size_t channels = (size_t)activation->shape.dim[1];
    const size_t area = (size_t)(activation->shape.dim[2] * activation->shape.dim[3]);
    for (size_t c = 0; c < channels; c++) {
        double sum = 0;
        for (size_t i = 0; i < area; i++)
            sum += (double)gradient->f[c * area + i];
        for (size_t i = 0; i < area; i++)
            map[i] += (float)(sum / (double)area) * activation->f[c * area + i];
    }
    for (size_t i = 0; i < area; i++)
        map[i] = map[i] > 0 ? map[i] : 0;
}

struct cb_status cb_grad_cam(struct cb_predictor *predictor, const struct cb_image *image,
                             int class_index, int layer, struct cb_arena *arena, struct cb_cam *out)
{
    const struct cb_model *m = predictor->model;
    struct lane want = { .purpose = CAM, .layer = layer < 0 ? m->cam_layer : layer, .n = 1 }, *lane;
    const struct cb_tensor *logits, *activation, *gradient;
    struct cb_cam cam = { .class_index = class_index, .layer = want.layer };
    float *probabilities;
    CB_TRY(check_cam(m, class_index, want.layer));
    image_size(predictor, image, &want.height, &want.width);
    CB_TRY(get_lane(predictor, &want, &lane));
    logits = cb_session_output(lane->session, 0);
    activation = cb_session_value(lane->session, want.layer);
    gradient = cb_grad_of(lane->grad, 0);
    if (activation->shape.rank != 4 || !activation->data || !gradient->data)
        return cb_fail(CB_ERR_INPUT,
                       "layer '%s' of %s is no [N,C,H,W] tensor on the way to the scores",
                       m->graph.values[want.layer].name, m->name);
    CB_TRY(run_lane(predictor, lane, image));
    CB_TRY(check_rows(predictor, lane, logits, (size_t)m->classes));
    CB_TRY(cb_arena_get(arena, (size_t)m->classes, sizeof(float), "Grad-CAM", &probabilities));
    take_probabilities(logits, 1, (size_t)m->classes, probabilities);
    if (cam.class_index < 0)
        cb_top_k(probabilities, m->classes, 1, &cam.class_index);
    seed_class(lane->grad, (size_t)m->classes, (size_t)cam.class_index);
    cb_grad_run(lane->grad);
    cam.probability = probabilities[cam.class_index];
    cam.height = (int)activation->shape.dim[2];
    cam.width = (int)activation->shape.dim[3];
    CB_TRY(
        cb_arena_get(arena, (size_t)(cam.height * cam.width), sizeof(float), "Grad-CAM", &cam.map));
    weigh(activation, gradient, cam.map);
    *out = cam;
    return cb_ok();
}

int cb_top_k(const float *probabilities, int n, int k, int *index)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        int at = count < k ? count : k;
        while (at > 0 && !(probabilities[index[at - 1]] >= probabilities[i]))
            at--;
        if (at >= k)
            continue;
        if (count < k)
            count++;
        for (int j = count - 1; j > at; j--)
            index[j] = index[j - 1];
        index[at] = i;
    }
    return count;
}
