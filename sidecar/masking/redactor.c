#include "sidecar/masking/redactor_internal.h"

#include <stdlib.h>

/* ---- creation ----------------------------------------------------------------------------- */

static enum err check(const struct redactor_config *c, struct err_text *why)
{
    bool wants_key = c->kind == REDACTOR_TO_HASH || c->kind == REDACTOR_TO_DIGITS;
    if (c->kind > REDACTOR_TO_DATE || c->unit > REDACTOR_DAY) {
        return err_set(why, ERR_INVALID, "there is no such redactor");
    }
    if (wants_key && c->key.size < REDACTOR_KEY_MIN) {
        return err_set(why, ERR_INVALID, "the redactor's key has %zu bytes, of at least %d",
                       c->key.size, REDACTOR_KEY_MIN);
    }
    if (c->text.size > REDACTOR_TEXT_MAX ||
        memchr(c->text.data == NULL ? "" : (const char *)c->text.data, 0, c->text.size) != NULL) {
        return err_set(why, ERR_INVALID, "the fixed text is longer than %d bytes, or holds a NUL",
                       REDACTOR_TEXT_MAX);
    }
    if (c->keep_first > REDACTOR_KEEP_MAX || c->keep_last > REDACTOR_KEEP_MAX) {
        return err_set(why, ERR_INVALID, "more than %d characters would be kept",
                       REDACTOR_KEEP_MAX);
    }
    if (c->mask != 0 && (c->mask < ' ' || c->mask > '~')) {
        return err_set(why, ERR_INVALID, "the mask is not a printable character of ASCII");
    }
    return OK;
}

enum err redactor_create(const struct redactor_config *config, struct redactor **out,
                         struct err_text *why)
{
    enum err e = check(config, why);
    if (e != OK) {
        return e;
    }
    struct redactor *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a redactor");
    }
    r->config = *config;
    if (config->text.size > 0) {
        memcpy(r->text, config->text.data, config->text.size);
    }
    r->config.text = bytes_of(r->text, config->text.size);
    crypto_hmac_init(&r->keyed, config->key);
    r->config.key = (struct bytes){0};
    r->config.mask = config->mask == 0 ? '*' : config->mask;
    redactor_prepare_partial(r);
    r->config.max_value = config->max_value == 0 ? REDACTOR_VALUE_MAX : config->max_value;
    /* A numeric of a few bytes may print 150 KB. */
    size_t cap = r->config.max_value + (256 << 10);
    buffer_init(&r->scratch, cap);
    buffer_init(&r->made, cap);
    buffer_init(&r->element, cap);
    buffer_init(&r->piece, 2 * cap);
    *out = r;
    return OK;
}

void redactor_destroy(struct redactor *r)
{
    if (r != NULL) {
        buffer_wipe(&r->scratch);
        buffer_wipe(&r->made);
        buffer_wipe(&r->element);
        buffer_wipe(&r->piece);
        bytes_wipe(r, sizeof(*r));
        free(r);
    }
}

/* ---- the kinds that need no key ------------------------------------------------------------ */

static bool is_json(const struct value_type *type)
{
    return type->kind == VALUE_JSON || type->kind == VALUE_JSONB;
}

static enum err make_fixed(struct redactor *r, struct value *v)
{
    struct bytes text = r->config.text;
    if (v->type->kind == VALUE_BYTEA) {
        v->text = text;
        return OK;
    }
    if (!is_json(v->type)) {
        return value_read(v->type, false, text, &r->scratch, v);
    }
    buffer_clear(&r->made);
    enum err e = redactor_put_json(text, true, &r->made);
    v->text = buffer_bytes(&r->made);
    return e;
}

static enum err make_date(const struct redactor *r, struct value *v)
{
    static const enum value_unit units[] = {
        [REDACTOR_YEAR] = VALUE_YEAR, [REDACTOR_MONTH] = VALUE_MONTH, [REDACTOR_DAY] = VALUE_DAY};
    enum value_unit unit = units[r->config.unit];
    switch (v->type->kind) {
    case VALUE_DATE: v->number = value_days_truncate(v->number, unit); return OK;
    case VALUE_TIMESTAMP:
    case VALUE_TIMESTAMPTZ: v->number = value_timestamp_truncate(v->number, unit); return OK;
    default: return ERR_INVALID;
    }
}

/* ---- one value ------------------------------------------------------------------------------ */

static enum err make(struct redactor *r, struct value *v)
{
    switch (r->config.kind) {
    case REDACTOR_TO_NULL: return ERR_INVALID;
    case REDACTOR_TO_FIXED: return make_fixed(r, v);
    case REDACTOR_TO_PARTIAL: return redactor_make_partial(r, v);
    case REDACTOR_TO_HASH: return redactor_make_hash(r, v);
    case REDACTOR_TO_DIGITS: return redactor_make_digits(r, v);
    case REDACTOR_TO_DATE: return make_date(r, v);
    }
    return ERR_INTERNAL;
}

enum err redactor_apply_one(struct redactor *r, const struct value_type *type, bool is_binary,
                            struct bytes value, struct buffer *out)
{
    struct value v = {.type = type};
    enum err e = OK;
    /* What is put in its place does not depend on it: it need not even be well formed. */
    if (r->config.kind != REDACTOR_TO_FIXED) {
        e = value_read(type, is_binary, value, &r->scratch, &v);
    }
    if (e == OK) {
        e = make(r, &v);
    }
    return e == OK ? value_write(&v, is_binary, out) : e;
}

static const struct value_type *find_type(struct redactor *r, uint32_t oid, bool *out_is_array)
{
    if (r->type == NULL || r->type_oid != oid) {
        r->type = value_type_find(oid, &r->type_is_array);
        r->type_oid = oid;
    }
    *out_is_array = r->type_is_array;
    return r->type;
}

bool redactor_apply_in_place(struct redactor *r, uint32_t type, uint8_t *value, size_t size)
{
    bool is_array = false;
    if (r->config.kind != REDACTOR_TO_PARTIAL || size > r->config.max_value) {
        return false;
    }
    const struct value_type *found = find_type(r, type, &is_array);
    return found != NULL && !is_array && found->kind == VALUE_TEXT &&
           redactor_make_partial_in_place(r, value, size);
}

enum redactor_result redactor_apply(struct redactor *r, uint32_t type, bool is_binary,
                                    struct bytes value, struct buffer *out)
{
    if (r->config.kind == REDACTOR_TO_NULL) {
        return REDACTOR_NULL;
    }
    bool is_array = false;
    const struct value_type *found = find_type(r, type, &is_array);
    if (found == NULL) {
        return REDACTOR_NULL_INSTEAD;
    }
    if (value.size > r->config.max_value) {
        return REDACTOR_FAILED;
    }
    size_t before = buffer_size(out);
    enum err e = is_array ? redactor_apply_array(r, found, is_binary, value, out)
                          : redactor_apply_one(r, found, is_binary, value, out);
    if (e != OK) {
        out->end = out->start + before;
    }
    return e == OK ? REDACTOR_VALUE : e == ERR_INVALID ? REDACTOR_NULL_INSTEAD : REDACTOR_FAILED;
}
