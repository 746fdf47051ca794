/* importers/onnx/tensors.h - a TensorProto becomes a tensor in memory form.
 *
 * The proto is one that wire.c made slim: its data are read where they lie in the file. 32-bit
 * reals stay there (maybe unaligned); everything else is converted into the arena. */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/tensor/tensor.h"
#include "proto/onnx.pb-c.h"

/* The model file and the files beside it that tensors' data come from. */
struct cb_onnx_files {
    struct cb_bytes model;
    const char *folder; /* where external data may lie; NULL: refused */
    struct cb_arena *arena;
    struct cb_onnx_external {
        const char *location;
        struct cb_bytes bytes;
    } * external; /* mapped, each once; unmapped by cb_onnx_files_close */
    int n_external;
};

void cb_onnx_files_close(struct cb_onnx_files *files);

/* Our type for an ONNX TensorProto.DataType; CB_DTYPE_NONE for one that we do not have, or that
 * does not exist. */
enum cb_dtype cb_onnx_dtype(int64_t type);

/* The name ONNX gives to a type, supported or not; never NULL. */
const char *cb_onnx_dtype_name(int64_t type);

/* The type of that name in capitals, as Cast-1 has it; CB_DTYPE_NONE when there is none. */
enum cb_dtype cb_onnx_dtype_find(const char *name);

/* `*in_place`: out->data points into a file. Errors: CB_ERR_MODEL, CB_ERR_UNSUPPORTED (types,
 * segments), CB_ERR_NOMEM, and for external data CB_ERR_INPUT, CB_ERR_NOT_FOUND, CB_ERR_IO. */
CB_MUST_USE struct cb_status cb_onnx_tensor_read(struct cb_onnx_files *files,
                                                 const Onnx__TensorProto *proto,
                                                 struct cb_tensor *out, bool *in_place);

/* The elements of an int8 tensor as they lie in the file: *out becomes a CB_QINT8 that borrows
 * them. False where they do not lie as plain bytes. */
bool cb_onnx_tensor_bytes(struct cb_onnx_files *files, const Onnx__TensorProto *proto,
                          struct cb_tensor *out);

/* A sparse tensor's elements where its indices say, zeroes elsewhere. Errors as above, and
 * CB_ERR_TOO_LARGE. */
CB_MUST_USE struct cb_status cb_onnx_sparse_read(struct cb_onnx_files *files,
                                                 const Onnx__SparseTensorProto *proto,
                                                 struct cb_tensor *out);
