/* docs/OPERATORS.md against the tables: a row for every operator, and none for others. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/ops/op.h"
#include "importers/onnx/rules/rules.h"

static const char *gradient_of(const struct cb_onnx_rule *rule)
{
    if (rule->op == CB_OP_COUNT)
        return "body";
    return cb_op_get(rule->op)->backward ? "yes" : "no";
}

/* "\n| NAME | SINCE, SINCE | GRADIENT | " of the operator whose rules begin at i. */
static void row_of(const char *domain, const struct cb_onnx_rules *rules, size_t i, char text[200])
{
    const struct cb_onnx_rule *rule = &rules->rule[i];
    int n = snprintf(text, 200, "\n| %s%s%s | %d", domain, *domain ? "." : "", rule->op_type,
                     rule->since);
    for (size_t k = i + 1; k < rules->n && !strcmp(rules->rule[k].op_type, rule->op_type); k++)
        n += snprintf(text + n, 200 - (size_t)n, ", %d", rules->rule[k].since);
    snprintf(text + n, 200 - (size_t)n, " | %s | ", gradient_of(rule));
}

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

Test(documentation, has_a_row_for_every_operator_that_loads)
{
    static const char *const domains[] = { "", "com.microsoft" };
    struct cb_bytes file;
    struct cb_buf doc;
    size_t n = 0;
    cr_assert_eq(cb_file_map("docs/OPERATORS.md", &file).code, CB_OK);
    cb_buf_init(&doc, 1 << 20);
    cb_buf_add(&doc, file.data, file.len); /* ends with a 0 */
    cb_file_unmap(&file);
    for (size_t d = 0; d < CB_COUNT_OF(domains); d++) {
        const struct cb_onnx_rules *rules = cb_onnx_rules_of(domains[d]);
        for (size_t i = 0; i < rules->n; i++) {
            char row[200];
            if (i > 0 && !strcmp(rules->rule[i].op_type, rules->rule[i - 1].op_type))
                continue;
            row_of(domains[d], rules, i, row);
            cr_expect_eq(occurrences(doc.data, row), 1, "docs/OPERATORS.md wants one row%s", row);
            n++;
        }
    }
    const size_t rows = occurrences(doc.data, " | yes | ") + occurrences(doc.data, " | no | ") +
                        occurrences(doc.data, " | body | ");
    cr_expect_eq(rows, n, "docs/OPERATORS.md has %zu rows, the tables %zu operators", rows, n);
    cb_buf_deinit(&doc);
}
