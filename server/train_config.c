/* The settings of a training, by name: one table for the command line and for JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importers/dataset/features.h"
#include "server/train_job.h"

#define MOST_SEED 9007199254740991.0 /* what JSON's numbers keep whole */

const struct cb_train_config cb_train_config_default = {
    .mode = CB_TRAIN_HEAD,
    .views = 1,
    .head = { .dropout = 0.5f,
              .patience = 20,
              .l2 = -1,
              .held_out = 0.2f,
              .balance = true,
              .seed = 1 },
};

enum kind { MODE, WHOLE, REAL, TRUTH, SEED, AUGMENT };

static const struct setting {
    const char *key;
    enum kind kind;
    size_t offset;
    double min, max;
    const char *automatic; /* a word that stands for min; NULL: none */
} settings[] = {
    { "mode", MODE, offsetof(struct cb_train_config, mode), 0, 0, NULL },
    { "hidden", WHOLE, offsetof(struct cb_train_config, head.hidden), 0, 4096, NULL },
    { "dropout", REAL, offsetof(struct cb_train_config, head.dropout), 0, 0.9, NULL },
    { "epochs", WHOLE, offsetof(struct cb_train_config, head.epochs), 0, 100000, "auto" },
    { "patience", WHOLE, offsetof(struct cb_train_config, head.patience), 1, 100000, NULL },
    { "learning_rate", REAL, offsetof(struct cb_train_config, head.learning_rate), 0, 1, "auto" },
    { "l2", REAL, offsetof(struct cb_train_config, head.l2), -1, 1000, "auto" },
    { "held_out", REAL, offsetof(struct cb_train_config, head.held_out), 0.05, 0.5, NULL },
    { "balance", TRUTH, offsetof(struct cb_train_config, head.balance), 0, 1, NULL },
    { "folds", WHOLE, offsetof(struct cb_train_config, folds), 0, CB_MOST_FOLDS, NULL },
    { "curve", TRUTH, offsetof(struct cb_train_config, curve), 0, 1, NULL },
    { "seed", SEED, offsetof(struct cb_train_config, head.seed), 0, MOST_SEED, NULL },
    { "augment", AUGMENT, offsetof(struct cb_train_config, augment), 0, 0, NULL },
    { "views", WHOLE, offsetof(struct cb_train_config, views), 1, CB_FEATURE_VIEWS_MAX, NULL },
};

/* The same name, with - for _. */
static bool is_key(const char *key, const char *given)
{
    for (; *key && *given; key++, given++)
        if (*key != *given && !(*key == '_' && *given == '-'))
            return false;
    return *key == *given;
}

static const struct setting *find_setting(const char *key)
{
    for (size_t i = 0; i < CB_COUNT_OF(settings); i++)
        if (is_key(settings[i].key, key))
            return &settings[i];
    return NULL;
}

static struct cb_status set_mode(void *at, const char *value)
{
    static const struct {
        const char *name;
        enum cb_train_mode mode;
    } modes[] = { { "head", CB_TRAIN_HEAD }, { "full", CB_TRAIN_FULL } };
    for (size_t i = 0; i < CB_COUNT_OF(modes); i++)
        if (!strcmp(modes[i].name, value)) {
            memcpy(at, &modes[i].mode, sizeof modes[i].mode);
            return cb_ok();
        }
    return cb_fail(CB_ERR_INPUT, "mode is head or full, not '%.40s'", value);
}

static struct cb_status set_truth(void *at, const char *key, const char *value)
{
    const bool is_true = !strcmp(value, "true") || !strcmp(value, "1");
    if (!is_true && strcmp(value, "false") && strcmp(value, "0"))
        return cb_fail(CB_ERR_INPUT, "%s is true or false, not '%.40s'", key, value);
    memcpy(at, &is_true, sizeof is_true);
    return cb_ok();
}

static void store(const struct setting *s, void *at, double number)
{
    const int whole = (int)(s->kind == WHOLE ? number : 0);
    const float real = (float)number;
    const uint64_t seed = (uint64_t)(s->kind == SEED ? number : 0);
    if (s->kind == WHOLE)
        memcpy(at, &whole, sizeof whole);
    else if (s->kind == REAL)
        memcpy(at, &real, sizeof real);
    else
        memcpy(at, &seed, sizeof seed);
}

struct cb_status cb_train_config_set(struct cb_train_config *config, const char *key,
                                     const char *value)
{
    const struct setting *s = find_setting(key);
    char *end = NULL;
    if (!s)
        return cb_fail(CB_ERR_INPUT, "there is no training setting '%.60s'", key);
    void *at = (char *)config + s->offset;
    if (s->kind == MODE)
        return set_mode(at, value);
    if (s->kind == TRUTH)
        return set_truth(at, s->key, value);
    if (s->kind == AUGMENT)
        return cb_augment_parse(value, &config->augment);
    const bool automatic = s->automatic && !strcmp(value, s->automatic);
    const double number = automatic ? s->min : strtod(value, &end);
    if (!automatic && (end == value || *end || !(number >= s->min && number <= s->max) ||
                       (s->kind != REAL && number != floor(number))))
        return cb_fail(CB_ERR_INPUT, "%s is a %snumber from %g to %g, not '%.40s'", s->key,
                       s->kind == REAL ? "" : "whole ", s->min, s->max, value);
    store(s, at, number);
    return cb_ok();
}

static bool is_other(const char *const *others, const char *key)
{
    for (; others && *others; others++)
        if (!strcmp(*others, key))
            return true;
    return false;
}

struct cb_status cb_train_config_parse(struct cb_train_config *config, const cJSON *json,
                                       const char *const *others)
{
    const cJSON *member;
    if (!cJSON_IsObject(json))
        return cb_fail(CB_ERR_INPUT, "the training's settings are no JSON object");
    cJSON_ArrayForEach(member, json)
    {
        char number[40];
        const char *value = number;
        if (is_other(others, member->string))
            continue;
        if (cJSON_IsNumber(member))
            snprintf(number, sizeof number, "%.17g", member->valuedouble);
        else if (cJSON_IsString(member))
            value = member->valuestring;
        else if (cJSON_IsBool(member))
            value = cJSON_IsTrue(member) ? "true" : "false";
        else
            return cb_fail(CB_ERR_INPUT, "%.60s: a number, a text or a truth value is wanted",
                           member->string);
        CB_TRY(cb_train_config_set(config, member->string, value));
    }
    return cb_ok();
}

struct cb_status cb_train_config_check(const struct cb_train_config *config)
{
    const bool augmented = !cb_augment_is_nothing(&config->augment);
    if (augmented && config->views < 2)
        return cb_fail(CB_ERR_INPUT,
                       "augment wants views of at least 2: the photo itself is the first");
    if (!augmented && config->views > 1)
        return cb_fail(CB_ERR_INPUT,
                       "views %d wants augment: without, each is the photo itself again",
                       config->views);
    if (config->mode == CB_TRAIN_FULL)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "mode full (tuning the whole network) is not there yet: mode head is");
    if (config->folds == 1)
        return cb_fail(CB_ERR_INPUT, "folds is a number from 2 to %d, or 0 for none, not 1",
                       CB_MOST_FOLDS);
    return cb_ok();
}
