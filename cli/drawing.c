#include "cli/drawing.h"

#include <stdio.h>
#include <string.h>

#include "cli/layout.h"
#include "cli/markup.h"
#include "cli/output.h"

enum {
    MOST_BOXES = 4000,
    MARGIN = 16,
    BOX_HEIGHT = 50,
    ROW = 72,  /* from one layer to the next */
    LINE = 15, /* between lines of text */
    GAP = 22,
    PADDING = 12, /* beside text */
    TITLE = 96,   /* bytes of a box's first line */
};
#define LETTER 6.6 /* width of an average letter of the font, generously */

/* One layer, or several that share a box; or an input of the network. */
struct box {
    char title[TITLE], shape[CB_SHAPE_TEXT], field[CB_FIELD_TEXT], cost[72];
    const char *family; /* class of the SVG's style sheet */
    uint64_t parameters, macs;
};

struct picture {
    const struct cb_layers *layers;
    struct box *boxes;
    int n_boxes, n_edges;
    int *box_of;  /* [n_inputs + layers->n], inputs first */
    int *readers; /* [layers->n]: how often each is read */
    int (*edges)[2];
};

static const struct {
    const char *op, *family;
} families[] = {
    { "Conv", "conv" },
    { "ConvTranspose", "conv" },
    { "Gemm", "product" },
    { "MatMul", "product" },
    { "MaxPool", "pool" },
    { "AveragePool", "pool" },
    { "GlobalMaxPool", "pool" },
    { "GlobalAveragePool", "pool" },
    { "ReduceMean", "pool" },
    { "Add", "join" },
    { "Sum", "join" },
    { "Mul", "join" },
    { "Concat", "join" },
    { "LRN", "norm" },
    { "BatchNormalization", "norm" },
    { "LayerNormalization", "norm" },
};

static const char *family_of(const char *op)
{
    for (size_t i = 0; i < CB_COUNT_OF(families); i++)
        if (strcmp(families[i].op, op) == 0)
            return families[i].family;
    return "other";
}

static void print_count(char *to, size_t room, uint64_t n, const char *unit)
{
    static const char *const prefix[] = { "", " k", " M", " G" };
    double v = (double)n;
    int i = 0;
    for (; v >= 1000 && i < 3; i++)
        v /= 1000;
    snprintf(to, room, i && v < 100 ? "%.1f%s%s" : "%.0f%s%s", v, prefix[i], unit);
}

/* What the box says: costs of all its layers, shape and field of the last. */
static void finish_box(struct picture *p, struct box *box, const struct cb_layer *layer)
{
    char parameters[32] = "", macs[32] = "";
    cb_shape_text(&layer->shape, box->shape);
    cb_layer_field_text(p->layers, layer, box->field);
    box->parameters += layer->parameters;
    box->macs += layer->macs;
    if (box->parameters)
        print_count(parameters, sizeof parameters, box->parameters, " par.");
    if (box->macs)
        print_count(macs, sizeof macs, box->macs, " MACs");
    snprintf(box->cost, sizeof box->cost, "%s%s%s", parameters,
             parameters[0] && macs[0] ? ", " : "", macs);
}

static void add_input(struct picture *p, int i)
{
    const struct cb_graph *g = p->layers->graph;
    struct box *box = &p->boxes[p->n_boxes];
    const struct cb_value *v = &g->values[g->inputs[i]];
    *box = (struct box){ .family = "input" };
    cb_output_clean(v->name, box->title, sizeof box->title);
    cb_shape_text(&v->shape, box->shape);
    p->box_of[i] = p->n_boxes++;
}

static void add_layer(struct picture *p, int i)
{
    const struct cb_layer *layer = &p->layers->item[i];
    const int n_inputs = p->layers->graph->n_inputs;
    struct box *box = &p->boxes[p->n_boxes];
    if (layer->in_place && layer->from[0] >= 0 && p->readers[layer->from[0]] == 1) {
        box = &p->boxes[p->box_of[n_inputs + layer->from[0]]];
        const size_t len = strlen(box->title);
        snprintf(box->title + len, sizeof box->title - len, " + %s", layer->op);
        p->box_of[n_inputs + i] = p->box_of[n_inputs + layer->from[0]];
    } else {
        *box = (struct box){ .family = family_of(layer->op) };
        snprintf(box->title, sizeof box->title, "%s%s%s", layer->op, layer->detail[0] ? " " : "",
                 layer->detail);
        for (int k = 0; k < layer->n_from; k++) {
            const int from = layer->from[k];
            p->edges[p->n_edges][0] = p->box_of[from < 0 ? -1 - from : n_inputs + from];
            p->edges[p->n_edges++][1] = p->n_boxes;
        }
        p->box_of[n_inputs + i] = p->n_boxes++;
    }
    finish_box(p, box, layer);
}

static struct cb_status make_picture(struct picture *p, const struct cb_layers *layers,
                                     struct cb_arena *arena)
{
    const int n = layers->graph->n_inputs + layers->n;
    size_t edges = 0;
    for (int i = 0; i < layers->n; i++)
        edges += (size_t)layers->item[i].n_from;
    *p = (struct picture){ .layers = layers };
    CB_TRY(cb_arena_get(arena, (size_t)layers->n, sizeof *p->readers, "drawing", &p->readers));
    for (int i = 0; i < layers->n; i++)
        for (int k = 0; k < layers->item[i].n_from; k++)
            if (layers->item[i].from[k] >= 0)
                p->readers[layers->item[i].from[k]]++;
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof *p->boxes, "drawing", &p->boxes));
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof *p->box_of, "drawing", &p->box_of));
    CB_TRY(cb_arena_get(arena, edges, sizeof *p->edges, "drawing", &p->edges));
    for (int i = 0; i < layers->graph->n_inputs; i++)
        add_input(p, i);
    for (int i = 0; i < layers->n; i++)
        add_layer(p, i);
    if (p->n_boxes > MOST_BOXES)
        return cb_fail(CB_ERR_TOO_LARGE, "a drawing of %d boxes, %d can be read", p->n_boxes,
                       MOST_BOXES);
    return cb_ok();
}

/* "64 x 56 x 56, sees 35 /4" */
static void print_shape(const struct box *box, char *to, size_t room)
{
    snprintf(to, room, "%s%s%s", box->shape, box->field[0] ? ", sees " : "", box->field);
}

struct cb_status cb_drawing_dot(const struct cb_layers *layers, struct cb_arena *arena,
                                struct cb_buf *out)
{
    struct picture p;
    char shape[CB_SHAPE_TEXT + CB_FIELD_TEXT + 8];
    CB_TRY(make_picture(&p, layers, arena));
    cb_buf_printf(out, "digraph network {\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (int i = 0; i < p.n_boxes; i++) {
        const struct box *box = &p.boxes[i];
        print_shape(box, shape, sizeof shape);
        cb_buf_printf(out, "  b%d [class=\"%s\", label=\"", i, box->family);
        cb_markup_text(out, box->title);
        cb_buf_printf(out, "\\n");
        cb_markup_text(out, shape);
        cb_buf_printf(out, "%s%s\"];\n", box->cost[0] ? "\\n" : "", box->cost);
    }
    for (int i = 0; i < p.n_edges; i++)
        cb_buf_printf(out, "  b%d -> b%d;\n", p.edges[i][0], p.edges[i][1]);
    cb_buf_printf(out, "}\n");
    return cb_ok();
}

static const char style[] =
    "<style>\n"
    "text { font: 11px system-ui, sans-serif; fill: #1f2328; text-anchor: middle }\n"
    ".title { font-weight: 600 } .small { fill: #59636e }\n"
    ".paper { fill: #ffffff } .line { stroke: #59636e; stroke-width: 1.3; fill: none }\n"
    "rect { stroke-width: 1.2; rx: 5px }\n"
    ".input { fill: #f6f8fa; stroke: #59636e } .conv { fill: #ddf4ff; stroke: #0969da }\n"
    ".product { fill: #fff1e5; stroke: #bc4c00 } .pool { fill: #dafbe1; stroke: #1a7f37 }\n"
    ".join { fill: #fbefff; stroke: #8250df } .norm { fill: #fff8c5; stroke: #9a6700 }\n"
    ".other { fill: #f6f8fa; stroke: #8c959f }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #e6edf3 } .small { fill: #9198a1 } .paper { fill: #0d1117 }\n"
    ".line { stroke: #9198a1 } .input { fill: #151b23; stroke: #9198a1 }\n"
    ".conv { fill: #0c2d6b; stroke: #58a6ff } .product { fill: #5a1e02; stroke: #ff9b5e }\n"
    ".pool { fill: #033a16; stroke: #56d364 } .join { fill: #3c1e70; stroke: #bc8cff }\n"
    ".norm { fill: #4b2900; stroke: #e3b341 } .other { fill: #151b23; stroke: #656c76 }\n"
    "}\n</style>\n";

static double middle_of(const struct cb_layout *l, int place)
{
    return MARGIN + l->layer[place] * ROW + BOX_HEIGHT / 2.0;
}

/* Curves between the rows; a bend goes straight down through its row, so that it passes boxes. */
static void add_lines(struct cb_buf *out, const struct cb_layout *l)
{
    for (int i = 0; i < l->n_lines; i++) {
        const int a = l->lines[i].from, b = l->lines[i].to;
        const bool ends = b < l->n_boxes;
        const double xa = MARGIN + l->x[a], xb = MARGIN + l->x[b];
        const double ya = middle_of(l, a) + BOX_HEIGHT / 2.0,
                     yb = middle_of(l, b) - BOX_HEIGHT / 2.0, ym = (ya + yb) / 2;
        cb_buf_printf(out, "<path class=\"line\"%s d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f",
                      ends ? " marker-end=\"url(#tip)\"" : "", xa, ya, xa, ym, xb, ym, xb,
                      ends ? yb - 4 : yb);
        if (!ends)
            cb_buf_printf(out, "v%d", BOX_HEIGHT);
        cb_buf_printf(out, "\"/>\n");
    }
}

static void add_line_of_text(struct cb_buf *out, const char *class, double x, double y,
                             const char *text)
{
    cb_buf_printf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    cb_markup_text(out, text);
    cb_buf_printf(out, "</text>\n");
}

static void add_box(struct cb_buf *out, const struct box *box, double x, double y, double width)
{
    const int lines = box->cost[0] ? 3 : 2;
    double at = y + (BOX_HEIGHT - lines * LINE) / 2.0 + 11;
    char shape[CB_SHAPE_TEXT + CB_FIELD_TEXT + 8];
    print_shape(box, shape, sizeof shape);
    cb_buf_printf(out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n",
                  box->family, x - width / 2, y, width, BOX_HEIGHT);
    add_line_of_text(out, "title", x, at, box->title);
    add_line_of_text(out, "", x, at += LINE, shape);
    if (box->cost[0])
        add_line_of_text(out, "small", x, at + LINE, box->cost);
}

static double text_width(const struct box *box)
{
    char shape[CB_SHAPE_TEXT + CB_FIELD_TEXT + 8];
    size_t most = strlen(box->title) + 1;
    print_shape(box, shape, sizeof shape);
    most = strlen(shape) > most ? strlen(shape) : most;
    most = strlen(box->cost) > most ? strlen(box->cost) : most;
    return (double)most * LETTER + 2 * PADDING;
}

struct cb_status cb_drawing_svg(const struct cb_layers *layers, struct cb_arena *arena,
                                struct cb_buf *out)
{
    struct picture p;
    struct cb_layout l = { .gap = GAP };
    double *width;
    CB_TRY(make_picture(&p, layers, arena));
    CB_TRY(cb_arena_get(arena, (size_t)p.n_boxes, sizeof *width, "drawing", &width));
    for (int i = 0; i < p.n_boxes; i++)
        width[i] = text_width(&p.boxes[i]);
    l.n_boxes = p.n_boxes;
    l.n_edges = p.n_edges;
    l.width = width;
    l.edges = (const int(*)[2])p.edges;
    CB_TRY(cb_layout_find(&l, arena));
    cb_buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %d\" width=\"%.0f\" "
        "height=\"%d\">\n%s<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"4\" "
        "refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path "
        "d=\"M0 0L8 4L0 8z\" fill=\"#59636e\"/></marker></defs>\n"
        "<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n",
        l.right + 2 * MARGIN, l.n_layers * ROW - (ROW - BOX_HEIGHT) + 2 * MARGIN,
        l.right + 2 * MARGIN, l.n_layers * ROW - (ROW - BOX_HEIGHT) + 2 * MARGIN, style);
    add_lines(out, &l);
    for (int i = 0; i < p.n_boxes; i++)
        add_box(out, &p.boxes[i], MARGIN + l.x[i], middle_of(&l, i) - BOX_HEIGHT / 2.0, width[i]);
    cb_buf_printf(out, "</svg>\n");
    return cb_ok();
}
