/* importers/onnx/loader.h - what the parts of one load share: load.c (header, constants, inputs and
 * outputs) and nodes.c. */
#pragma once

#include "importers/onnx/import.h"
#include "importers/onnx/load.h"
#include "importers/onnx/names.h"
#include "importers/onnx/refusals.h"

/* One load. All but what `model` gets is in the scratch arena. */
struct cb_onnx_loader {
    struct cb_arena *scratch;
    struct cb_onnx_model *model;
    const Onnx__ModelProto *proto;
    const Onnx__GraphProto *graph;
    struct cb_onnx_import import;
    struct cb_onnx_names names;
    struct cb_onnx_refusals refusals;
    struct cb_onnx_node *nodes; /* graph->n_node of them */
};

static inline const char *cb_onnx_text_or(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

/* The opset of a domain ("" and NULL: ai.onnx); 0 when the file imports none. */
int64_t cb_onnx_opset_of(const struct cb_onnx_loader *l, const char *domain);

/* Values for all outputs of nodes, under their names. */
CB_MUST_USE struct cb_status cb_onnx_add_nodes(struct cb_onnx_loader *l);

/* Once all names are known: core nodes for all nodes, in an order in which inputs come first. What
 * is not supported is noted in l->refusals. */
CB_MUST_USE struct cb_status cb_onnx_import_nodes(struct cb_onnx_loader *l);
