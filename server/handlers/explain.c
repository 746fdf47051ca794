/* server/handlers/explain.c - GET /explain?image=ID&model=&class=&layer=&method=grad-cam&alpha=0.5,
 * or POST with a photo. Reply: the overlay as image/png, or the raw map where the client accepts
 * JSON only. */
#include <string.h>

#include "core/explain/heatmap.h"
#include "importers/image/encode_png.h"
#include "server/handlers/handlers.h"
#include "server/handlers/photo_input.h"
#include "server/metrics.h"
#include "server/photos.h"
#include "server/registry.h"

static struct cb_status read_photo(struct cb_app *app, struct cb_request *req, struct cb_bytes *out)
{
    const char *id = cb_request_text(req, "image");
    struct cb_photo_input input;
    if (strcmp(req->method, "POST")) {
        if (!id)
            return cb_fail(
                CB_ERR_INPUT,
                "parameter 'image' is missing: the id that /predict gave, or POST a photo");
        return cb_photos_get(app->photos, id, req->arena, out);
    }
    CB_TRY(cb_photo_input_read(app, req, &input));
    if (input.n != 1)
        return cb_fail(CB_ERR_INPUT, "one photo is wanted, %d came", input.n);
    *out = input.photo[0];
    return cb_ok();
}

static struct cb_status read_class(const struct cb_request *req, const struct cb_model *model,
                                   int *out)
{
    const char *text = cb_request_text(req, "class");
    *out = -1;
    return text ? cb_model_class(model, text, out) : cb_ok();
}

static struct cb_status read_layer(const struct cb_request *req, const struct cb_model *model,
                                   int *out)
{
    const char *text = cb_request_text(req, "layer");
    *out = text ? cb_graph_find(&model->graph, text) : -1;
    if (text && *out < 0)
        return cb_fail(CB_ERR_INPUT, "parameter 'layer': model '%s' has no tensor '%.80s'",
                       model->name, text);
    return cb_ok();
}

static struct cb_status check_method(const struct cb_request *req)
{
    const char *text = cb_request_text(req, "method");
    if (text && strcmp(text, "grad-cam"))
        return cb_fail(CB_ERR_INPUT, "parameter 'method': '%.40s' is none of grad-cam", text);
    return cb_ok();
}

static void write_map(struct cb_reply *rep, const struct cb_model *model, const struct cb_cam *cam)
{
    struct cb_json json = cb_reply_json(rep, 200);
    char text[32];
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "model", model->name);
    cb_json_int(&json, "class", cam->class_index);
    cb_json_text(&json, "label", cb_model_label(model, cam->class_index, text));
    cb_json_real(&json, "probability", (double)cam->probability);
    cb_json_text(&json, "layer", model->graph.values[cam->layer].name);
    cb_json_int(&json, "height", cam->height);
    cb_json_int(&json, "width", cam->width);
    cb_json_open(&json, "map", '[');
    for (int y = 0; y < cam->height; y++) {
        cb_json_open(&json, NULL, '[');
        for (int x = 0; x < cam->width; x++)
            cb_json_real(&json, NULL, (double)cam->map[(size_t)y * (size_t)cam->width + (size_t)x]);
        cb_json_close(&json, ']');
    }
    cb_json_close(&json, ']');
    cb_json_close(&json, '}');
}

static struct cb_status write_overlay(struct cb_request *req, struct cb_reply *rep,
                                      const struct cb_model *model, const struct cb_image *photo,
                                      const struct cb_cam *cam, float alpha)
{
    struct cb_image overlay;
    CB_TRY(cb_heatmap_overlay(req->arena, photo, &model->recipe, cam->map, cam->height, cam->width,
                              alpha, &overlay));
    CB_TRY(cb_png_encode(&overlay, &rep->body));
    rep->type = "image/png";
    return cb_ok();
}

static struct cb_status explain(struct cb_app *app, struct cb_request *req, struct cb_reply *rep,
                                struct cb_bytes file, const struct cb_model_ref *ref)
{
    const struct cb_model *model = ref->model;
    struct cb_predictor *predictor;
    struct cb_decoded photo;
    struct cb_cam cam;
    struct cb_status st;
    double alpha;
    int class_index, layer;
    CB_TRY(cb_request_real(req, "alpha", 0.5, 0, 1, &alpha));
    CB_TRY(read_class(req, model, &class_index));
    CB_TRY(read_layer(req, model, &layer));
    CB_TRY(cb_photo_input_decode(app, req->arena, file, NULL, &photo));
    CB_TRY(cb_registry_borrow(app->registry, ref, &predictor));
    st = cb_grad_cam(predictor, &photo.image, class_index, layer, req->arena, &cam);
    cb_registry_give_back(app->registry, ref, predictor);
    if (st.code)
        return st;
    cb_metrics_photos(app->metrics, 1);
    cb_reply_header(rep, "Cache-Control", "private, max-age=60");
    if (!cb_request_wants_json(req))
        return write_overlay(req, rep, model, &photo.image, &cam, (float)alpha);
    write_map(rep, model, &cam);
    return cb_ok();
}

struct cb_status cb_handle_explain(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    struct cb_model_ref ref;
    struct cb_bytes file;
    struct cb_status st;
    CB_TRY(check_method(req));
    CB_TRY(read_photo(app, req, &file));
    CB_TRY(cb_registry_acquire(app->registry, cb_request_text(req, "model"), &ref));
    st = explain(app, req, rep, file, &ref);
    cb_registry_release(app->registry, &ref);
    return st;
}
