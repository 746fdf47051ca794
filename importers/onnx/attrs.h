/* importers/onnx/attrs.h - a node's attributes by name and type, with their defaults.
 *
 * Errors: CB_ERR_MODEL when an attribute is of another type, out of range, or missing where it must
 * be. */
#pragma once

#include "importers/onnx/import.h"

/* NULL when the node has none of that name. */
const Onnx__AttributeProto *cb_onnx_attr_find(const struct cb_onnx_node *node, const char *name);

CB_MUST_USE struct cb_status cb_onnx_attr_int(const struct cb_onnx_node *node, const char *name,
                                              int64_t absent, int64_t *out);
CB_MUST_USE struct cb_status cb_onnx_attr_float(const struct cb_onnx_node *node, const char *name,
                                                float absent, float *out);

/* An int within [-CB_MAX_RANK, CB_MAX_RANK]. */
CB_MUST_USE struct cb_status cb_onnx_attr_axis(const struct cb_onnx_node *node, const char *name,
                                               int absent, int *out);

/* An int that is 0 or not. */
CB_MUST_USE struct cb_status cb_onnx_attr_flag(const struct cb_onnx_node *node, const char *name,
                                               bool absent, bool *out);

/* The ints as they lie; NULL when absent. */
CB_MUST_USE struct cb_status cb_onnx_attr_ints(const struct cb_onnx_node *node, const char *name,
                                               const int64_t **v, size_t *n);

/* count -1 when absent; longer than CB_MAX_RANK is CB_ERR_UNSUPPORTED. */
CB_MUST_USE struct cb_status cb_onnx_attr_list(const struct cb_onnx_node *node, const char *name,
                                               struct cb_list *out);

/* Which of `n` words the text is: an index; 0 where there is none or it is empty. */
CB_MUST_USE struct cb_status cb_onnx_attr_word(const struct cb_onnx_node *node, const char *name,
                                               const char *const words[], int n, int *out);

/* CB_ERR_MODEL unless the attribute is there. */
CB_MUST_USE struct cb_status cb_onnx_attr_wanted(const struct cb_onnx_node *node, const char *name);
