/* server/handlers/predict.c - POST /predict?model=NAME&top=5
 * Body: photos (photo_input.h). Reply: the best classes of each, and an id under which it can be
 * explained. */

#include "core/base/clock.h"
#include "server/handlers/handlers.h"
#include "server/handlers/photo_input.h"
#include "server/metrics.h"
#include "server/photos.h"
#include "server/registry.h"

/* Photos decoded and computed together; what they take is given back before the next. */
#define GROUP 8

/* One request under way. */
struct work {
    struct cb_app *app;
    struct cb_request *req;
    struct cb_model_ref ref;
    struct cb_predictor *predictor;
    struct cb_photo_input input;
    int top;
    struct cb_json json;
    double decode_ms, inference_ms;
};

static void write_prediction(struct work *w, const struct cb_decoded *photo, const char *id,
                             const float *p, int *index)
{
    struct cb_json *json = &w->json;
    const int n = cb_top_k(p, w->ref.model->classes, w->top, index);
    cb_json_open(json, NULL, '{');
    cb_json_text(json, "image", id);
    cb_json_int(json, "width", photo->width);
    cb_json_int(json, "height", photo->height);
    if (photo->truncated)
        cb_json_text(json, "warning", cb_photo_input_warning);
    cb_json_open(json, "classes", '[');
    for (int i = 0; i < n; i++) {
        char text[32];
        cb_json_open(json, NULL, '{');
        cb_json_int(json, "index", index[i]);
        cb_json_text(json, "label", cb_model_label(w->ref.model, index[i], text));
        cb_json_real(json, "probability", (double)p[index[i]]);
        cb_json_close(json, '}');
    }
    cb_json_close(json, ']');
    cb_json_close(json, '}');
}

/* Photos first to first + n - 1. */
static struct cb_status predict_group(struct work *w, int first, int n)
{
    const size_t classes = (size_t)w->ref.model->classes;
    struct cb_decoded photo[GROUP];
    struct cb_image image[GROUP];
    struct cb_arena *arena = w->req->arena;
    float *p;
    int *index;
    const double t0 = cb_clock_ms();
    for (int i = 0; i < n; i++) {
        CB_TRY(cb_context(cb_photo_input_decode(w->app, arena, w->input.photo[first + i],
                                                &w->ref.model->recipe, &photo[i]),
                          "photo %d", first + i + 1));
        image[i] = photo[i].image;
    }
    const double t1 = cb_clock_ms();
    CB_TRY(cb_arena_get(arena, (size_t)n * classes, sizeof *p, "probabilities", &p));
    CB_TRY(cb_arena_get(arena, classes, sizeof *index, "classes", &index));
    CB_TRY(cb_predict(w->predictor, image, n, p));
    w->decode_ms += t1 - t0;
    w->inference_ms += cb_clock_ms() - t1;
    for (int i = 0; i < n; i++) {
        char id[CB_PHOTO_ID];
        cb_photos_add(w->app->photos, w->input.photo[first + i], id);
        write_prediction(w, &photo[i], id, p + (size_t)i * classes, index);
    }
    return cb_ok();
}

static struct cb_status predict_all(struct work *w)
{
    cb_json_open(&w->json, NULL, '{');
    cb_json_text(&w->json, "model", w->ref.model->name);
    cb_json_int(&w->json, "version", w->ref.model->version);
    cb_json_open(&w->json, "predictions", '[');
    for (int i = 0; i < w->input.n; i += GROUP) {
        const size_t mark = w->req->arena->used;
        CB_TRY(predict_group(w, i, w->input.n - i < GROUP ? w->input.n - i : GROUP));
        cb_arena_rewind(w->req->arena, mark);
    }
    cb_json_close(&w->json, ']');
    cb_json_open(&w->json, "timing_ms", '{');
    cb_json_real(&w->json, "queue", (double)(w->req->started_ns - w->req->queued_ns) / 1e6);
    cb_json_real(&w->json, "decode", w->decode_ms);
    cb_json_real(&w->json, "inference", w->inference_ms);
    cb_json_real(&w->json, "total", (double)(cb_clock_ns() - w->req->queued_ns) / 1e6);
    cb_json_close(&w->json, '}');
    cb_json_close(&w->json, '}');
    cb_metrics_photos(w->app->metrics, (size_t)w->input.n);
    return cb_ok();
}

struct cb_status cb_handle_predict(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    struct work w = { .app = app, .req = req };
    struct cb_status st;
    CB_TRY(cb_request_int(req, "top", 5, 1, 100000, &w.top));
    CB_TRY(cb_photo_input_read(app, req, &w.input));
    CB_TRY(cb_registry_acquire(app->registry, cb_request_text(req, "model"), &w.ref));
    st = cb_registry_borrow(app->registry, &w.ref, &w.predictor);
    if (st.code == CB_OK) {
        w.json = cb_reply_json(rep, 200);
        st = predict_all(&w);
        cb_registry_give_back(app->registry, &w.ref, w.predictor);
    }
    cb_registry_release(app->registry, &w.ref);
    return st;
}
