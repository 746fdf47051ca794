/* importers/onnx/head/save.h - trained heads and whole trained models as ONNX files.
 *
 * Works on the wire format: what belongs to the trunk is written as it stood in the original file
 * (any opset), what belonged to the old head is left out, the new head's nodes and weights are
 * added. */
#pragma once

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/model/head.h"
#include "importers/onnx/load.h"

struct cb_onnx_save {
    const char *name; /* of the graph */
    const struct cb_head *head;
    const char *bottleneck; /* the trunk's tensor that the head reads */
    bool spatial;           /* the bottleneck is [N,C,H,W] with open or > 1 sizes: pooled first */
    const struct cb_onnx_property *properties; /* metadata: cambium.labels, cambium.recipe, ... */
    int n_properties;
};

/* The head alone: input "bottleneck", output "logits"; opset 17. */
CB_MUST_USE struct cb_status cb_onnx_save_head(const struct cb_onnx_save *save, struct cb_buf *out);

/* Trunk and head as one self-contained file; output "logits" [N, classes]. `original` is the
 * trunk's file. Weights that only the old head used are dropped. A float16 bottleneck is cast to
 * float. */
CB_MUST_USE struct cb_status
cb_onnx_save_whole(struct cb_bytes original, const struct cb_onnx_save *save, struct cb_buf *out);

/* What cb_onnx_save_head wrote, read back: weights are copied into `arena`, texts too. */
struct cb_onnx_head_file {
    struct cb_head head;
    const struct cb_onnx_property *properties;
    int n_properties;
};

/* Errors: CB_ERR_MODEL not a head of ours, or damaged (hostile bytes are fine); CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_onnx_read_head(struct cb_bytes file, struct cb_arena *arena,
                                               struct cb_onnx_head_file *out);

/* The value of a property; NULL when there is none. */
const char *cb_onnx_head_property(const struct cb_onnx_head_file *file, const char *key);
