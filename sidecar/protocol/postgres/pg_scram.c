#include "sidecar/protocol/postgres/pg_scram.h"

#include "base/crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>

enum stage { AT_FIRST, AT_SERVER_FIRST, AT_WORK, AT_FINAL, AT_SERVER_FINAL, AT_END };

enum {
    /* The gs2 header with the longest hash, in base64; and the nonces and names around. */
    SCRAM_BUFFER_CAP = 4 * PG_SCRAM_MESSAGE_MAX,
    SALT_MAX = 1024,
};

struct pg_scram {
    enum stage stage;
    struct bytes password; /* borrowed, until read_server_first */
    size_t own_nonce_size;
    struct buffer binding; /* gs2 header and channel binding data: what c= says in base64 */
    size_t gs2_size;       /* of the header at its front */
    struct buffer nonce;   /* ours, then both */
    struct buffer auth;    /* the AuthMessage of RFC 5802 section 3, as it grows */
    struct crypto_pbkdf2 kdf;
    uint8_t salted[CRYPTO_SHA256_SIZE];
};

static const char *const gs2_headers[] = {
    [PG_SCRAM_UNSUPPORTED] = "n,,",
    [PG_SCRAM_NOT_OFFERED] = "y,,",
    [PG_SCRAM_END_POINT] = "p=tls-server-end-point,,",
};

void pg_scram_destroy(struct pg_scram *s)
{
    if (s != NULL) {
        buffer_wipe(&s->binding);
        buffer_wipe(&s->nonce);
        buffer_wipe(&s->auth);
        bytes_wipe(s, sizeof(*s));
        free(s);
    }
}

/* Appends when nothing failed before: a message is written whole and checked once. */
static void put(enum err *e, struct buffer *b, struct bytes data)
{
    if (*e == OK) {
        *e = buffer_append(b, data);
    }
}

static void put_text(enum err *e, struct buffer *b, const char *text)
{
    put(e, b, bytes_of_string(text));
}

/* RFC 5802 section 5.1: a comma and an equals sign of a name are escaped. */
static void put_name(enum err *e, struct buffer *b, struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == ',') {
            put_text(e, b, "=2C");
        } else if (name.data[i] == '=') {
            put_text(e, b, "=3D");
        } else {
            put(e, b, bytes_of(name.data + i, 1));
        }
    }
}

static bool is_nonce(struct bytes nonce)
{
    for (size_t i = 0; i < nonce.size; i++) {
        if (nonce.data[i] < 0x21 || nonce.data[i] > 0x7e || nonce.data[i] == ',') {
            return false;
        }
    }
    return nonce.size > 0;
}

static bool options_are_valid(const struct pg_scram_options *o)
{
    bool bound = o->binding == PG_SCRAM_END_POINT;
    return is_nonce(o->nonce) && o->nonce.size <= PG_SCRAM_NONCE_MAX &&
           bound == (o->end_point.size > 0) && o->end_point.size <= PG_SCRAM_BINDING_MAX &&
           (o->user.size == 0 || memchr(o->user.data, 0, o->user.size) == NULL);
}

enum err pg_scram_create(const struct pg_scram_options *options, struct pg_scram **out)
{
    if (!options_are_valid(options)) {
        return ERR_INVALID;
    }
    struct pg_scram *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->stage = AT_FIRST;
    s->password = options->password;
    s->own_nonce_size = options->nonce.size;
    buffer_init(&s->binding, SCRAM_BUFFER_CAP);
    buffer_init(&s->nonce, SCRAM_BUFFER_CAP);
    buffer_init(&s->auth, SCRAM_BUFFER_CAP);
    enum err e = OK;
    put_text(&e, &s->binding, gs2_headers[options->binding]);
    s->gs2_size = buffer_size(&s->binding);
    put(&e, &s->binding, options->end_point);
    put(&e, &s->nonce, options->nonce);
    put_text(&e, &s->auth, "n=");
    put_name(&e, &s->auth, options->user);
    put_text(&e, &s->auth, ",r=");
    put(&e, &s->auth, options->nonce);
    if (e != OK) {
        pg_scram_destroy(s);
        return e;
    }
    *out = s;
    return OK;
}

enum err pg_scram_write_first(struct pg_scram *s, struct buffer *out)
{
    if (s->stage != AT_FIRST) {
        return ERR_INVALID;
    }
    enum err e = OK;
    put(&e, out, bytes_of(buffer_bytes(&s->binding).data, s->gs2_size));
    put(&e, out, buffer_bytes(&s->auth));
    if (e == OK) {
        s->stage = AT_SERVER_FIRST;
    }
    return e;
}

/* The attribute at the front, which must have that name; `rest` goes on behind it. */
static bool take_attribute(struct bytes *rest, uint8_t name, struct bytes *out)
{
    if (rest->size < 2 || rest->data[0] != name || rest->data[1] != '=') {
        return false;
    }
    const uint8_t *value = rest->data + 2;
    size_t left = rest->size - 2;
    const uint8_t *comma = left == 0 ? NULL : memchr(value, ',', left);
    size_t size = comma == NULL ? left : (size_t)(comma - value);
    size_t used = comma == NULL ? size : size + 1;
    *out = bytes_of(value, size);
    *rest = bytes_of(value + used, left - used);
    return true;
}

/* Decimal, without sign or leading zero; 0 when it is not that or above the limit. */
static uint32_t read_iterations(struct bytes text)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < '0' || c > '9' || (i == 0 && c == '0') || n > PG_SCRAM_ITERATIONS_MAX) {
            return 0;
        }
        n = n * 10 + (uint32_t)(c - '0');
    }
    return n <= PG_SCRAM_ITERATIONS_MAX ? n : 0;
}

static enum err start_work(struct pg_scram *s, struct bytes salt64, uint32_t iterations,
                           struct err_text *why)
{
    struct buffer salt;
    buffer_init(&salt, SALT_MAX);
    enum err e = crypto_base64_decode(salt64, &salt);
    if (e == OK && buffer_size(&salt) > 0) {
        crypto_pbkdf2_init(&s->kdf, s->password, buffer_bytes(&salt), iterations);
    } else if (e != ERR_NO_MEMORY) {
        e = err_set(why, ERR_INVALID, "the server's SCRAM salt is not base64 of at most %d bytes",
                    SALT_MAX);
    }
    buffer_finish(&salt);
    return e;
}

static enum err check_nonce(const struct pg_scram *s, struct bytes both, struct err_text *why)
{
    struct bytes own = buffer_bytes(&s->nonce);
    if (!is_nonce(both) || both.size <= own.size ||
        !crypto_equal(bytes_of(both.data, own.size), own)) {
        return err_set(why, ERR_INVALID, "the server's SCRAM nonce does not continue ours");
    }
    return OK;
}

enum err pg_scram_read_server_first(struct pg_scram *s, struct bytes message, struct err_text *why)
{
    struct bytes rest = message, both, salt, count;
    if (s->stage != AT_SERVER_FIRST || message.size > PG_SCRAM_MESSAGE_MAX) {
        return err_set(why, ERR_INVALID, "a SCRAM message that is unexpected or too long");
    }
    /* m= before them would be an extension that must be understood: refused with the rest. */
    if (!take_attribute(&rest, 'r', &both) || !take_attribute(&rest, 's', &salt) ||
        !take_attribute(&rest, 'i', &count)) {
        return err_set(why, ERR_INVALID, "the server's first SCRAM message is malformed");
    }
    enum err e = check_nonce(s, both, why);
    if (e != OK) {
        return e;
    }
    uint32_t iterations = read_iterations(count);
    if (iterations < PG_SCRAM_ITERATIONS_MIN) {
        return err_set(why, ERR_INVALID,
                       "the server asks for an unacceptable number of SCRAM iterations; "
                       "expected %d to %d",
                       PG_SCRAM_ITERATIONS_MIN, PG_SCRAM_ITERATIONS_MAX);
    }
    buffer_clear(&s->nonce);
    put(&e, &s->nonce, both);
    put_text(&e, &s->auth, ",");
    put(&e, &s->auth, message);
    if (e == OK) {
        e = start_work(s, salt, iterations, why);
    }
    s->password = (struct bytes){0};
    s->stage = e == OK ? AT_WORK : AT_END;
    return e;
}

bool pg_scram_work(struct pg_scram *s, uint32_t slice)
{
    if (s->stage == AT_WORK && crypto_pbkdf2_step(&s->kdf, slice)) {
        crypto_pbkdf2_finish(&s->kdf, s->salted);
        s->stage = AT_FINAL;
    }
    return s->stage != AT_WORK;
}

/* ClientProof of RFC 5802 section 3. */
static void make_proof(const struct pg_scram *s, uint8_t *proof)
{
    uint8_t client_key[CRYPTO_SHA256_SIZE], stored_key[CRYPTO_SHA256_SIZE];
    crypto_hmac_of(bytes_of(s->salted, sizeof(s->salted)), bytes_of_string("Client Key"),
                   client_key);
    crypto_sha256_of(bytes_of(client_key, sizeof(client_key)), stored_key);
    crypto_hmac_of(bytes_of(stored_key, sizeof(stored_key)), buffer_bytes(&s->auth), proof);
    for (size_t i = 0; i < sizeof(client_key); i++) {
        proof[i] ^= client_key[i];
    }
    bytes_wipe(client_key, sizeof(client_key));
    bytes_wipe(stored_key, sizeof(stored_key));
}

enum err pg_scram_write_final(struct pg_scram *s, struct buffer *out)
{
    if (s->stage != AT_FINAL) {
        return ERR_INVALID;
    }
    struct buffer text;
    buffer_init(&text, SCRAM_BUFFER_CAP);
    enum err e = OK;
    put_text(&e, &text, "c=");
    if (e == OK) {
        e = crypto_base64_encode(buffer_bytes(&s->binding), &text);
    }
    put_text(&e, &text, ",r=");
    put(&e, &text, buffer_bytes(&s->nonce));
    put_text(&e, &s->auth, ",");
    put(&e, &s->auth, buffer_bytes(&text));
    if (e == OK) {
        uint8_t proof[CRYPTO_SHA256_SIZE];
        make_proof(s, proof);
        put_text(&e, &text, ",p=");
        if (e == OK) {
            e = crypto_base64_encode(bytes_of(proof, sizeof(proof)), &text);
        }
        bytes_wipe(proof, sizeof(proof));
    }
    put(&e, out, buffer_bytes(&text));
    buffer_wipe(&text);
    s->stage = e == OK ? AT_SERVER_FINAL : AT_END;
    return e;
}

/* A server's own words, for a person: printable and short. */
static void clean_copy(char *out, size_t room, struct bytes text)
{
    size_t size = text.size < room - 1 ? text.size : room - 1;
    for (size_t i = 0; i < size; i++) {
        bool printable = text.data[i] >= ' ' && text.data[i] <= '~';
        out[i] = (char)(printable ? text.data[i] : '?');
    }
    out[size] = '\0';
}

enum err pg_scram_read_server_final(struct pg_scram *s, struct bytes message, struct err_text *why)
{
    struct bytes rest = message, value;
    if (s->stage != AT_SERVER_FINAL || message.size > PG_SCRAM_MESSAGE_MAX) {
        return err_set(why, ERR_INVALID, "a SCRAM message that is unexpected or too long");
    }
    s->stage = AT_END;
    if (take_attribute(&rest, 'e', &value)) {
        char reason[80];
        clean_copy(reason, sizeof(reason), value);
        return err_set(why, ERR_DENIED, "the server refuses the SCRAM login: %s", reason);
    }
    if (!take_attribute(&rest, 'v', &value)) {
        return err_set(why, ERR_INVALID, "the server's last SCRAM message is malformed");
    }
    uint8_t server_key[CRYPTO_SHA256_SIZE], expected[CRYPTO_SHA256_SIZE];
    crypto_hmac_of(bytes_of(s->salted, sizeof(s->salted)), bytes_of_string("Server Key"),
                   server_key);
    crypto_hmac_of(bytes_of(server_key, sizeof(server_key)), buffer_bytes(&s->auth), expected);
    struct buffer signature;
    buffer_init(&signature, CRYPTO_SHA256_SIZE);
    bool proved = crypto_base64_decode(value, &signature) == OK &&
                  crypto_equal(buffer_bytes(&signature), bytes_of(expected, sizeof(expected)));
    buffer_finish(&signature);
    bytes_wipe(server_key, sizeof(server_key));
    bytes_wipe(expected, sizeof(expected));
    return proved ? OK
                  : err_set(why, ERR_DENIED,
                            "the server could not prove that it knows the password: it may not "
                            "be the server that it claims to be");
}
