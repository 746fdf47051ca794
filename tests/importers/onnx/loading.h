/* tests/importers/onnx/loading.h - a model from a text (proto_text.h), loaded. */
#pragma once

#include <criterion/criterion.h>
#include <string.h>

#include "importers/onnx/load.h"
#include "tests/support/proto_text.h"

/* What a model has around its graph's fields: IR version 8 and an opset. */
#define MODEL(opset, graph) "1:8 8{1\"\" 2:" #opset "} 7{" graph "}"

/* An input or output of floats; `dims` as in SHAPE. */
#define IN(name, shape) "11{1\"" name "\" 2{1{1:1 2{" shape "}}}}"
#define OUT(name) "12{1\"" name "\" 2{1{1:1}}}"
#define DIM(n) "1{1:" #n "}"

struct loading {
    struct cb_arena arena;
    struct cb_buf buf;
    struct cb_bytes bytes;
    struct cb_onnx_model model;
    struct cb_status st;
};

static inline struct loading load_bytes(struct cb_bytes bytes, const char *folder)
{
    struct loading l = { .bytes = bytes };
    cr_assert(cb_arena_init(&l.arena, (size_t)1 << 30).code == CB_OK);
    l.st = cb_onnx_load(&l.arena, bytes, &(struct cb_onnx_options){ .folder = folder }, &l.model);
    return l;
}

static inline struct loading load_text(const char *text)
{
    struct cb_buf buf;
    cb_buf_init(&buf, (size_t)64 << 20);
    struct loading l = load_bytes(proto_bytes(&buf, text), NULL);
    l.buf = buf;
    return l;
}

static inline void load_end(struct loading *l)
{
    if (l->st.code == CB_OK)
        cb_onnx_model_deinit(&l->model);
    cb_arena_deinit(&l->arena);
    cb_buf_deinit(&l->buf);
}

/* The only node of that operator; fails the test when there are more or none. */
static inline const struct cb_node *only_node(const struct loading *l, enum cb_op op)
{
    const struct cb_node *found = NULL;
    for (int i = 0; i < l->model.graph.n_nodes; i++)
        if (l->model.graph.nodes[i].op == op) {
            cr_assert_null(found, "more than one %s", cb_op_get(op)->name);
            found = &l->model.graph.nodes[i];
        }
    cr_assert_not_null(found, "no %s", cb_op_get(op)->name);
    return found;
}

static inline const struct cb_value *value_of(const struct loading *l, const char *name)
{
    const int v = cb_graph_find(&l->model.graph, name);
    cr_assert_geq(v, 0, "no value %s", name);
    return &l->model.graph.values[v];
}

#define expect_ok(l) cr_assert_eq((l).st.code, CB_OK, "%s", (l).st.msg)
#define expect_fail(l, c, text)                                                                    \
    do {                                                                                           \
        cr_expect_eq((l).st.code, c, "code %d: %s", (l).st.code, (l).st.msg);                      \
        cr_expect(strstr((l).st.msg, text), "\"%s\" is not in \"%s\"", text, (l).st.msg);          \
    } while (0)
