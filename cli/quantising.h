/* cli/quantising.h - a model of reals becomes an ONNX file of bytes, in memory: what `quantize` and
 * `bench` share. */
#pragma once

#include "cli/cli.h"
#include "core/base/buf.h"
#include "core/model/calibration.h"
#include "core/model/model.h"

struct cb_quantising {
    struct cb_arena arena;
    const struct cb_model *model;
    struct cb_plan *shapes;
    struct cb_onnx_quantise *file;
    struct cb_calibration *calibration;
};

/* Ready for inputs of these shapes (see cb_plan_options). Errors: CB_ERR_UNSUPPORTED what cannot be
 * quantised. */
CB_MUST_USE struct cb_status cb_quantising_open(struct cb_cli *cli, const struct cb_model *model,
                                                const struct cb_tensor *inputs, bool nhwc_input,
                                                struct cb_quantising *out);
void cb_quantising_close(struct cb_quantising *quantising);

/* Between the first and the second run of the inputs. */
CB_MUST_USE struct cb_status cb_quantising_second(struct cb_quantising *quantising);

/* The file, with recipe and labels in its metadata where the model is one on photos. The caller
 * releases `out`. */
CB_MUST_USE struct cb_status cb_quantising_write(struct cb_quantising *quantising,
                                                 enum cb_calibration_method method,
                                                 struct cb_buf *out);

/* *model, a network of reals on random numbers in [-1, 1), becomes one of bytes that lies in
 * `file`; one that is quantised already stays. `inputs` as for cb_quantising_open. The caller
 * releases `file` after the model. */
CB_MUST_USE struct cb_status cb_quantising_exchange(struct cb_cli *cli, struct cb_model **model,
                                                    const struct cb_tensor *inputs, bool nhwc_input,
                                                    struct cb_buf *file);
