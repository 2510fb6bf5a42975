#include "controlplane/credentials/http_credential.h"

#include "base/crypto/crypto.h"

enum {
    /* What a head may have at all, of the servers that we know, is 8 to 64 KiB. */
    VALUE_MAX = 32 << 10,
    /* base64, and "Basic ". */
    VALUE_CAP = VALUE_MAX * 2,
};

void http_credential_finish(struct http_credential *c)
{
    buffer_wipe(&c->value);
    for (size_t i = 0; i < c->secret_count; i++) {
        buffer_wipe(&c->secrets[i]);
    }
    c->secret_count = 0;
    c->name = NULL;
}

/* All of its memory from the start: growing would leave copies behind. */
static enum err reserve(struct buffer *b, size_t cap)
{
    buffer_init(b, cap);
    return buffer_reserve(b, cap) == NULL ? ERR_NO_MEMORY : OK;
}

/* What is there already, or too short, is left out. */
static enum err add_secret(struct http_credential *c, struct bytes text)
{
    if (text.size < HTTP_CREDENTIAL_SECRET_MIN) {
        return OK;
    }
    for (size_t i = 0; i < c->secret_count; i++) {
        if (bytes_equal(buffer_bytes(&c->secrets[i]), text)) {
            return OK;
        }
    }
    if (c->secret_count == HTTP_CREDENTIAL_SECRETS) {
        return ERR_LIMIT; /* one that is not masked would be shown */
    }
    struct buffer *b = &c->secrets[c->secret_count++];
    enum err e = reserve(b, text.size);
    return e == OK ? buffer_append(b, text) : e;
}

/* RFC 9110 section 5.5, and no space at the ends, which would be lost on the way. */
static bool is_field_value(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if ((b.data[i] < 0x20 && b.data[i] != '\t') || b.data[i] == 0x7f) {
            return false;
        }
    }
    return b.size > 0 && b.data[0] > ' ' && b.data[b.size - 1] > ' ';
}

static enum err append_two(struct buffer *out, const char *first, struct bytes second)
{
    enum err e = buffer_append_string(out, first);
    return e == OK ? buffer_append(out, second) : e;
}

static enum err make_bearer(struct bytes token, struct http_credential *out)
{
    out->name = "authorization";
    enum err e = append_two(&out->value, "Bearer ", token);
    return e == OK ? add_secret(out, token) : e;
}

static enum err make_basic(const char *user, struct bytes password, struct http_credential *out)
{
    struct buffer pair;
    enum err e = reserve(&pair, VALUE_CAP);
    e = e == OK ? append_two(&pair, user, bytes_of_string(":")) : e;
    e = e == OK ? buffer_append(&pair, password) : e;
    e = e == OK ? buffer_append_string(&out->value, "Basic ") : e;
    size_t prefix = buffer_size(&out->value);
    e = e == OK ? crypto_base64_encode(buffer_bytes(&pair), &out->value) : e;
    buffer_wipe(&pair);
    out->name = "authorization";
    if (e == OK) {
        struct bytes value = buffer_bytes(&out->value);
        e = add_secret(out, bytes_of(value.data + prefix, value.size - prefix));
    }
    return e == OK ? add_secret(out, password) : e;
}

/* Also what a program that takes the value apart would show: what follows a scheme ("Token abc"),
 * and the values of cookies. */
static enum err add_parts(struct http_credential *c, struct bytes value)
{
    const uint8_t *space = memchr(value.data, ' ', value.size);
    enum err e = OK;
    if (space != NULL && strcmp(c->name, "cookie") != 0) {
        size_t before = (size_t)(space - value.data) + 1;
        return add_secret(c, bytes_of(space + 1, value.size - before));
    }
    for (size_t i = 0; e == OK && strcmp(c->name, "cookie") == 0 && i < value.size;) {
        const uint8_t *end = memchr(value.data + i, ';', value.size - i);
        size_t size = end == NULL ? value.size - i : (size_t)(end - value.data) - i;
        const uint8_t *equals = memchr(value.data + i, '=', size);
        if (equals != NULL) {
            size_t before = (size_t)(equals - value.data) - i + 1;
            e = add_secret(c, bytes_of(equals + 1, size - before));
        }
        i += size + 1;
    }
    return e;
}

static enum err make_header(const char *name, struct bytes value, struct http_credential *out)
{
    out->name = name;
    enum err e = buffer_append(&out->value, value);
    e = e == OK ? add_secret(out, value) : e;
    return e == OK ? add_parts(out, value) : e;
}

static enum err make(const struct config_credential *credential, struct bytes secret,
                     struct http_credential *out)
{
    switch (credential->http) {
    case CONFIG_HTTP_NONE: break;
    case CONFIG_HTTP_BEARER:
    case CONFIG_HTTP_OAUTH2: return make_bearer(secret, out);
    case CONFIG_HTTP_BASIC: return make_basic(credential->user, secret, out);
    case CONFIG_HTTP_HEADER: return make_header(credential->header, secret, out);
    }
    return OK;
}

enum err http_credential_make(const struct config_credential *credential, struct bytes secret,
                              struct http_credential *out, struct err_text *why)
{
    struct http_credential made = {0};
    enum err e = reserve(&made.value, VALUE_CAP);
    if (e == OK && secret.size > VALUE_MAX) {
        e = err_set(why, ERR_LIMIT, "the credential of \"%.100s\" is longer than %d bytes",
                    credential->name, (int)VALUE_MAX);
    } else if (e == OK && credential->http != CONFIG_HTTP_NONE && !is_field_value(secret)) {
        e = err_set(why, ERR_INVALID,
                    "the credential of \"%.100s\" is empty, or has bytes that a header cannot have",
                    credential->name);
    } else if (e == OK) {
        e = make(credential, secret, &made);
        e = e == OK ? OK
                    : err_set(why, e, "the credential of \"%.100s\" cannot be used: %s",
                              credential->name, err_name(e));
    }
    if (e != OK) {
        http_credential_finish(&made);
        return e;
    }
    *out = made;
    return OK;
}
