#include <criterion/criterion.h>
#include <string.h>

#include "server/train_job.h"

Test(train_config, default_is_that_of_the_trainer)
{
    const struct cb_head_config *a = &cb_train_config_default.head, *b = &cb_head_config_default;
    cr_expect(a->hidden == b->hidden && a->dropout == b->dropout && a->epochs == b->epochs &&
              a->patience == b->patience && a->learning_rate == b->learning_rate &&
              a->l2 == b->l2 && a->held_out == b->held_out && a->balance == b->balance &&
              a->seed == b->seed);
}

Test(train_config, sets_values_by_name_with_either_dash)
{
    struct cb_train_config c = cb_train_config_default;
    cr_expect_eq(cb_train_config_set(&c, "hidden", "64").code, CB_OK);
    cr_expect_eq(cb_train_config_set(&c, "learning-rate", "1e-3").code, CB_OK);
    cr_expect_eq(cb_train_config_set(&c, "held_out", "0.25").code, CB_OK);
    cr_expect_eq(cb_train_config_set(&c, "l2", "auto").code, CB_OK);
    cr_expect_eq(cb_train_config_set(&c, "balance", "false").code, CB_OK);
    cr_expect_eq(cb_train_config_set(&c, "seed", "9007199254740991").code, CB_OK);
    cr_expect(c.head.hidden == 64 && c.head.learning_rate == 1e-3f && c.head.held_out == 0.25f &&
              c.head.l2 == -1 && !c.head.balance && c.head.seed == 9007199254740991);
    cr_expect_eq(cb_train_config_check(&c).code, CB_OK);
}

Test(train_config, values_outside_their_range_are_refused_by_name)
{
    static const struct {
        const char *key, *value;
    } bad[] = {
        { "hidden", "-1" },   { "hidden", "4097" },   { "hidden", "1.5" },
        { "hidden", "" },     { "hidden", "12x" },    { "dropout", "0.91" },
        { "dropout", "nan" }, { "epochs", "1e9" },    { "learning_rate", "2" },
        { "l2", "inf" },      { "held_out", "0.51" }, { "held_out", "0" },
        { "balance", "yes" }, { "seed", "-1" },       { "mode", "half" },
        { "patience", "0" },  { "folds", "21" },      { "curve", "maybe" },
        { "colour", "red" },  { "views", "0" },       { "views", "33" },
        { "augment", "2" },   { "augment", "rotate=200" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++) {
        struct cb_train_config c = cb_train_config_default;
        const struct cb_status st = cb_train_config_set(&c, bad[i].key, bad[i].value);
        cr_expect(st.code == CB_ERR_INPUT && strstr(st.msg, bad[i].key), "%s=%s: %s", bad[i].key,
                  bad[i].value, st.msg);
    }
}

static enum cb_code parse(const char *text, struct cb_train_config *c)
{
    static const char *const others[] = { "base", NULL };
    cJSON *json = cJSON_Parse(text);
    *c = cb_train_config_default;
    const enum cb_code code = cb_train_config_parse(c, json, others).code;
    cJSON_Delete(json);
    return code;
}

Test(train_config, json_members_are_settings_or_the_callers)
{
    struct cb_train_config c;
    cr_expect_eq(
        parse("{\"base\":[1],\"hidden\":32,\"dropout\":0.25,\"balance\":false,\"l2\":\"auto\"}",
              &c),
        CB_OK);
    cr_expect(c.head.hidden == 32 && c.head.dropout == 0.25f && !c.head.balance && c.head.l2 == -1);
    cr_expect_eq(parse("{\"hiden\":32}", &c), CB_ERR_INPUT);
    cr_expect_eq(parse("{\"hidden\":[]}", &c), CB_ERR_INPUT);
    cr_expect_eq(parse("{\"hidden\":null}", &c), CB_ERR_INPUT);
    cr_expect_eq(parse("[]", &c), CB_ERR_INPUT);
    cr_expect_eq(parse("", &c), CB_ERR_INPUT);
}

Test(train_config, mode_full_is_not_there_yet)
{
    struct cb_train_config c;
    cr_expect_eq(parse("{\"mode\":\"full\"}", &c), CB_OK);
    cr_expect_eq(cb_train_config_check(&c).code, CB_ERR_UNSUPPORTED);
}

Test(train_config, augment_and_views_want_each_other)
{
    struct cb_train_config c;
    cr_expect_eq(parse("{\"augment\":0.5,\"views\":4}", &c), CB_OK);
    cr_expect(c.views == 4 && c.augment.flip == 0.25f);
    cr_expect_eq(cb_train_config_check(&c).code, CB_OK);
    cr_expect_eq(parse("{\"augment\":\"flip=0.5,rotate=10\",\"views\":2}", &c), CB_OK);
    cr_expect(c.augment.flip == 0.5f && c.augment.rotate == 10 && c.augment.crop == 0);
    cr_expect_eq(cb_train_config_check(&c).code, CB_OK);
    cr_expect_eq(parse("{\"augment\":0.5}", &c), CB_OK);
    cr_expect(strstr(cb_train_config_check(&c).msg, "views of at least 2"));
    cr_expect_eq(parse("{\"views\":4}", &c), CB_OK);
    cr_expect(strstr(cb_train_config_check(&c).msg, "views 4 wants augment"));
    cr_expect_eq(parse("{\"augment\":0}", &c), CB_OK);
    cr_expect_eq(cb_train_config_check(&c).code, CB_OK);
}
