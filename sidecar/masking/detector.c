#include "sidecar/masking/detector_internal.h"

#include <stdlib.h>

enum { EXPRESSIONS_MAX = 64 + DETECTOR_CUSTOM_MAX, STREAM_MAX = 64 << 10 };

static const char *const names[] = {
    "email",     "card", "iban",  "ssn",         "dni", "codice_fiscale",
    "steuer_id", "ahv",  "phone", "private_key", "jwt", "api_key",
};

const char *detector_name(unsigned id)
{
    return id < DETECTOR_BUILT_IN ? names[id] : NULL;
}

bool detector_looks_like_json(struct bytes value)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
            return c == '{' || c == '[' || c == '"';
        }
    }
    return false;
}

struct expressions {
    const char *text[EXPRESSIONS_MAX];
    unsigned flags[EXPRESSIONS_MAX], ids[EXPRESSIONS_MAX];
    unsigned count;
};

static void add(struct expressions *e, const char *text, unsigned flags, unsigned id)
{
    e->text[e->count] = text;
    e->flags[e->count] = flags;
    e->ids[e->count++] = id;
}

/* Nested counts multiply in the automaton: a bound on their product bounds the compilation. */
static bool repeats_are_bounded(const char *pattern)
{
    unsigned long product = 1;
    for (const char *at = pattern; (at = strchr(at, '{')) != NULL; at++) {
        char *end = NULL;
        unsigned long most = strtoul(at + 1, &end, 10);
        if (*end == ',') {
            unsigned long upper = strtoul(end + 1, NULL, 10);
            most = upper > most ? upper : most;
        }
        if (most > DETECTOR_REPEAT_MAX || (product *= most > 0 ? most : 1) > DETECTOR_REPEAT_MAX) {
            return false;
        }
    }
    return true;
}

static enum err check_custom(const struct detector_custom *c, struct err_text *why)
{
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *error = NULL;
    if (strlen(c->pattern) > DETECTOR_PATTERN_MAX || !repeats_are_bounded(c->pattern)) {
        return err_set(why, ERR_LIMIT, "the expression of detector %s is too large", c->name);
    }
    unsigned flags = HS_FLAG_SOM_LEFTMOST | (c->is_caseless ? HS_FLAG_CASELESS : 0);
    if (hs_expression_info(c->pattern, flags, &info, &error) != HS_SUCCESS) {
        enum err e = err_set(why, ERR_INVALID, "the expression of detector %s: %s", c->name,
                             error == NULL ? "no memory" : error->message);
        (void)hs_free_compile_error(error);
        return e;
    }
    unsigned least = info->min_width, most = info->max_width;
    free(info);
    if (least == 0) {
        return err_set(why, ERR_INVALID, "the expression of detector %s matches nothing at all",
                       c->name);
    }
    if (most > DETECTOR_WIDTH_MAX) {
        return err_set(why, ERR_LIMIT,
                       "the expression of detector %s matches without a bound, or more than %d "
                       "bytes: write {1,64} instead of +",
                       c->name, DETECTOR_WIDTH_MAX);
    }
    return OK;
}

static enum err compile_mode(const struct expressions *e, const struct detector_config *config,
                             unsigned mode, hs_database_t **out, struct err_text *why)
{
    hs_compile_error_t *error = NULL;
    if (hs_compile_multi(e->text, e->flags, e->ids, e->count, mode, NULL, out, &error) !=
        HS_SUCCESS) {
        int at = error == NULL ? -1 : error->expression;
        bool is_custom = at >= 0 && e->ids[at] >= EXPRESSION_CUSTOM;
        (void)err_set(why, ERR_INVALID, "the expression of detector %s: %s",
                      is_custom ? config->custom[e->ids[at] - EXPRESSION_CUSTOM].name : "(any)",
                      error == NULL ? "no memory" : error->message);
        (void)hs_free_compile_error(error);
        return ERR_INVALID;
    }
    return OK;
}

static enum err compile(const struct expressions *e, const struct detector_config *config,
                        struct detector *d, struct err_text *why)
{
    size_t size = 0;
    enum err failed =
        compile_mode(e, config, HS_MODE_STREAM | HS_MODE_SOM_HORIZON_LARGE, &d->database, why);
    if (failed != OK) {
        return failed;
    }
    if (hs_stream_size(d->database, &size) != HS_SUCCESS || size > STREAM_MAX) {
        return err_set(why, ERR_LIMIT, "the detectors need %zu bytes for each stream, of %d", size,
                       STREAM_MAX);
    }
    return compile_mode(e, config, HS_MODE_BLOCK, &d->whole, why);
}

static void add_built_in(struct expressions *e, uint32_t wanted)
{
    for (size_t i = 0; i < detector_pattern_count; i++) {
        if (wanted >> detector_patterns[i].id & 1) {
            add(e, detector_patterns[i].expression, 0, (unsigned)i);
        }
    }
    if (wanted >> DETECTOR_PRIVATE_KEY & 1) {
        add(e, "-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", 0, EXPRESSION_KEY_END);
    }
}

enum err detector_create(const struct detector_config *config, struct detector **out,
                         struct err_text *why)
{
    struct expressions e = {.count = 0};
    if (config->custom_count > DETECTOR_CUSTOM_MAX) {
        return err_set(why, ERR_LIMIT, "more than %d custom detectors", DETECTOR_CUSTOM_MAX);
    }
    add_built_in(&e, config->built_in);
    for (unsigned i = 0; i < config->custom_count; i++) {
        const struct detector_custom *c = &config->custom[i];
        enum err bad = check_custom(c, why);
        if (bad != OK) {
            return bad;
        }
        add(&e, c->pattern, HS_FLAG_SOM_LEFTMOST | (c->is_caseless ? HS_FLAG_CASELESS : 0),
            EXPRESSION_CUSTOM + i);
    }
    struct detector *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the detectors");
    }
    d->is_built_in = config->custom_count == 0;
    enum err failed = e.count == 0 ? OK : compile(&e, config, d, why);
    if (failed != OK) {
        detector_destroy(d);
        return failed;
    }
    *out = d;
    return OK;
}

void detector_destroy(struct detector *d)
{
    if (d != NULL) {
        (void)hs_free_database(d->database);
        (void)hs_free_database(d->whole);
        free(d);
    }
}
