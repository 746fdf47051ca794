#include "core/image/shapes.h"

#include <math.h>
#include <stdbool.h>

#define PI 3.14159265f
#define SAMPLES 3 /* per pixel and axis: smooth edges */

/* Whether a point of the shape's own frame, |u|, |v| <= 1, belongs to it. */
typedef bool inside_fn(float u, float v);

static bool circle(float u, float v)
{
    return u * u + v * v < 0.81f;
}

static bool ring(float u, float v)
{
    const float r = u * u + v * v;
    return r < 0.9f && r > 0.36f;
}

static bool square(float u, float v)
{
    return fabsf(u) < 0.78f && fabsf(v) < 0.78f;
}

static bool triangle(float u, float v)
{
    return v < 0.6f && v > 1.9f * fabsf(u) - 1.0f;
}

static bool star(float u, float v)
{
    /* five points: the radius runs between 0.42 at the dents and 1 at the points */
    const float turn = fmodf(atan2f(v, u) + 2 * PI, 2 * PI / 5) / (2 * PI / 5);
    const float away = fabsf(turn - 0.5f) * 2; /* 1 at a point */
    return sqrtf(u * u + v * v) < 0.4f / (1 - away * 0.6f);
}

static bool cross(float u, float v)
{
    return (fabsf(u) < 0.28f && fabsf(v) < 0.95f) || (fabsf(v) < 0.28f && fabsf(u) < 0.95f);
}

static bool heart(float u, float v)
{
    const float x = u * 1.25f, y = -v * 1.25f + 0.15f, a = x * x + y * y - 0.8f;
    return a * a * a - x * x * y * y * y * 1.6f < 0;
}

static bool stripes(float u, float v)
{
    (void)v;
    return sinf(u * 4.5f * PI) > 0;
}

static bool checkerboard(float u, float v)
{
    return (sinf(u * 3.5f * PI) > 0) != (sinf(v * 3.5f * PI) > 0);
}

static bool dots(float u, float v)
{
    const float a = u * 2.6f - floorf(u * 2.6f) - 0.5f, b = v * 2.6f - floorf(v * 2.6f) - 0.5f;
    return a * a + b * b < 0.085f;
}

static const struct {
    const char *label;
    inside_fn *inside;
    bool texture; /* fills a round patch */
} classes[CB_SHAPE_CLASSES] = {
    { "circle", circle, false },
    { "ring", ring, false },
    { "square", square, false },
    { "triangle", triangle, false },
    { "star", star, false },
    { "cross", cross, false },
    { "heart", heart, false },
    { "stripes", stripes, true },
    { "checkerboard", checkerboard, true },
    { "dots", dots, true },
};

const char *cb_shapes_label(int class_index)
{
    return classes[class_index].label;
}

struct scene {
    float ground[2][3], ink[3]; /* background from corner to corner, shape */
    float x, y, radius, cosine, sine;
    float grain;
};

static float contrast(const float *a, const float *b)
{
    return fabsf(a[0] - b[0]) * 0.3f + fabsf(a[1] - b[1]) * 0.59f + fabsf(a[2] - b[2]) * 0.11f;
}

static void draw_colour(struct cb_rng *rng, float *rgb)
{
    for (int c = 0; c < 3; c++)
        rgb[c] = cb_rng_uniform(rng, 0, 255);
}

static struct scene compose(struct cb_rng *rng, int class_index, int side)
{
    struct scene s = { .grain = cb_rng_uniform(rng, 0, 12) };
    /* stars may stand any way up, the others are turned a little; textures any way */
    const float most = classes[class_index].texture ? PI : 0.4f,
                turn = cb_rng_uniform(rng, -most, most);
    draw_colour(rng, s.ground[0]);
    for (int c = 0; c < 3; c++)
        s.ground[1][c] = fminf(255, fmaxf(0, s.ground[0][c] + cb_rng_uniform(rng, -50, 50)));
    do
        draw_colour(rng, s.ink);
    while (contrast(s.ink, s.ground[0]) < 60 || contrast(s.ink, s.ground[1]) < 60);
    s.radius = (float)side * cb_rng_uniform(rng, 0.22f, 0.42f);
    s.x = cb_rng_uniform(rng, s.radius, (float)side - s.radius);
    s.y = cb_rng_uniform(rng, s.radius, (float)side - s.radius);
    s.cosine = cosf(turn);
    s.sine = sinf(turn);
    return s;
}

/* The part of a pixel, 0 to 1, that the shape covers. */
static float coverage(const struct scene *s, int class_index, int px, int py)
{
    const float far_x = ((float)px + 0.5f - s->x) / s->radius,
                far_y = ((float)py + 0.5f - s->y) / s->radius;
    int hits = 0;
    if (far_x * far_x + far_y * far_y > 2.4f) /* beyond the frame's corners */
        return 0;
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        const float dx = ((float)px + ((float)(i % SAMPLES) + 0.5f) / SAMPLES - s->x) / s->radius;
        const float dy = ((float)py + ((float)(i / SAMPLES) + 0.5f) / SAMPLES - s->y) / s->radius;
        const float u = dx * s->cosine + dy * s->sine, v = dy * s->cosine - dx * s->sine;
        hits += fabsf(u) <= 1 && fabsf(v) <= 1 &&
                (!classes[class_index].texture || u * u + v * v < 1) &&
                classes[class_index].inside(u, v);
    }
    return (float)hits / (SAMPLES * SAMPLES);
}

struct cb_status cb_shapes_draw(struct cb_arena *arena, struct cb_rng *rng, int class_index,
                                int side, struct cb_image *out, struct cb_shape_place *place)
{
    const struct scene s = compose(rng, class_index, side);
    struct cb_image image = { .width = side, .height = side };
    CB_TRY(cb_arena_get(arena, (size_t)side * (size_t)side, 3, "picture", &image.rgb));
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            const float a = coverage(&s, class_index, x, y),
                        along = (float)(x + y) / (float)(2 * side);
            const float noise = s.grain * cb_rng_uniform(rng, -1, 1);
            uint8_t *pixel = image.rgb + 3 * ((size_t)y * (size_t)side + (size_t)x);
            for (int c = 0; c < 3; c++) {
                const float ground = s.ground[0][c] + (s.ground[1][c] - s.ground[0][c]) * along;
                pixel[c] = (uint8_t)fminf(255, fmaxf(0, ground + (s.ink[c] - ground) * a + noise));
            }
        }
    if (place)
        *place = (struct cb_shape_place){ s.x, s.y, s.radius };
    *out = image;
    return cb_ok();
}
