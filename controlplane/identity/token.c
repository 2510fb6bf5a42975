#include "controlplane/identity/token.h"

#include <cjose/base64.h>
#include <stdlib.h>

#include "controlplane/identity/strict_json.h"

struct parts {
    struct bytes header, payload, signature;
};

static bool is_base64url(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static enum err check_shape(struct bytes compact, size_t *out_dots, struct err_text *why)
{
    size_t dots = 0;
    if (compact.size == 0) {
        return err_set(why, ERR_DENIED, "the token is empty");
    }
    if (compact.size > TOKEN_SIZE_MAX) {
        return err_set(why, ERR_DENIED, "the token is larger than %d bytes", TOKEN_SIZE_MAX);
    }
    for (size_t i = 0; i < compact.size; i++) {
        if (compact.data[i] == '.') {
            dots++;
        } else if (!is_base64url(compact.data[i])) {
            return err_set(why, ERR_DENIED,
                           "the token has a character that no JWT has (byte %zu of %zu)", i + 1,
                           compact.size);
        }
    }
    *out_dots = dots;
    return OK;
}

static struct bytes take_part(struct bytes *rest)
{
    const uint8_t *dot = memchr(rest->data, '.', rest->size);
    size_t size = dot == NULL ? rest->size : (size_t)(dot - rest->data);
    struct bytes part = bytes_of(rest->data, size);
    size_t used = dot == NULL ? size : size + 1;
    *rest = bytes_of(rest->data + used, rest->size - used);
    return part;
}

static enum err split(struct bytes compact, struct parts *out, struct err_text *why)
{
    size_t dots = 0;
    enum err e = check_shape(compact, &dots, why);
    if (e != OK) {
        return e;
    }
    if (dots == 4) {
        return err_set(why, ERR_DENIED, "the token is encrypted (JWE); a signed one is expected");
    }
    if (dots != 2) {
        return err_set(why, ERR_DENIED,
                       "the token is not a JWT: it has %zu parts between dots, 3 are expected",
                       dots + 1);
    }
    struct bytes rest = compact;
    out->header = take_part(&rest);
    out->payload = take_part(&rest);
    out->signature = take_part(&rest);
    if (out->header.size > TOKEN_HEADER_SIZE_MAX) {
        return err_set(why, ERR_DENIED, "the token's header is larger than %d bytes",
                       TOKEN_HEADER_SIZE_MAX);
    }
    return OK;
}

/* Returns owned; NULL for what is not base64url (one character alone encodes nothing). */
static uint8_t *decode(struct bytes part, size_t *out_size)
{
    uint8_t *data = NULL;
    size_t size = 0;
    cjose_err e;
    if (part.size == 0 || part.size % 4 == 1 ||
        !cjose_base64url_decode((const char *)part.data, part.size, &data, &size, &e)) {
        return NULL;
    }
    *out_size = size;
    return data;
}

static enum err decode_json(struct bytes part, const char *what, cJSON **out, struct err_text *why)
{
    size_t size = 0;
    uint8_t *text = decode(part, &size);
    if (text == NULL) {
        return err_set(why, ERR_DENIED, "%s is not base64url", what);
    }
    enum err e = strict_json_parse(bytes_of(text, size), what, out, why);
    free(text);
    return e == OK ? OK : ERR_DENIED;
}

static enum err read_algorithm(struct token *t, struct err_text *why)
{
    const char *name = strict_json_string(t->header, "alg");
    if (name == NULL) {
        return err_set(why, ERR_DENIED, "the token's header names no algorithm (alg)");
    }
    char quoted[STRICT_JSON_QUOTE_SIZE];
    (void)strict_json_quote(name, quoted);
    /* RFC 8725 section 2.1: some readers compare `none` without regard to case. */
    if (strcasecmp(name, "none") == 0) {
        return err_set(why, ERR_DENIED, "the token is unsigned (algorithm %s)", quoted);
    }
    if (strncasecmp(name, "HS", 2) == 0) {
        return err_set(why, ERR_DENIED,
                       "the token is signed with a shared secret (algorithm %s), which is never "
                       "accepted",
                       quoted);
    }
    t->algorithm = algorithm_find(name);
    if (t->algorithm == NULL) {
        return err_set(why, ERR_DENIED, "the token's algorithm %s is not supported", quoted);
    }
    return OK;
}

static enum err read_header(struct token *t, struct err_text *why)
{
    enum err e = read_algorithm(t, why);
    if (e != OK) {
        return e;
    }
    /* RFC 7515 section 4.1.11: extensions that must be understood; we understand none. */
    if (cJSON_GetObjectItemCaseSensitive(t->header, "crit") != NULL) {
        return err_set(why, ERR_DENIED, "the token demands critical header extensions (crit)");
    }
    const cJSON *kid = cJSON_GetObjectItemCaseSensitive(t->header, "kid");
    if (kid == NULL) {
        return OK;
    }
    t->kid = cJSON_GetStringValue(kid);
    if (t->kid == NULL || strlen(t->kid) > TOKEN_KID_SIZE_MAX) {
        return err_set(why, ERR_DENIED,
                       "the token's key id (kid) is not a string of at most %d bytes",
                       TOKEN_KID_SIZE_MAX);
    }
    return OK;
}

enum err token_init(struct token *t, struct bytes compact, struct err_text *why)
{
    struct parts parts = {0};
    struct token made = {.compact = compact};
    enum err e = split(compact, &parts, why);
    if (e != OK) {
        return e;
    }
    made.signing_input = bytes_of(compact.data, parts.header.size + 1 + parts.payload.size);
    e = decode_json(parts.header, "the token's header", &made.header, why);
    if (e == OK) {
        e = read_header(&made, why);
    }
    if (e == OK) {
        e = decode_json(parts.payload, "the token's payload", &made.claims, why);
    }
    if (e == OK && parts.signature.size == 0) {
        e = err_set(why, ERR_DENIED, "the token is unsigned: its signature is missing");
    }
    if (e == OK) {
        made.signature = decode(parts.signature, &made.signature_size);
        if (made.signature == NULL) {
            e = err_set(why, ERR_DENIED, "the token's signature is not base64url");
        }
    }
    if (e != OK) {
        token_finish(&made);
        return e;
    }
    *t = made;
    return OK;
}

void token_finish(struct token *t)
{
    cJSON_Delete(t->header);
    cJSON_Delete(t->claims);
    free(t->signature);
    *t = (struct token){0};
}
