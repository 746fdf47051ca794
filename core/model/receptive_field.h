/* core/model/receptive_field.h - which part of the input each element of a tensor can see.
 *
 * Along every axis of every tensor the first element sees the input's places start .. end (pads
 * count as places: both may lie outside), and element i the same moved by i * stride: the
 * recurrence of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural
 * Networks" (doi:10.23915/distill.00021). Where paths meet, the field is what any of them sees. A
 * tensor that also depends on the input regardless of place (behind a global pool, by way of a
 * squeeze-and-excitation gate, normalization over places or attention) says so with `whole`; the
 * part that is bound to places is told all the same. Operators that are not known here make a
 * tensor that sees everything: never less than the truth. */
#pragma once

#include "core/graph/graph.h"

struct cb_field_axis {
    bool located; /* elements along this axis of the tensor go along `of` */
    int of;       /* spatial axis of the input, from 0 */
    double start, end, stride;
};

struct cb_field {
    bool depends;                           /* on the input at all */
    bool whole;                             /* on all of it, too */
    struct cb_field_axis axis[CB_MAX_RANK]; /* of the tensor */
};

/* The fields of all values of a graph whose shapes are known: [n_values], in `arena`. `input` is a
 * value of rank 3 to 5, [N,C,spatial...] or [N,spatial...,C]; of other ranks no axis is a place.
 * Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_fields_find(const struct cb_graph *graph, int input,
                                            bool channels_last, struct cb_arena *arena,
                                            struct cb_field **out);

/* The axis of the tensor that goes along the input's spatial axis `of`; NULL: none does. */
const struct cb_field_axis *cb_field_along(const struct cb_field *field, int of);

/* Places that an element sees along it. */
static inline double cb_field_size(const struct cb_field_axis *axis)
{
    return axis->end - axis->start + 1;
}
