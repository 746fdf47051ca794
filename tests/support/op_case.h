/* tests/support/op_case.h - one node outside any graph: its infer, forward, backward on tensors.
 *
 *     struct op_case c = op_case_make(CB_OP_CONV);
 *     op_case_add(&c, OP_SHAPE(1, 3, 3, 2), OP_FLOATS(...));     given elements
 *     op_case_random(&c, OP_SHAPE(4, 2, 2, 2), OP_UNIFORM);      seeded ones
 *     c.node.attr.conv.window.stride[0] = 2;
 *     op_case_run(&c);                                           infer must accept; forward
 *     op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(...));
 *     op_case_free(&c);
 *
 * Outputs and scratch are full of NaN before forward, and guarded: what is not written, or written
 * beyond the end, is found. Inputs that are parameters (cb_op_def.params) are known to infer and
 * absent in forward, as in a plan; those that decide sizes (cb_op_def.sizes) are known to it too. */
#pragma once

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/ops/op.h"

#define OP_MAX_ARGS 16

#define OP_SHAPE(...)                                                                              \
    ((struct cb_shape){ sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), { __VA_ARGS__ } })
#define OP_SCALAR ((struct cb_shape){ .rank = 0 })
#define OP_FLOATS(...) ((float[]){ __VA_ARGS__ })
#define OP_WHOLES(...) ((int64_t[]){ __VA_ARGS__ })

/* [first, middle..., last] */
struct cb_shape op_shape_around(int64_t first, int rank, const int64_t *middle, int64_t last);

/* UNIFORM: in [-1, 1). POSITIVE: in [0.5, 1.5). DISTINCT: all at least 0.05 apart and 0.025 from 0,
 * for operators with kinks (max, relu). WHOLE: one of -2 .. 2. */
enum op_fill { OP_UNIFORM, OP_POSITIVE, OP_DISTINCT, OP_WHOLE };

struct op_case {
    /* To be set before op_case_run or op_case_infer; made with the operator's defaults. */
    struct cb_node node; /* n_out: 1; n_in counts what was added */
    enum cb_isa isa;     /* CB_ISA_GENERIC */
    size_t threads;      /* 1 */
    bool constant;       /* in[1] is a constant: packed when the operator packs */
    bool in_place;       /* forward writes over in[0]: the operator must say that it can */
    unsigned known;      /* bit i: infer sees the elements of input i, parameters aside */
    unsigned unwanted;   /* bit i: output i is not wanted */
    unsigned frozen;     /* bit i: the gradient of input i is not wanted */

    struct cb_rng rng;
    struct cb_arena arena;
    struct cb_tensor in[OP_MAX_ARGS], out[OP_MAX_ARGS];   /* dtype CB_DTYPE_NONE: absent */
    struct cb_tensor dout[OP_MAX_ARGS], din[OP_MAX_ARGS]; /* data NULL: zero, not wanted */
    int same_as[OP_MAX_ARGS]; /* input i is the very tensor of input same_as[i]; i: its own */
    int in_index[OP_MAX_ARGS], out_index[OP_MAX_ARGS];
};

struct op_case op_case_make(enum cb_op op);
void op_case_free(struct op_case *c);

/* The next input: float elements; whole numbers of any integer type; random floats; the same tensor
 * as input `as`; none. Elements are copied. */
void op_case_add(struct op_case *c, struct cb_shape shape, const float *elements);
void op_case_add_wholes(struct op_case *c, enum cb_dtype dtype, struct cb_shape shape,
                        const int64_t *elements);
void op_case_random(struct op_case *c, struct cb_shape shape, enum op_fill fill);
void op_case_again(struct op_case *c, int as);
void op_case_absent(struct op_case *c);

/* infer alone; on success out[] has types, shapes and memory. */
struct cb_status op_case_infer(struct op_case *c);

/* Expects infer to refuse with this code and message. */
void op_case_expect_refusal(struct op_case *c, enum cb_code code, const char *message);

void op_case_forward(struct op_case *c); /* after op_case_infer */
void op_case_run(struct op_case *c);     /* both */

/* Backward after forward: fills dout with random numbers unless they are there, adds to din, which
 * it makes zero unless they are there. Float inputs only; parameters and `frozen` ones have no
 * din. */
void op_case_backward(struct op_case *c);

/* Sets din to zero, or makes it. */
void op_case_clear(struct op_case *c);

/* Output i has these elements, within an absolute tolerance (0: the same value; NaN equals NaN). */
void op_case_expect_floats(const struct op_case *c, int i, double tolerance, const float *want);
void op_case_expect_wholes(const struct op_case *c, int i, const int64_t *want);
void op_case_expect_shape(const struct op_case *c, int i, struct cb_shape want);

/* Runs forward and backward on every instruction set and with several threads, packed and not, and
 * expects what the generic set gives: normalised squared error within `limit` for floats (0:
 * equal), equal whole numbers. */
void op_case_expect_same_on_every_isa(struct op_case *c, double limit);

/* Sum of squared differences over sum of squared `want`. */
double op_case_error(size_t n, const float *got, const float *want);
