/* core/model/model.h - a network ready to be used on photos: graph, recipe, labels, anatomy.
 * Immutable once made.
 *
 * The anatomy is found by walking back from the output (anatomy.c); the recipe may name the tensors
 * instead: logits      the scores before the closing softmax; what Grad-CAM and our own softmax
 * start from bottleneck  the tensor that enters the classifier; the trunk makes it, the head
 * follows cam_layer   the last tensor whose height and width are both above 1 */
#pragma once

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/exec/weights.h"
#include "core/graph/graph.h"
#include "core/image/recipe.h"

#define CB_NAME_MAX 64 /* of a model, without the 0: [A-Za-z0-9][A-Za-z0-9._-]{0,63} */

struct cb_model {
    struct cb_arena arena;        /* holds all below but what is said to be shared */
    char name[CB_NAME_MAX + 1];
    int version;
    struct cb_digest digest;      /* of the trunk's model.onnx: caches and heads refer to it */
    struct cb_graph graph;        /* trunk and head */
    struct cb_weights *weights;   /* packed; a head's model shares its trunk's */
    struct cb_recipe recipe;
    const char *const *labels;    /* n_labels; NULL: none known */
    int n_labels;
    int classes;                  /* length of logits; 0: the network has no classifier */
    int input, logits, bottleneck, cam_layer; /* values of graph; -1: there is none */
    int batch;                    /* photos that the graph insists on; 0: open */
    int height, width, channels;  /* of the input tensor; 0: open (the recipe decides) */
    int opset;
    bool decided;                 /* by the inputs' shapes (or elements) which nodes the graph has */
    bool trained_here;            /* a head that this program trained: trunk by reference */
    void *owner;                  /* what importers/model keeps with it: mapped file, trunk */
};

/* Finds logits, bottleneck, cam_layer, classes and the input's size in model->graph (with
 * model->recipe's names, where given). Errors: CB_ERR_INPUT names a tensor of the recipe that the
 * graph does not have; CB_ERR_UNSUPPORTED when input 0 is no picture ([N,C,H,W] or [N,H,W,C] with 1
 * or 3 channels). */
CB_MUST_USE struct cb_status cb_model_find_anatomy(struct cb_model *model);

/* The size of the input tensor when nothing is known of the photo: the graph's, else the recipe's,
 * else 224. */
void cb_model_default_size(const struct cb_model *model, int *height, int *width);

/* Shape of a value of the graph for one photo of the usual size (cb_model_default_size). Errors:
 * what planning says. */
CB_MUST_USE struct cb_status cb_model_shape_of(const struct cb_model *model, int value,
                                               struct cb_shape *out);

/* Label of a class, "class 17" (into text) when there is none. */
const char *cb_model_label(const struct cb_model *model, int index, char text[32]);

/* Class for "17" or a label (exact, then one of a comma-separated synonym list, then a unique
 * case-insensitive part); errors: CB_ERR_INPUT. */
CB_MUST_USE struct cb_status cb_model_class(const struct cb_model *model, const char *text,
                                            int *out);

/* Parameters (elements of constants that nodes read) of the whole graph. */
size_t cb_model_parameters(const struct cb_model *model);
