#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORD_MAX = 32, TYPOS_MAX = 2 };

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* The optimal string alignment distance: typos are insertions, deletions, substitutions and
 * swaps of neighbours. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    size_t d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i <= n; i++) {
        d[i][0] = i;
    }
    for (size_t j = 0; j <= m; j++) {
        d[0][j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            d[i][j] = smallest(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < d[i][j]) {
                d[i][j] = d[i - 2][j - 2] + 1;
            }
        }
    }
    return d[n][m];
}

const char *options_suggest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    size_t best_distance = TYPOS_MAX + 1;
    for (size_t i = 0; candidates[i] != NULL; i++) {
        size_t length = strlen(word);
        bool is_beginning = length >= 2 && strncmp(word, candidates[i], length) == 0;
        size_t typos = is_beginning ? 1 : distance(word, candidates[i]);
        /* Two typos in a word of three letters make it any other word. */
        if (typos < best_distance && typos < strlen(candidates[i])) {
            best = candidates[i];
            best_distance = typos;
        }
    }
    return best;
}

/* All tables as one list; NULL at its end. */
static const struct option_spec *spec_at(const struct options *o, size_t index)
{
    for (size_t t = 0; t < OPTIONS_TABLES_MAX; t++) {
        for (const struct option_spec *s = o->tables[t]; s != NULL && s->name != NULL; s++) {
            if (index-- == 0) {
                return s;
            }
        }
    }
    return NULL;
}

static const struct option_spec *find(const struct options *o, struct bytes name,
                                      const char *letter, size_t *out_index)
{
    const struct option_spec *s = NULL;
    for (size_t i = 0; i < OPTIONS_MAX && (s = spec_at(o, i)) != NULL; i++) {
        if (letter[0] != '\0' ? s->letter == letter[0] : bytes_equal_string(name, s->name)) {
            *out_index = i;
            return s;
        }
    }
    return NULL;
}

static enum err fail_unknown(const struct options *o, struct bytes name, struct err_text *error)
{
    const char *names[OPTIONS_MAX + 1] = {0};
    const struct option_spec *s = NULL;
    for (size_t i = 0; i < OPTIONS_MAX && (s = spec_at(o, i)) != NULL; i++) {
        names[i] = s->name;
    }
    char word[WORD_MAX + 1];
    (void)snprintf(word, sizeof(word), "%.*s", (int)(name.size < WORD_MAX ? name.size : WORD_MAX),
                   (const char *)name.data);
    const char *meant = options_suggest(word, names);
    return meant == NULL ? err_set(error, ERR_INVALID, "unknown option --%s", word)
                         : err_set(error, ERR_INVALID, "unknown option --%s; did you mean --%s?",
                                   word, meant);
}

static enum err check_choice(const struct option_spec *s, const char *value, struct err_text *error)
{
    if (s->choices == NULL) {
        return OK;
    }
    struct buffer list;
    buffer_init(&list, 256);
    enum err e = OK;
    for (size_t i = 0; e == OK && s->choices[i] != NULL; i++) {
        if (strcmp(value, s->choices[i]) == 0) {
            buffer_finish(&list);
            return OK;
        }
        e = buffer_append_format(&list, "%s%s", i > 0 ? ", " : "", s->choices[i]);
    }
    struct bytes all = buffer_bytes(&list);
    (void)err_set(error, ERR_INVALID, "--%s: expected one of %.*s, found \"%s\"", s->name,
                  (int)all.size, (const char *)all.data, value);
    buffer_finish(&list);
    return ERR_INVALID;
}

/* The option at `*argv`; moves it when the next argument is its value. */
static enum err parse_option(struct options *o, char ***argv, struct err_text *error)
{
    const char *argument = **argv;
    bool is_long = argument[1] == '-';
    const char *name = argument + (is_long ? 2 : 1);
    const char *equals = is_long ? strchr(name, '=') : NULL;
    size_t size = !is_long ? 1 : equals == NULL ? strlen(name) : (size_t)(equals - name);
    size_t index = 0;
    const struct option_spec *s = find(o, bytes_of(name, size), is_long ? "" : name, &index);
    if (s == NULL && is_long) {
        return fail_unknown(o, bytes_of(name, size), error);
    }
    if (s == NULL) {
        return err_set(error, ERR_INVALID, "unknown option -%c", name[0]);
    }
    const char *value = equals != NULL ? equals + 1 : !is_long && name[1] != '\0' ? name + 1 : NULL;
    if (s->kind == OPTION_FLAG) {
        if (value != NULL) {
            return err_set(error, ERR_INVALID, "--%s takes no value", s->name);
        }
        o->values[index] = "";
        return OK;
    }
    if (value == NULL) {
        value = (*argv)[1];
        if (value == NULL) {
            return err_set(error, ERR_INVALID, "--%s needs a value: --%s %s", s->name, s->name,
                           s->value);
        }
        (*argv)++;
    }
    if (o->given_count == OPTIONS_GIVEN_MAX) {
        return err_set(error, ERR_INVALID, "more than %d options", (int)OPTIONS_GIVEN_MAX);
    }
    o->given[o->given_count++] = (struct option_given){.spec = s, .value = value};
    o->values[index] = value;
    return check_choice(s, value, error);
}

enum err options_parse(struct options *out, char **argv, bool stop_at_argument,
                       struct err_text *error)
{
    bool only_arguments = false;
    for (; *argv != NULL; argv++) {
        const char *a = *argv;
        bool is_separator = !only_arguments && strcmp(a, "--") == 0;
        if (is_separator && !stop_at_argument) {
            only_arguments = true;
        } else if (is_separator) {
            out->rest = argv + 1;
            return OK;
        } else if (!only_arguments && a[0] == '-' && a[1] != '\0') {
            enum err e = parse_option(out, &argv, error);
            if (e != OK) {
                return e;
            }
        } else if (stop_at_argument) {
            out->rest = argv;
            return OK;
        } else if (out->argument_count == OPTIONS_ARGUMENTS_MAX) {
            return err_set(error, ERR_INVALID, "too many arguments: \"%s\"", a);
        } else {
            out->arguments[out->argument_count++] = a;
        }
    }
    out->rest = argv;
    return OK;
}

const char *options_value(const struct options *o, const char *name)
{
    size_t index = 0;
    return find(o, bytes_of_string(name), "", &index) == NULL ? NULL : o->values[index];
}

const char *options_each(const struct options *o, const char *name, size_t n)
{
    for (size_t i = 0; i < o->given_count; i++) {
        if (strcmp(o->given[i].spec->name, name) == 0 && n-- == 0) {
            return o->given[i].value;
        }
    }
    return NULL;
}

bool options_flag(const struct options *o, const char *name)
{
    return options_value(o, name) != NULL;
}

enum err options_number(const struct options *o, const char *name, uint32_t fallback, uint32_t max,
                        uint32_t *out, struct err_text *error)
{
    const char *text = options_value(o, name);
    if (text == NULL) {
        *out = fallback;
        return OK;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > max) {
        return err_set(error, ERR_INVALID, "--%s: expected a number from 0 to %u, found \"%s\"",
                       name, max, text);
    }
    *out = (uint32_t)value;
    return OK;
}
