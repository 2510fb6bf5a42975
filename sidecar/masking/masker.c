/* From the rules of a policy to redactors and detectors; the counts. */
#include "sidecar/masking/masker_internal.h"

#include <stdlib.h>

#include "base/crypto/crypto.h"

enum { KEY_SIZE = 32 };

/* Beyond the row itself: what a fixed text or an escape may add. */
enum { VALUE_CAP = 2 * MASKER_ROW_MAX + (1 << 20) };

/* ---- redactors ------------------------------------------------------------------------------ */

static bool is_keyed(const struct policy_mask *rule)
{
    return rule->redaction == POLICY_REDACT_HASH || rule->redaction == POLICY_REDACT_DIGITS;
}

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static bool to_kind(enum policy_redaction redaction, enum redactor_kind *out)
{
    switch (redaction) {
    case POLICY_REDACT_NULL: *out = REDACTOR_TO_NULL; return true;
    case POLICY_REDACT_FIXED: *out = REDACTOR_TO_FIXED; return true;
    case POLICY_REDACT_PARTIAL: *out = REDACTOR_TO_PARTIAL; return true;
    case POLICY_REDACT_HASH: *out = REDACTOR_TO_HASH; return true;
    case POLICY_REDACT_DIGITS: *out = REDACTOR_TO_DIGITS; return true;
    case POLICY_REDACT_DATE: *out = REDACTOR_TO_DATE; return true;
    }
    return false;
}

static bool to_unit(enum policy_date_unit unit, enum redactor_unit *out)
{
    switch (unit) {
    case POLICY_YEAR: *out = REDACTOR_YEAR; return true;
    case POLICY_MONTH: *out = REDACTOR_MONTH; return true;
    case POLICY_DAY: *out = REDACTOR_DAY; return true;
    }
    return false;
}

/* Keys of different names tell nothing of each other. */
static void derive_key(struct bytes key, const char *name, uint8_t *out)
{
    struct crypto_hmac mac;
    crypto_hmac_init(&mac, key);
    crypto_hmac_update(&mac, bytes_of_string("chaperone masking\n"));
    crypto_hmac_update(&mac, bytes_of_string(name));
    crypto_hmac_finish(&mac, out);
}

static enum err create_redactor(const struct policy_mask *rule, struct bytes key,
                                struct redactor **out, struct err_text *why)
{
    uint8_t own_key[KEY_SIZE] = {0};
    struct redactor_config config = {
        .text = bytes_of_string(rule->text),
        .keep_first = rule->keep_first,
        .keep_last = rule->keep_last,
        .mask = rule->mask_character,
        .keep_separators = rule->keep_separators,
        .replace_letters = rule->replace_letters,
        .max_value = MASKER_ROW_MAX,
    };
    if (!to_kind(rule->redaction, &config.kind) || !to_unit(rule->unit, &config.unit)) {
        return err_set(why, ERR_INVALID, "rule %s asks for a redaction that there is not",
                       text_of(rule->rule));
    }
    if (is_keyed(rule)) {
        if (key.size != KEY_SIZE) {
            return err_set(why, ERR_INVALID, "rule %s needs a masking key of %d bytes, not %zu",
                           text_of(rule->rule), KEY_SIZE, key.size);
        }
        derive_key(key, text_of(rule->hash_key), own_key);
        config.key = bytes_of(own_key, sizeof(own_key));
    }
    struct err_text reason = {""};
    enum err e = redactor_create(&config, out, &reason);
    bytes_wipe(own_key, sizeof(own_key));
    return e == OK ? OK : err_set(why, e, "rule %s: %s", text_of(rule->rule), reason.text);
}

/* Whether two rules make the same of every value. */
static bool is_same_redaction(const struct policy_mask *a, const struct policy_mask *b)
{
    return a->redaction == b->redaction && strcmp(text_of(a->text), text_of(b->text)) == 0 &&
           a->keep_first == b->keep_first && a->keep_last == b->keep_last &&
           a->mask_character == b->mask_character && a->keep_separators == b->keep_separators &&
           a->replace_letters == b->replace_letters && a->unit == b->unit &&
           strcmp(text_of(a->hash_key), text_of(b->hash_key)) == 0;
}

/* ---- detectors ------------------------------------------------------------------------------ */

/* DETECTOR_BUILT_IN: there is none of this name. */
static unsigned find_built_in(const char *name)
{
    unsigned id = 0;
    while (id < DETECTOR_BUILT_IN && strcmp(detector_name(id), text_of(name)) != 0) {
        id++;
    }
    return id;
}

static enum err want(struct masker_wanted *w, const struct policy_detector *d, unsigned *out_id,
                     struct err_text *why)
{
    if (d->pattern == NULL) {
        unsigned id = find_built_in(d->name);
        if (id == DETECTOR_BUILT_IN) {
            return err_set(why, ERR_INVALID, "there is no detector %s", text_of(d->name));
        }
        w->built_in |= UINT32_C(1) << id;
        *out_id = id;
        return OK;
    }
    for (size_t i = 0; i < w->custom_count; i++) {
        if (strcmp(w->custom[i].pattern, d->pattern) == 0 &&
            w->custom[i].is_caseless == d->is_caseless) {
            *out_id = (unsigned)(DETECTOR_BUILT_IN + i);
            return OK;
        }
    }
    if (w->custom_count == DETECTOR_CUSTOM_MAX) {
        return err_set(why, ERR_LIMIT, "the rules have more than %d detectors of their own",
                       DETECTOR_CUSTOM_MAX);
    }
    w->custom[w->custom_count] =
        (struct detector_custom){text_of(d->name), d->pattern, d->is_caseless};
    *out_id = (unsigned)(DETECTOR_BUILT_IN + w->custom_count++);
    return OK;
}

/* The first rule that asks for a detector says how; when a further one says it differently, nothing
 * of what is found stays. */
static enum err assign(struct masker *m, const struct policy_mask *const *rules,
                       struct masker_wanted *w, struct err_text *why)
{
    bool is_taken[MASKER_DETECTORS_MAX] = {false};
    for (size_t i = 0; i < m->rule_count; i++) {
        for (size_t j = 0; j < rules[i]->detector_count; j++) {
            unsigned id = 0;
            enum err e = want(w, &rules[i]->detectors[j], &id, why);
            if (e != OK) {
                return e;
            }
            if (!is_taken[id]) {
                is_taken[id] = true;
                m->owners[id] = (uint8_t)i;
                m->by_detector[id] = m->redactors[i];
            } else if (!is_same_redaction(rules[m->owners[id]], rules[i])) {
                m->by_detector[id] = NULL;
            }
        }
    }
    return OK;
}

/* Rules that redact alike share the redactor's identity: where their finds overlap, they agree. */
static void unify(struct masker *m, const struct policy_mask *const *rules)
{
    for (size_t id = 0; id < MASKER_DETECTORS_MAX; id++) {
        size_t i = 0;
        while (i < m->owners[id] && !is_same_redaction(rules[i], rules[m->owners[id]])) {
            i++;
        }
        if (m->by_detector[id] != NULL) {
            m->by_detector[id] = m->redactors[i];
        }
    }
}

static enum err create_detectors(struct masker *m, struct masker_cache *cache,
                                 const struct policy_mask *const *rules, struct err_text *why)
{
    struct masker_wanted *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the detectors");
    }
    enum err e = assign(m, rules, w, why);
    if (e == OK) {
        unify(m, rules);
    }
    if (e == OK && (w->built_in != 0 || w->custom_count > 0)) {
        m->has_custom = w->custom_count > 0;
        e = masker_set_get(cache, w, &m->set, why);
        if (e == OK) {
            e = detector_stream_create(masker_set_detector(m->set), &m->stream);
            e = e == OK ? OK : err_set(why, e, "no memory for the detectors");
        }
    }
    free(w);
    return e;
}

/* ---- creation ------------------------------------------------------------------------------- */

static void take_names(struct masker *m, const struct policy_mask *const *rules)
{
    for (size_t i = 0; i < m->rule_count; i++) {
        m->redactions[i] = rules[i]->redaction;
        m->unknown_origins[i] = rules[i]->unknown_origin;
        m->content_rules |= rules[i]->detector_count > 0 ? UINT64_C(1) << i : 0;
        if (rules[i]->names_http) {
            m->http_rules |= UINT64_C(1) << i;
            m->field_rules |= policy_mask_names_fields(rules[i]) ? UINT64_C(1) << i : 0;
            m->masks[i] = rules[i];
            policy_mask_hold(rules[i]);
        }
    }
}

enum err masker_create_cached(struct masker_cache *cache, const struct policy_mask *const *rules,
                              size_t count, struct bytes key, struct masker **out,
                              struct err_text *why)
{
    if (count > MASKER_RULES_MAX) {
        return err_set(why, ERR_LIMIT, "more than %d rules mask", MASKER_RULES_MAX);
    }
    struct masker *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the masker");
    }
    buffer_init(&m->value, VALUE_CAP);
    buffer_init(&m->text, VALUE_CAP);
    buffer_init(&m->json, VALUE_CAP);
    buffer_init(&m->element, VALUE_CAP);
    buffer_init(&m->piece, VALUE_CAP);
    enum err e = OK;
    for (; e == OK && m->rule_count < count; m->rule_count += e == OK) {
        e = create_redactor(rules[m->rule_count], key, &m->redactors[m->rule_count], why);
    }
    take_names(m, rules);
    e = e == OK ? create_detectors(m, cache, rules, why) : e;
    if (e != OK) {
        masker_destroy(m);
        return e;
    }
    *out = m;
    return OK;
}

enum err masker_create(const struct policy_mask *const *rules, size_t count, struct bytes key,
                       struct masker **out, struct err_text *why)
{
    return masker_create_cached(NULL, rules, count, key, out, why);
}

void masker_destroy(struct masker *m)
{
    if (m != NULL) {
        for (size_t i = 0; i < m->rule_count; i++) {
            redactor_destroy(m->redactors[i]);
            if (m->masks[i] != NULL) {
                policy_mask_release(m->masks[i]);
            }
        }
        detector_stream_destroy(m->stream);
        masker_set_release(m->set);
        buffer_wipe(&m->value);
        buffer_wipe(&m->text);
        buffer_wipe(&m->json);
        buffer_wipe(&m->element);
        buffer_wipe(&m->piece);
        free(m->counts);
        free(m);
    }
}

bool masker_has_detectors(const struct masker *m)
{
    return m->set != NULL;
}
