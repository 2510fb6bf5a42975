#include "sidecar/protocol/http/http1/http1_fields.h"

#include <strings.h>

#include "base/words.h"
#include "sidecar/protocol/http/http1/http1_filter.h"
#include "sidecar/protocol/http/http1/http1_target.h"
#include "sidecar/protocol/http/http_rules.h"

/* RFC 9113 section 6.5.2: what a field costs beside its letters. */
enum { FIELD_OVERHEAD = 32 };

bool http1_fields_is_own(struct bytes name)
{
    return (http_rules_of(name) & (HTTP_RULE_OF_CONNECTION | HTTP_RULE_OF_FRAMING)) != 0 ||
           http1_equal_ignoring_case(name, bytes_of_string("host"));
}

bool http1_fields_may_trail(struct bytes name)
{
    return (http_rules_of(name) & HTTP_RULE_NO_TRAILER) == 0;
}

bool http1_fields_only(const struct http1_found *found, const char *name, struct bytes *out)
{
    size_t count = 0;
    struct bytes value = {0};
    for (size_t i = 0; i < found->count; i++) {
        if (bytes_equal_string(found->fields[i].name, name)) {
            value = found->fields[i].value;
            count++;
        }
    }
    if (count == 1) {
        *out = value;
    }
    return count == 1;
}

static enum http_problem malformed(const char **out_why, const char *why)
{
    *out_why = why;
    return HTTP_PROBLEM_MALFORMED;
}

static bool is_upper(uint8_t b)
{
    return b >= 'A' && b <= 'Z';
}

/* A byte with the bit that tells lower case letters (digits and '-' have it, too) is no upper case
 * one. */
static bool has_upper(struct bytes name)
{
    const uint64_t low = WORDS_ONES * 0x20;
    size_t at = 0;
    while (name.size - at >= WORDS_SIZE && (words_load(name.data + at) & low) == low) {
        at += WORDS_SIZE;
    }
    for (size_t i = at; i < name.size; i++) {
        if (is_upper(name.data[i])) {
            return true;
        }
    }
    return false;
}

/* All the room is made before the first name is moved: the buffer must not move after it. */
static bool lower_names(struct http1_found *found, struct buffer *names)
{
    size_t total = 0;
    for (size_t i = 0; i < found->count; i++) {
        total += has_upper(found->fields[i].name) ? found->fields[i].name.size : 0;
    }
    if (total == 0) {
        return true;
    }
    uint8_t *at = buffer_reserve(names, total);
    if (at == NULL) {
        return false;
    }
    for (size_t i = 0; i < found->count; i++) {
        struct bytes *name = &found->fields[i].name;
        if (has_upper(*name)) {
            for (size_t k = 0; k < name->size; k++) {
                uint8_t b = name->data[k];
                at[k] = is_upper(b) ? (uint8_t)(b | 0x20) : b;
            }
            name->data = at;
            at += name->size;
        }
    }
    return true;
}

static bool is_space(uint8_t b)
{
    return b == ' ' || b == '\t';
}

static struct bytes trimmed(struct bytes b)
{
    while (b.size > 0 && is_space(b.data[0])) {
        b.data++;
        b.size--;
    }
    while (b.size > 0 && is_space(b.data[b.size - 1])) {
        b.size--;
    }
    return b;
}

/* What holds for heads and trailers alike. */
static enum http_problem prepare(struct http1_found *found, struct buffer *names,
                                 const char **out_why)
{
    size_t size = 0;
    for (size_t i = 0; i < found->count; i++) {
        found->fields[i].value = trimmed(found->fields[i].value);
        size += found->fields[i].name.size + found->fields[i].value.size + FIELD_OVERHEAD;
    }
    if (size > HTTP_HEAD_MAX) {
        *out_why = "the head is too large";
        return HTTP_PROBLEM_TOO_LARGE;
    }
    if (!lower_names(found, names)) {
        *out_why = "there is no memory for the head";
        return HTTP_PROBLEM_NO_MEMORY;
    }
    return HTTP_PROBLEM_NONE;
}

static enum http_problem take_option(struct http1_taken *t, struct bytes option,
                                     const char **out_why)
{
    if (!http_rules_is_token(option)) {
        return malformed(out_why, "Connection is not a list of names");
    }
    if (http1_equal_ignoring_case(option, bytes_of_string("close"))) {
        t->closes = true;
    } else if (http1_equal_ignoring_case(option, bytes_of_string("keep-alive"))) {
        t->keeps_alive = true;
    } else if (http1_equal_ignoring_case(option, bytes_of_string("upgrade"))) {
        t->upgrades_option = true;
    } else if ((http_rules_of(option) & HTTP_RULE_NO_OPTION) != 0) {
        return malformed(out_why, "Connection names a field that is not of the connection");
    } else if (t->option_count == HTTP1_OPTIONS_MAX) {
        return malformed(out_why, "Connection names too many fields");
    } else {
        t->options[t->option_count++] = option;
    }
    return HTTP_PROBLEM_NONE;
}

/* RFC 9110 section 5.6.1: a list may have empty elements. */
static enum http_problem take_connection(struct http1_taken *t, struct bytes value,
                                         const char **out_why)
{
    enum http_problem problem = HTTP_PROBLEM_NONE;
    while (problem == HTTP_PROBLEM_NONE && value.size > 0) {
        const uint8_t *comma = memchr(value.data, ',', value.size);
        size_t size = comma == NULL ? value.size : (size_t)(comma - value.data);
        struct bytes option = trimmed(bytes_of(value.data, size));
        size_t skip = comma == NULL ? size : size + 1;
        value = bytes_of(value.data + skip, value.size - skip);
        if (option.size > 0) {
            problem = take_option(t, option, out_why);
        }
    }
    return problem;
}

static void take(struct bytes *value, unsigned *count, struct bytes found)
{
    *value = found;
    (*count)++;
}

/* *out_kept: it stays among the fields. */
static enum http_problem take_field(struct http1_taken *t, const struct http_field *f,
                                    bool is_request, bool *out_kept, const char **out_why)
{
    bool kept = false;
    enum http_problem problem = HTTP_PROBLEM_NONE;
    if (bytes_equal_string(f->name, "content-length")) {
        take(&t->length, &t->lengths, f->value);
    } else if (bytes_equal_string(f->name, "transfer-encoding")) {
        take(&t->coding, &t->codings, f->value);
    } else if (bytes_equal_string(f->name, "connection")) {
        problem = take_connection(t, f->value, out_why);
    } else if (bytes_equal_string(f->name, "upgrade")) {
        take(&t->upgrade, &t->upgrades, f->value);
    } else if (is_request && bytes_equal_string(f->name, "host")) {
        take(&t->host, &t->hosts, f->value);
    } else if (is_request && bytes_equal_string(f->name, "expect")) {
        take(&t->expect, &t->expects, f->value);
    } else {
        kept = (http_rules_of(f->name) & (HTTP_RULE_OF_CONNECTION | HTTP_RULE_OF_FRAMING)) == 0;
    }
    *out_kept = kept;
    return problem;
}

static bool is_option(const struct http1_taken *t, struct bytes name)
{
    for (size_t i = 0; i < t->option_count; i++) {
        if (http1_equal_ignoring_case(t->options[i], name)) {
            return true;
        }
    }
    return false;
}

static void drop_options(struct http1_found *found, const struct http1_taken *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < found->count; i++) {
        if (!is_option(t, found->fields[i].name)) {
            found->fields[kept++] = found->fields[i];
        }
    }
    found->count = kept;
}

enum http_problem http1_fields_take(struct http1_found *found, bool is_request,
                                    struct buffer *names, struct http1_taken *out,
                                    const char **out_why)
{
    struct http1_taken t = {0};
    uint64_t seen = 0;
    size_t kept = 0;
    enum http_problem problem = prepare(found, names, out_why);
    for (size_t i = 0; problem == HTTP_PROBLEM_NONE && i < found->count; i++) {
        struct http_field f = found->fields[i];
        size_t rule = http_rules_find(f.name);
        uint64_t bit = rule == HTTP_RULES_NONE ? 0 : UINT64_C(1) << rule;
        if ((seen & bit) != 0 && (http_rules_at(rule) & HTTP_RULE_ONCE) != 0) {
            problem = malformed(out_why, "a field that may be there once is there twice");
            break;
        }
        seen |= bit;
        bool keeps = rule == HTTP_RULES_NONE;
        if (!keeps) {
            problem = take_field(&t, &f, is_request, &keeps, out_why);
        }
        if (keeps) {
            found->fields[kept++] = f;
        }
    }
    if (problem == HTTP_PROBLEM_NONE) {
        found->count = kept;
        if (t.option_count > 0) {
            drop_options(found, &t);
        }
        *out = t;
    }
    return problem;
}

enum http_problem http1_fields_check_trailers(struct http1_found *found, struct buffer *names,
                                              const char **out_why)
{
    enum http_problem problem = prepare(found, names, out_why);
    for (size_t i = 0; problem == HTTP_PROBLEM_NONE && i < found->count; i++) {
        if (!http1_fields_may_trail(found->fields[i].name)) {
            problem = malformed(out_why, "the trailers have a field that belongs into the head");
        }
    }
    return problem;
}
