#include "sidecar/protocol/postgres/pg_login.h"

#include "sidecar/protocol/postgres/pg_scram.h"
#include "sidecar/protocol/postgres/pg_write.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    /* 144 bits, as libpq's. A multiple of 3, so that base64 has no padding. */
    NONCE_RAW_SIZE = 18,
    NONCE_TEXT_SIZE = NONCE_RAW_SIZE / 3 * 4,
    /* client-first and client-final, with the server's nonce in it. */
    SCRAM_TEXT_CAP = 4 * PG_SCRAM_MESSAGE_MAX,
};

enum state {
    AT_START,       /* the server has not said how */
    AT_ANSWERED,    /* a password was sent */
    AT_SASL_FIRST,  /* the client-first message was sent */
    AT_SASL_WORK,   /* the proof is being computed */
    AT_SASL_FINAL,  /* the proof was sent */
    AT_SASL_PROVED, /* the server has proved itself */
    AT_DONE,
    AT_FAILED,
    STATES,
};

#define KIND(name) (1U << PG_AUTHENTICATION_##name)

/* What each state takes; anything else ends the login. */
static const uint32_t permitted[STATES] = {
    [AT_START] = KIND(OK) | KIND(CLEARTEXT) | KIND(MD5) | KIND(SASL),
    [AT_ANSWERED] = KIND(OK),
    [AT_SASL_FIRST] = KIND(SASL_CONTINUE),
    [AT_SASL_FINAL] = KIND(SASL_FINAL),
    [AT_SASL_PROVED] = KIND(OK),
};

struct pg_login {
    struct pg_login_options options;
    enum state state;
    const char *method;
    struct pg_scram *scram; /* owned */
};

enum err pg_login_create(const struct pg_login_options *options, struct pg_login **out)
{
    struct pg_login *login = calloc(1, sizeof(*login));
    if (login == NULL) {
        return ERR_NO_MEMORY;
    }
    login->options = *options;
    login->state = AT_START;
    login->method = "none";
    *out = login;
    return OK;
}

void pg_login_destroy(struct pg_login *login)
{
    if (login != NULL) {
        pg_scram_destroy(login->scram);
        bytes_wipe(login, sizeof(*login));
        free(login);
    }
}

bool pg_login_is_done(const struct pg_login *login)
{
    return login->state == AT_DONE;
}

const char *pg_login_method(const struct pg_login *login)
{
    return login->method;
}

/* ---- passwords --------------------------------------------------------------------------- */

static enum err MUST_USE require_password(const struct pg_login *login, struct err_text *why)
{
    if (login->options.password.size == 0) {
        return err_set(why, ERR_DENIED,
                       "the target asks for a password, but its credential has none");
    }
    /* The protocol's strings end at the first one: the rest would be lost unseen. */
    if (memchr(login->options.password.data, 0, login->options.password.size) != NULL) {
        return err_set(why, ERR_DENIED, "the credential's password has a zero byte in it");
    }
    return OK;
}

static enum err MUST_USE answer_cleartext(struct pg_login *login, struct buffer *out,
                                          struct err_text *why)
{
    login->method = "cleartext";
    if (!login->options.allow_cleartext) {
        return err_set(why, ERR_DENIED,
                       "the target asks for the password in clear text over a link that is not "
                       "protected by TLS; use TLS to the target, or SCRAM-SHA-256");
    }
    enum err e = require_password(login, why);
    login->state = AT_ANSWERED;
    return e == OK ? pg_write_password(out, login->options.password) : e;
}

/* "md5" and the hex of md5(hex of md5(password user) salt). */
static enum err MUST_USE answer_md5(struct pg_login *login, struct bytes salt, struct buffer *out,
                                    struct err_text *why)
{
    enum { HEX_SIZE = 2 * CRYPTO_MD5_SIZE, PREFIX = 3 };
    login->method = "md5";
    enum err e = require_password(login, why);
    if (e != OK) {
        return e;
    }
    uint8_t digest[CRYPTO_MD5_SIZE];
    char text[PREFIX + HEX_SIZE + 1] = "md5";
    struct buffer plain;
    /* Each of the two hashed texts in turn. */
    buffer_init(&plain,
                login->options.password.size + login->options.user.size + HEX_SIZE + salt.size);
    /* All its room at once: growing would leave a copy of the password in freed memory. */
    e = buffer_reserve(&plain, plain.cap) == NULL ? ERR_NO_MEMORY : OK;
    e = e == OK ? buffer_append(&plain, login->options.password) : e;
    e = e == OK ? buffer_append(&plain, login->options.user) : e;
    if (e == OK) {
        crypto_md5_of(buffer_bytes(&plain), digest);
        crypto_hex_encode(bytes_of(digest, sizeof(digest)), text + PREFIX);
    }
    buffer_wipe(&plain);
    e = e == OK ? buffer_append(&plain, bytes_of(text + PREFIX, HEX_SIZE)) : e;
    e = e == OK ? buffer_append(&plain, salt) : e;
    if (e == OK) {
        crypto_md5_of(buffer_bytes(&plain), digest);
        crypto_hex_encode(bytes_of(digest, sizeof(digest)), text + PREFIX);
        e = pg_write_password(out, bytes_of_string(text));
    }
    buffer_wipe(&plain);
    bytes_wipe(digest, sizeof(digest));
    bytes_wipe(text, sizeof(text));
    login->state = AT_ANSWERED;
    return e;
}

/* ---- SCRAM -------------------------------------------------------------------------------- */

static const char plain_mechanism[] = "SCRAM-SHA-256";
static const char bound_mechanism[] = "SCRAM-SHA-256-PLUS";

/* Which of the offered mechanisms, and the flag that tells the server what we know of its offer
 * (RFC 5802 section 6: so that nobody between us takes the better one away unseen). */
static enum err MUST_USE choose_mechanism(const struct pg_login *login, struct bytes offered,
                                          const char **out_name, enum pg_scram_binding *out_binding,
                                          struct err_text *why)
{
    bool has_plain = false, has_bound = false;
    struct bytes name;
    while (pg_wire_next_string(&offered, &name)) {
        has_plain = has_plain || bytes_equal_string(name, plain_mechanism);
        has_bound = has_bound || bytes_equal_string(name, bound_mechanism);
    }
    bool can_bind = login->options.is_tls && login->options.server_end_point.size > 0;
    if (has_bound && !login->options.is_tls) {
        /* A server offers it over TLS only: somebody took the TLS away between us. */
        return err_set(why, ERR_DENIED,
                       "the target offers SCRAM-SHA-256-PLUS over a link without TLS");
    }
    if (has_bound && can_bind) {
        *out_name = bound_mechanism;
        *out_binding = PG_SCRAM_END_POINT;
        return OK;
    }
    if (!has_plain) {
        return err_set(why, ERR_DENIED,
                       "the target offers no SASL mechanism that we have; expected SCRAM-SHA-256");
    }
    *out_name = plain_mechanism;
    *out_binding = can_bind ? PG_SCRAM_NOT_OFFERED : PG_SCRAM_UNSUPPORTED;
    return OK;
}

static enum err MUST_USE create_scram(struct pg_login *login, enum pg_scram_binding binding,
                                      struct err_text *why)
{
    uint8_t raw[NONCE_RAW_SIZE];
    if (crypto_random_fill(&login->options.random, raw, sizeof(raw)) != OK) {
        return err_set(why, ERR_IO, "the system gives no random bytes");
    }
    struct buffer nonce;
    buffer_init(&nonce, NONCE_TEXT_SIZE);
    enum err e = crypto_base64_encode(bytes_of(raw, sizeof(raw)), &nonce);
    if (e == OK) {
        /* As libpq: the name is left out, the server has it from the startup packet. */
        e = pg_scram_create(
            &(struct pg_scram_options){
                .password = login->options.password,
                .nonce = buffer_bytes(&nonce),
                .binding = binding,
                .end_point = binding == PG_SCRAM_END_POINT ? login->options.server_end_point
                                                           : (struct bytes){0},
            },
            &login->scram);
    }
    buffer_finish(&nonce);
    return e;
}

static enum err MUST_USE answer_sasl(struct pg_login *login, struct bytes offered,
                                     struct buffer *out, struct err_text *why)
{
    const char *mechanism = NULL;
    enum pg_scram_binding binding = PG_SCRAM_UNSUPPORTED;
    enum err e = choose_mechanism(login, offered, &mechanism, &binding, why);
    if (e != OK) {
        return e;
    }
    login->method = mechanism == bound_mechanism ? "scram-sha-256-plus" : "scram-sha-256";
    e = require_password(login, why);
    if (e == OK) {
        e = create_scram(login, binding, why);
    }
    struct buffer text;
    buffer_init(&text, SCRAM_TEXT_CAP);
    if (e == OK) {
        e = pg_scram_write_first(login->scram, &text);
    }
    if (e == OK) {
        e = pg_write_sasl_initial(out, mechanism, buffer_bytes(&text));
    }
    buffer_finish(&text);
    login->state = AT_SASL_FIRST;
    return e;
}

/* One slice; when it was the last, the proof goes out. */
static enum err MUST_USE work(struct pg_login *login, struct buffer *out)
{
    if (!pg_scram_work(login->scram, PG_LOGIN_SLICE)) {
        return OK;
    }
    struct buffer text;
    buffer_init(&text, SCRAM_TEXT_CAP);
    enum err e = pg_scram_write_final(login->scram, &text);
    if (e == OK) {
        e = pg_write_sasl_response(out, buffer_bytes(&text));
    }
    buffer_wipe(&text);
    login->state = AT_SASL_FINAL;
    return e;
}

static enum err MUST_USE answer_continue(struct pg_login *login, struct bytes data,
                                         struct buffer *out, struct err_text *why)
{
    enum err e = pg_scram_read_server_first(login->scram, data, why);
    login->state = AT_SASL_WORK;
    return e == OK ? work(login, out) : e;
}

/* ---- the machine -------------------------------------------------------------------------- */

static const char *refused_method(enum pg_authentication_kind kind)
{
    switch (kind) {
    case PG_AUTHENTICATION_KERBEROS_V5: return "Kerberos V5";
    case PG_AUTHENTICATION_SCM: return "SCM credentials";
    case PG_AUTHENTICATION_GSS: return "GSSAPI";
    case PG_AUTHENTICATION_SSPI: return "SSPI";
    case PG_AUTHENTICATION_OK:
    case PG_AUTHENTICATION_CLEARTEXT:
    case PG_AUTHENTICATION_MD5:
    case PG_AUTHENTICATION_GSS_CONTINUE:
    case PG_AUTHENTICATION_SASL:
    case PG_AUTHENTICATION_SASL_CONTINUE:
    case PG_AUTHENTICATION_SASL_FINAL: break;
    }
    return NULL;
}

static enum err refuse(const struct pg_login *login, enum pg_authentication_kind kind,
                       struct err_text *why)
{
    const char *method = refused_method(kind);
    if (login->state == AT_START && method != NULL) {
        return err_set(why, ERR_DENIED,
                       "the target asks for a login with %s, which is not supported; expected "
                       "SCRAM-SHA-256, MD5, a password over TLS, or a client certificate",
                       method);
    }
    if (kind == PG_AUTHENTICATION_OK && login->scram != NULL && login->state < AT_SASL_PROVED) {
        return err_set(why, ERR_DENIED,
                       "the target accepts the SCRAM login before it has proved that it knows the "
                       "password");
    }
    return err_set(why, ERR_INVALID,
                   "the target sends an Authentication message that does not belong here (%d)",
                   (int)kind);
}

static enum pg_login_step finish_step(struct pg_login *login, enum err e, struct err_text *why)
{
    if (e != OK) {
        if (e == ERR_NO_MEMORY || e == ERR_LIMIT) {
            (void)err_set(why, e, "no room to write the login to the target");
        }
        login->state = AT_FAILED;
        return PG_LOGIN_FAILED;
    }
    switch (login->state) {
    case AT_SASL_WORK: return PG_LOGIN_WORK;
    case AT_DONE: return PG_LOGIN_DONE;
    default: return PG_LOGIN_CONTINUE;
    }
}

enum pg_login_step pg_login_feed(struct pg_login *login, const struct pg_authentication *message,
                                 struct buffer *out, struct err_text *why)
{
    enum err e = OK;
    if ((unsigned)message->kind >= 32 || (permitted[login->state] & 1U << message->kind) == 0) {
        e = refuse(login, message->kind, why);
        return finish_step(login, e, why);
    }
    switch (message->kind) {
    case PG_AUTHENTICATION_OK: login->state = AT_DONE; break;
    case PG_AUTHENTICATION_CLEARTEXT: e = answer_cleartext(login, out, why); break;
    case PG_AUTHENTICATION_MD5: e = answer_md5(login, message->data, out, why); break;
    case PG_AUTHENTICATION_SASL: e = answer_sasl(login, message->data, out, why); break;
    case PG_AUTHENTICATION_SASL_CONTINUE:
        e = answer_continue(login, message->data, out, why);
        break;
    case PG_AUTHENTICATION_SASL_FINAL:
        e = pg_scram_read_server_final(login->scram, message->data, why);
        login->state = AT_SASL_PROVED;
        break;
    default: e = refuse(login, message->kind, why);
    }
    return finish_step(login, e, why);
}

enum pg_login_step pg_login_work(struct pg_login *login, struct buffer *out, struct err_text *why)
{
    if (login->state != AT_SASL_WORK) {
        return finish_step(login, err_set(why, ERR_INVALID, "there is nothing to compute"), why);
    }
    return finish_step(login, work(login, out), why);
}
