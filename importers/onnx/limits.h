/* importers/onnx/limits.h - how much of a model file is believed, and why.
 *
 * The largest networks of the field have some thousands of nodes, and all of their files but the
 * weights is about a megabyte. The limits stand well above that, and low enough that a file made to
 * hurt costs a fraction of a second and some hundred megabytes. */
#pragma once

#include <stddef.h>

/* Messages of a kind in one file (wire.c counts them before protobuf-c sees any). */
#define CB_ONNX_MAX_NODES 65536
#define CB_ONNX_MAX_TENSORS 65536 /* initialisers; as many again as attributes */
#define CB_ONNX_MAX_ATTRIBUTES 524288
#define CB_ONNX_MAX_ARGS 524288  /* names of nodes' inputs, and of their outputs */
#define CB_ONNX_MAX_VALUES 65536 /* declared inputs, and outputs; old files declare initialisers */
#define CB_ONNX_MAX_DIMS 524288
#define CB_ONNX_MAX_PROPS 4096     /* metadata entries */
#define CB_ONNX_MAX_FUNCTIONS 1024 /* each node without a rule is looked up among them */
#define CB_ONNX_MAX_OPSETS 256     /* and among these */

/* Elements of a sparse tensor, all zeroes counted: a file of some bytes may ask for any number. */
#define CB_ONNX_MAX_SPARSE ((size_t)1 << 26)

/* How deep graphs stand in each other, in the file and with functions once they are written out. */
#define CB_ONNX_MAX_DEPTH 32

/* Nodes, with their inputs and outputs, that functions, branches and loops may become. */
#define CB_ONNX_MAX_INLINED ((size_t)1 << 18)

/* Files of external data: some exporters write one a tensor. */
#define CB_ONNX_MAX_EXTERNAL 4096

/* Bytes of what is left for the parser once tensor data and unread fields are out: names,
 * attributes, metadata (an exported model's labels and recipe: some tens of kilobytes). */
#define CB_ONNX_MAX_SLIM ((size_t)32 << 20)

/* Memory that the parser may take for it; an empty message's two bytes become about a hundred. */
#define CB_ONNX_PARSE_BUDGET ((size_t)384 << 20)

/* Versions that are known. Beyond them an operator may mean something else. */
#define CB_ONNX_NEWEST_IR 13
#define CB_ONNX_NEWEST_OPSET 28
