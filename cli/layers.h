/* cli/layers.h - a network as the list of its layers: nodes as the file has them, without what the
 * importer puts around image operators. */
#pragma once

#include "core/graph/graph.h"
#include "core/model/receptive_field.h"

struct cb_layer {
    const char *name, *op;
    char detail[40]; /* of a window: "3x3 /2 dil 2 g 32"; "" for others */
    char output[200];
    struct cb_shape shape;
    uint64_t parameters, macs;
    uint64_t bytes; /* of its outputs; 0: its input's, under another shape */
    bool in_place;  /* elementwise on one input: a drawing may put it with the layer before it */
    const struct cb_field *field; /* of its output; NULL: sizes are open */
    const int *from; /* layers whose outputs it reads; -1 - i: input i of the network */
    int n_from;
};

struct cb_layers {
    const struct cb_graph *graph;
    struct cb_layer *item;
    int n, places; /* places: spatial axes of the first input, of which fields tell */
    uint64_t macs, bytes;
    uint64_t bytes_at_once; /* of outputs that are needed at one time, at most, one layer after the
                               other */
};

/* All in `arena`, borrowing from the graph. `sized`: all shapes are known. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_layers_list(const struct cb_graph *graph, bool sized,
                                            bool channels_last, struct cb_arena *arena,
                                            struct cb_layers *out);

#define CB_FIELD_TEXT 64
/* "435 /32", with "and all" where everything counts; "" where it does not depend on the input. */
const char *cb_layer_field_text(const struct cb_layers *layers, const struct cb_layer *layer,
                                char out[CB_FIELD_TEXT]);
