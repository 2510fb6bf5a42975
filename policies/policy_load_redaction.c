/* `with`: what a masked value becomes. */
#include "policies/policy_load.h"

/* As sidecar/masking/redactor.h has them. */
enum { FIXED_MAX = 1024, KEEP_MAX = 1024 };

static enum err key_read(struct load *l, const struct conf_node *map, struct policy_mask *mask)
{
    const char *name = NULL;
    enum err e = conf_read_string(map, "key", &name, l->why);
    if (e != OK || name == NULL) {
        return e;
    }
    e = load_check_name(l, conf_get(map, "key"), name);
    return e == OK ? load_copy_text(l, name, &mask->hash_key) : e;
}

static enum err fixed_read(struct load *l, const struct conf_node *n, struct policy_mask *mask)
{
    const char *text = "";
    enum err e = conf_as_string(n, &text, l->why);
    if (e == OK && strlen(text) > FIXED_MAX) {
        e = conf_fail(n, l->why, "expected a text of at most %d bytes, found %zu", FIXED_MAX,
                      strlen(text));
    }
    mask->redaction = POLICY_REDACT_FIXED;
    return e == OK ? load_copy_text(l, text, &mask->text) : e;
}

static enum err character_read(struct load *l, const struct conf_node *n, char *out)
{
    const char *text = NULL;
    enum err e = conf_read_string(n, "character", &text, l->why);
    if (e == OK && text != NULL && (text[1] != '\0' || text[0] < ' ' || text[0] > '~')) {
        e = conf_fail(conf_get(n, "character"), l->why,
                      "expected one character of ASCII, found \"%.40s\"", text);
    }
    if (e == OK && text != NULL) {
        *out = text[0];
    }
    return e;
}

static enum err partial_read(struct load *l, const struct conf_node *n, struct policy_mask *mask)
{
    static const char *const keys[] = {"keep_first", "keep_last", "character", "keep_separators",
                                       NULL};
    int64_t first = 0, last = 0;
    enum err e = conf_check_keys(n, keys, l->why);
    e = e == OK ? conf_read_integer(n, "keep_first", "a number of characters", 0, KEEP_MAX, &first,
                                    l->why)
                : e;
    e = e == OK ? conf_read_integer(n, "keep_last", "a number of characters", 0, KEEP_MAX, &last,
                                    l->why)
                : e;
    e = e == OK ? conf_read_bool(n, "keep_separators", &mask->keep_separators, l->why) : e;
    e = e == OK ? character_read(l, n, &mask->mask_character) : e;
    mask->redaction = POLICY_REDACT_PARTIAL;
    mask->keep_first = (size_t)first;
    mask->keep_last = (size_t)last;
    return e;
}

static enum err hash_read(struct load *l, const struct conf_node *n, struct policy_mask *mask)
{
    static const char *const keys[] = {"key", NULL};
    enum err e = conf_check_keys(n, keys, l->why);
    mask->redaction = POLICY_REDACT_HASH;
    return e == OK ? key_read(l, n, mask) : e;
}

static enum err digits_read(struct load *l, const struct conf_node *n, struct policy_mask *mask)
{
    static const char *const keys[] = {"letters", "key", NULL};
    enum err e = conf_check_keys(n, keys, l->why);
    e = e == OK ? conf_read_bool(n, "letters", &mask->replace_letters, l->why) : e;
    mask->redaction = POLICY_REDACT_DIGITS;
    return e == OK ? key_read(l, n, mask) : e;
}

static enum err date_read(struct load *l, const struct conf_node *n, struct policy_mask *mask)
{
    static const struct conf_choice units[] = {
        {"year", POLICY_YEAR}, {"month", POLICY_MONTH}, {"day", POLICY_DAY}, {NULL, 0}};
    int unit = POLICY_YEAR;
    enum err e = conf_as_choice(n, units, &unit, l->why);
    mask->redaction = POLICY_REDACT_DATE;
    mask->unit = (enum policy_date_unit)unit;
    return e;
}

typedef enum err redaction_read(struct load *l, const struct conf_node *n,
                                struct policy_mask *mask);

static const char *const names[] = {"fixed", "partial", "hash", "digits", "date", NULL};
static redaction_read *const readers[] = {fixed_read, partial_read, hash_read, digits_read,
                                          date_read};

static enum err map_read(struct load *l, const struct conf_node *with, struct policy_mask *mask)
{
    enum err e = conf_check_keys(with, names, l->why);
    if (e == OK && conf_count(with) != 1) {
        return conf_fail(with, l->why,
                         "expected one of fixed, partial, hash, digits and date, "
                         "found %zu",
                         conf_count(with));
    }
    for (size_t i = 0; e == OK && names[i] != NULL; i++) {
        const struct conf_node *n = conf_get(with, names[i]);
        if (n != NULL) {
            return readers[i](l, n, mask);
        }
    }
    return e;
}

/* Those that need to know nothing more. */
static enum err word_read(struct load *l, const struct conf_node *with, struct policy_mask *mask)
{
    static const struct conf_choice words[] = {{"null", POLICY_REDACT_NULL},
                                               {"hash", POLICY_REDACT_HASH},
                                               {"digits", POLICY_REDACT_DIGITS},
                                               {NULL, 0}};
    static const struct {
        const char *word, *example;
    } incomplete[] = {{"fixed", "{fixed: \"***\"}"},
                      {"partial", "{partial: {keep_last: 4}}"},
                      {"date", "{date: month}"}};
    const char *text = "";
    int redaction = POLICY_REDACT_NULL;
    enum err e = conf_as_string(with, &text, l->why);
    for (size_t i = 0; e == OK && i < sizeof(incomplete) / sizeof(incomplete[0]); i++) {
        if (strcmp(incomplete[i].word, text) == 0) {
            return conf_fail(with, l->why, "`%s` needs to know how; such as %s", text,
                             incomplete[i].example);
        }
    }
    e = e == OK ? conf_as_choice(with, words, &redaction, l->why) : e;
    mask->redaction = (enum policy_redaction)redaction;
    return e;
}

enum err load_redaction(struct load *l, const struct conf_node *item, struct policy_mask *out)
{
    const struct conf_node *with = conf_get(item, "with");
    out->redaction = POLICY_REDACT_NULL;
    out->hash_key = "";
    if (with == NULL || conf_kind(with) == CONF_NULL) {
        return OK;
    }
    return conf_kind(with) == CONF_MAP ? map_read(l, with, out) : word_read(l, with, out);
}
