#include "importers/onnx/head/save.h"

#include <stdio.h>
#include <string.h>

#include "importers/onnx/head/head_nodes.h"
#include "importers/onnx/head/trunk.h"
#include "importers/onnx/wire_writer.h"

#define HEAD_IR 8
#define HEAD_OPSET 17
#define HEAD_PREFIX "head."
#define TABLE_BUDGET ((size_t)512 << 20) /* address space for the tables about a trunk */
#define FILE_LIMIT ((size_t)INT32_MAX)   /* protobuf's own, for one message */

static const char own_properties[] = "cambium.";

static void put_properties(const struct cb_onnx_save *save, struct cb_buf *out)
{
    for (int i = 0; i < save->n_properties; i++) {
        struct cb_buf entry;
        cb_buf_init(&entry, SIZE_MAX / 2);
        cb_wire_put_text(&entry, CB_ENTRY_KEY, save->properties[i].key);
        cb_wire_put_text(&entry, CB_ENTRY_VALUE, save->properties[i].value);
        cb_wire_put_message(out, CB_MODEL_METADATA, &entry);
    }
}

static struct cb_status finish(struct cb_buf *out)
{
    if (out->len > FILE_LIMIT)
        return cb_fail(CB_ERR_TOO_LARGE, "a model of %zu bytes does not fit into one ONNX file",
                       out->len);
    return out->failed ? cb_fail(CB_ERR_NOMEM, "no room for the model's ONNX file") : cb_ok();
}

struct cb_status cb_onnx_save_head(const struct cb_onnx_save *save, struct cb_buf *out)
{
    struct cb_buf graph, opset;
    cb_buf_init(&graph, SIZE_MAX / 2);
    cb_buf_init(&opset, SIZE_MAX / 2);
    cb_wire_put_text(&graph, CB_GRAPH_NAME, save->name);
    cb_onnx_put_value_info(&graph, CB_GRAPH_INPUT, "bottleneck", 2,
                           (int64_t[]){ -1, save->head->inputs });
    cb_head_nodes_put(&(struct cb_head_nodes){ .head = save->head,
                                               .input = "bottleneck",
                                               .output = "logits",
                                               .prefix = HEAD_PREFIX,
                                               .opset = HEAD_OPSET,
                                               .ir_version = HEAD_IR },
                      &graph);
    cb_wire_put_text(&opset, CB_OPSET_DOMAIN, "");
    cb_wire_put_int(&opset, CB_OPSET_VERSION, HEAD_OPSET);
    cb_wire_put_int(out, CB_MODEL_IR_VERSION, HEAD_IR);
    cb_wire_put_text(out, CB_MODEL_PRODUCER, "cambium");
    cb_wire_put_message(out, CB_MODEL_OPSET, &opset);
    cb_wire_put_message(out, CB_MODEL_GRAPH, &graph);
    put_properties(save, out);
    return finish(out);
}

/* --- trunk and head --- */

/* Metadata of the original stay, but for what is ours or said anew. */
static bool keeps_property(const struct cb_onnx_save *save, struct cb_bytes entry)
{
    struct cb_wire_field f;
    while (cb_wire_next(&entry, &f)) {
        if (f.number != CB_ENTRY_KEY || f.type != CB_WIRE_BYTES)
            continue;
        if (f.data.len >= strlen(own_properties) &&
            !memcmp(f.data.data, own_properties, strlen(own_properties)))
            return false;
        for (int i = 0; i < save->n_properties; i++)
            if (strlen(save->properties[i].key) == f.data.len &&
                !memcmp(save->properties[i].key, f.data.data, f.data.len))
                return false;
    }
    return true;
}

/* The fields of the model that stand beside its graph. */
static void put_model_fields(struct cb_bytes original, const struct cb_onnx_save *save,
                             struct cb_buf *out)
{
    for (struct cb_wire_field f; cb_wire_next(&original, &f);) {
        if (f.number == CB_MODEL_GRAPH ||
            (f.number == CB_MODEL_METADATA && !keeps_property(save, f.data)))
            continue;
        cb_buf_add(out, f.start, (size_t)(f.data.data + f.data.len - f.start));
    }
}

/* A prefix that no name of the trunk begins with: "head.", "head2.", ... */
static void choose_prefix(const struct cb_trunk *trunk, char prefix[32])
{
    snprintf(prefix, 32, "%s", HEAD_PREFIX);
    for (int i = 2; cb_trunk_uses(trunk, prefix, false); i++)
        snprintf(prefix, 32, "head%d.", i);
}

static void put_whole(struct cb_bytes original, const struct cb_onnx_save *save,
                      const struct cb_trunk *trunk, struct cb_buf *out)
{
    struct cb_buf tail;
    char prefix[32], output[64] = "logits";
    choose_prefix(trunk, prefix);
    if (cb_trunk_uses(trunk, output, true))
        snprintf(output, sizeof output, "%slogits", prefix);
    cb_buf_init(&tail, SIZE_MAX / 2);
    cb_wire_put_text(&tail, CB_GRAPH_NAME, save->name);
    cb_head_nodes_put(&(struct cb_head_nodes){ .head = save->head,
                                               .input = save->bottleneck,
                                               .output = output,
                                               .prefix = prefix,
                                               .opset = trunk->opset,
                                               .ir_version = trunk->ir_version,
                                               .cast = trunk->narrow,
                                               .pool = save->spatial,
                                               .flatten = true },
                      &tail);
    put_model_fields(original, save, out);
    cb_wire_put_length(out, CB_MODEL_GRAPH, trunk->bytes + tail.len);
    for (size_t i = 0; i < trunk->n_pieces; i++)
        cb_buf_add(out, trunk->piece[i].data, trunk->piece[i].len);
    cb_buf_add(out, tail.data, tail.len);
    out->failed |= tail.failed;
    cb_buf_deinit(&tail);
    put_properties(save, out);
}

struct cb_status cb_onnx_save_whole(struct cb_bytes original, const struct cb_onnx_save *save,
                                    struct cb_buf *out)
{
    struct cb_arena arena;
    struct cb_trunk trunk;
    struct cb_status st = cb_arena_init(&arena, TABLE_BUDGET);
    if (st.code == CB_OK)
        st = cb_trunk_find(original, save->bottleneck, &arena, &trunk);
    if (st.code == CB_OK) {
        put_whole(original, save, &trunk, out);
        st = finish(out);
    }
    cb_arena_deinit(&arena);
    return st;
}
