/* core/model/predictor.h - photos in, probabilities, features or a Grad-CAM map out.
 *
 * Keeps the plans and sessions of a model for the sizes that were asked for (a bounded number,
 * least recently used goes). Holds a pointer to the model, which must outlive it. One thread at a
 * time. */
#pragma once

#include "core/exec/engine.h"
#include "core/image/image.h"
#include "core/model/model.h"

struct cb_predictor;

CB_MUST_USE struct cb_status cb_predictor_create(const struct cb_engine *engine,
                                                 const struct cb_model *model,
                                                 struct cb_predictor **out);
void cb_predictor_destroy(struct cb_predictor *predictor);

/* Makes the plan for one photo before one is there: what is too large in a network shows here, not
 * in the first request. Errors: as cb_plan_create. */
CB_MUST_USE struct cb_status cb_predictor_prepare(struct cb_predictor *predictor);

/* probabilities [n, model->classes], softmax of the logits (a network whose output is already a
 * distribution by another last operator gives that). Photos whose recipe gives different sizes run
 * one by one. Errors: CB_ERR_UNSUPPORTED no classifier; CB_ERR_INPUT the photo's size does not fit;
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_predict(struct cb_predictor *predictor,
                                        const struct cb_image *images, int n, float *probabilities);

/* Length of a feature vector: the bottleneck's channels (averaged over space), or its elements when
 * it is flat. */
CB_MUST_USE struct cb_status cb_feature_length(struct cb_predictor *predictor, int *out);

/* features [n, d] of the bottleneck. */
CB_MUST_USE struct cb_status cb_features(struct cb_predictor *predictor,
                                         const struct cb_image *images, int n, float *features);

/* A Grad-CAM map (arXiv:1610.02391) of one class: relu of the sum over channels of (mean gradient
 * of the class score before softmax) x activation; not scaled. */
struct cb_cam {
    int class_index;
    float probability;
    int height, width;
    float *map;          /* [height, width], in the caller's arena */
    int layer;           /* value of the model's graph */
};

/* class_index -1: the most probable one. layer -1: the model's cam_layer. Errors: also
 * CB_ERR_UNSUPPORTED when there is no spatial layer, CB_ERR_INPUT for a layer that is not [1,C,h,w]
 * or does not reach the logits. */
CB_MUST_USE struct cb_status cb_grad_cam(struct cb_predictor *predictor,
                                         const struct cb_image *image, int class_index, int layer,
                                         struct cb_arena *arena, struct cb_cam *out);

/* The k best of n probabilities, best first; ties by index. Returns how many (k or n). */
int cb_top_k(const float *probabilities, int n, int k, int *index);
