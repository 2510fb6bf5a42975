#include "cli/issuer/form.h"

#include <errno.h>
#include <stdlib.h>

enum { POST_BUFFER = 1024 };

enum field {
    SUBJECT,
    GROUPS,
    AUDIENCE,
    LIFETIME,
    NAME,
    REASON,
    ON_BEHALF_OF,
    ALG,
    CLAIMS,
    FORMAT,
    FIELDS,
};

static const char *const field_names[FIELDS] = {
    [SUBJECT] = "subject",
    [GROUPS] = "groups",
    [AUDIENCE] = "audience",
    [LIFETIME] = "lifetime",
    [NAME] = "name",
    [REASON] = "reason",
    [ON_BEHALF_OF] = "on_behalf_of",
    [ALG] = "alg",
    [CLAIMS] = "claims",
    [FORMAT] = "format",
};

struct form {
    struct MHD_PostProcessor *processor;
    struct buffer values[FIELDS];
    char *texts[FIELDS]; /* NULL: not given */
    const char *groups[FORM_LIST_MAX], *on_behalf_of[FORM_LIST_MAX];
    enum err failed;
    struct err_text why;
};

static enum MHD_Result take_value(void *context, enum MHD_ValueKind kind, const char *key,
                                  const char *filename, const char *content_type,
                                  const char *encoding, const char *data, uint64_t offset,
                                  size_t size)
{
    (void)kind;
    (void)filename;
    (void)content_type;
    (void)encoding;
    struct form *f = context;
    for (int i = 0; key != NULL && i < FIELDS; i++) {
        if (strcmp(field_names[i], key) != 0) {
            continue;
        }
        if (offset == 0 && buffer_size(&f->values[i]) > 0) {
            f->failed = err_set(&f->why, ERR_INVALID, "the field %s comes twice", key);
            return MHD_NO;
        }
        if (buffer_append(&f->values[i], bytes_of(data, size)) != OK) {
            f->failed = err_set(&f->why, ERR_INVALID, "the field %s is larger than %d bytes", key,
                                FORM_VALUE_MAX);
            return MHD_NO;
        }
        return MHD_YES;
    }
    f->failed = err_set(&f->why, ERR_INVALID,
                        "unknown field %.40s; subject, groups, audience, lifetime, name, reason, "
                        "on_behalf_of, alg, claims and format are known",
                        key == NULL ? "" : key);
    return MHD_NO;
}

struct form *form_create(struct MHD_Connection *connection)
{
    struct form *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return NULL;
    }
    for (int i = 0; i < FIELDS; i++) {
        buffer_init(&f->values[i], FORM_VALUE_MAX);
    }
    f->processor = MHD_create_post_processor(connection, POST_BUFFER, take_value, f);
    if (f->processor == NULL) {
        form_destroy(f);
        return NULL;
    }
    return f;
}

void form_destroy(struct form *f)
{
    if (f == NULL) {
        return;
    }
    if (f->processor != NULL) {
        (void)MHD_destroy_post_processor(f->processor);
    }
    for (int i = 0; i < FIELDS; i++) {
        buffer_finish(&f->values[i]);
        free(f->texts[i]);
    }
    free(f);
}

void form_feed(struct form *f, const char *data, size_t size)
{
    if (f->failed == OK && MHD_post_process(f->processor, data, size) == MHD_NO &&
        f->failed == OK) {
        f->failed = err_set(&f->why, ERR_INVALID, "the body is not a form");
    }
}

static enum err keep_texts(struct form *f)
{
    for (int i = 0; i < FIELDS; i++) {
        struct bytes value = buffer_bytes(&f->values[i]);
        if (value.size == 0) {
            continue;
        }
        f->texts[i] = bytes_to_string(value);
        if (f->texts[i] == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    return OK;
}

/* "a,b,c" in its own memory. */
static enum err split(char *text, const char *name, const char **list, size_t *out_count,
                      struct err_text *why)
{
    size_t count = 0;
    char *rest = text;
    for (char *item = strsep(&rest, ","); text != NULL && item != NULL; item = strsep(&rest, ",")) {
        if (count == FORM_LIST_MAX || item[0] == '\0') {
            return err_set(why, ERR_INVALID,
                           "the field %s is not a list of at most %d names (\"a,b\")", name,
                           FORM_LIST_MAX);
        }
        list[count++] = item;
    }
    *out_count = count;
    return OK;
}

static enum err read_lifetime(const char *text, int64_t *out, struct err_text *why)
{
    if (text == NULL) {
        return OK;
    }
    char *end = NULL;
    errno = 0;
    long long seconds = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || seconds == 0) {
        return err_set(why, ERR_INVALID,
                       "the field lifetime is not a number of seconds other than 0");
    }
    *out = seconds;
    return OK;
}

static enum err read_format(const char *text, bool *out_plain_text, struct err_text *why)
{
    if (text != NULL && strcmp(text, "json") != 0 && strcmp(text, "text") != 0) {
        return err_set(why, ERR_INVALID, "the field format is neither json nor text");
    }
    *out_plain_text = text != NULL && strcmp(text, "text") == 0;
    return OK;
}

enum err form_finish(struct form *f, struct issuer_token *out, bool *out_plain_text,
                     struct err_text *why)
{
    /* The last field is handed over here. */
    if (MHD_destroy_post_processor(f->processor) == MHD_NO && f->failed == OK) {
        f->failed = err_set(&f->why, ERR_INVALID, "the body is not a form");
    }
    f->processor = NULL;
    if (f->failed != OK) {
        return err_set(why, f->failed, "%s", f->why.text);
    }
    if (keep_texts(f) != OK) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    struct issuer_token token = {
        .subject = f->texts[SUBJECT],
        .groups = f->groups,
        .audience = f->texts[AUDIENCE],
        .name = f->texts[NAME],
        .on_behalf_of = f->on_behalf_of,
        .reason = f->texts[REASON],
        .extra_claims = f->texts[CLAIMS],
        .algorithm = f->texts[ALG],
    };
    enum err e = split(f->texts[GROUPS], "groups", f->groups, &token.group_count, why);
    if (e == OK) {
        e = split(f->texts[ON_BEHALF_OF], "on_behalf_of", f->on_behalf_of,
                  &token.on_behalf_of_count, why);
    }
    if (e == OK) {
        e = read_lifetime(f->texts[LIFETIME], &token.lifetime_s, why);
    }
    if (e == OK) {
        e = read_format(f->texts[FORMAT], out_plain_text, why);
    }
    if (e == OK) {
        *out = token;
    }
    return e;
}
