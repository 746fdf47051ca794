#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/ops/op.h"

Test(op_table, has_a_complete_row_for_every_operator)
{
    for (enum cb_op op = 0; op < CB_OP_COUNT; op++) {
        const struct cb_op_def *def = cb_op_get(op);
        cr_assert_not_null(def, "operator %d has no row", (int)op);
        cr_assert_not_null(def->name, "operator %d has no name", (int)op);
        cr_expect_not_null(def->infer, "%s has no infer", def->name);
        const bool sizes = def->packed_bytes != NULL, packs = def->pack != NULL;
        cr_expect(def->max_in >= def->min_in, "%s", def->name);
        cr_expect(def->max_out >= 1, "%s", def->name);
        cr_expect(sizes == packs, "%s packs and says how much, or neither", def->name);
    }
}

Test(op_table, gives_each_operator_a_name_of_its_own)
{
    for (enum cb_op a = 0; a < CB_OP_COUNT; a++)
        for (enum cb_op b = a + 1; b < CB_OP_COUNT; b++)
            cr_expect(ne(str, (char *)cb_op_get(a)->name, (char *)cb_op_get(b)->name));
}

Test(op_table, windows_default_to_stride_and_dilation_one)
{
    const struct cb_window w = cb_attr_default(CB_OP_CONV).conv.window;
    for (int i = 0; i < CB_MAX_SPATIAL; i++) {
        cr_expect(eq(i64, w.stride[i], 1));
        cr_expect(eq(i64, w.dilation[i], 1));
        cr_expect(eq(i64, w.kernel[i], 0));
    }
    cr_expect(eq(i64, cb_attr_default(CB_OP_CONV).conv.group, 1));
    cr_expect(eq(int, cb_attr_default(CB_OP_REDUCE_SUM).reduce.axes.count, -1));
}
