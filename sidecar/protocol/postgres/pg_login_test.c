/* RFC 7677's conversation, a server of our own for the rest, and every message out of turn. */
#include "sidecar/protocol/postgres/pg_login.h"

#include "sidecar/protocol/postgres/pg_scram.h"
#include "sidecar/protocol/postgres/pg_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static void assert_text(const struct buffer *b, const char *expected)
{
    char *text = bytes_to_string(buffer_bytes(b));
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

/* ---- pg_scram ------------------------------------------------------------------------------ */

/* RFC 7677 section 3. */
static void rfc7677(void **state)
{
    (void)state;
    struct pg_scram *scram = NULL;
    const struct pg_scram_options options = {
        .user = TEXT("user"), .password = TEXT("pencil"), .nonce = TEXT("rOprNGfwEbeRWgbNEkqO")};
    assert_int_equal(pg_scram_create(&options, &scram), OK);
    struct buffer out;
    buffer_init(&out, 1000);
    struct err_text why;
    assert_int_equal(pg_scram_write_first(scram, &out), OK);
    assert_text(&out, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    buffer_clear(&out);
    assert_int_equal(
        pg_scram_read_server_first(scram,
                                   TEXT("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                        "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
                                   &why),
        OK);
    assert_false(pg_scram_work(scram, 1000));
    assert_true(pg_scram_work(scram, 10000));
    assert_int_equal(pg_scram_write_final(scram, &out), OK);
    assert_text(&out, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_int_equal(pg_scram_read_server_final(
                         scram, TEXT("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), &why),
                     OK);
    pg_scram_destroy(scram);
    buffer_finish(&out);
}

static void scram_out_of_order(void **state)
{
    (void)state;
    struct pg_scram *scram = NULL;
    struct pg_scram_options options = {.password = TEXT("pencil"), .nonce = TEXT("abc")};
    assert_int_equal(pg_scram_create(&options, &scram), OK);
    struct buffer out;
    buffer_init(&out, 1000);
    assert_int_equal(pg_scram_read_server_first(scram, TEXT("r=abcd,s=YQ==,i=4096"), NULL),
                     ERR_INVALID);
    assert_int_equal(pg_scram_write_final(scram, &out), ERR_INVALID);
    assert_int_equal(pg_scram_read_server_final(scram, TEXT("v=YQ=="), NULL), ERR_INVALID);
    assert_int_equal(pg_scram_write_first(scram, &out), OK);
    assert_int_equal(pg_scram_write_first(scram, &out), ERR_INVALID);
    pg_scram_destroy(scram);
    buffer_finish(&out);
}

static void scram_options(void **state)
{
    (void)state;
    static const struct bytes no_nonces[] = {{0},
                                             {(const uint8_t *)"a,b", 3},
                                             {(const uint8_t *)"a b", 3},
                                             {(const uint8_t *)"\xc3", 1}};
    struct pg_scram *scram = NULL;
    for (size_t i = 0; i < 4; i++) {
        struct pg_scram_options options = {.nonce = no_nonces[i]};
        assert_int_equal(pg_scram_create(&options, &scram), ERR_INVALID);
    }
    struct pg_scram_options options = {.nonce = TEXT("a"), .binding = PG_SCRAM_END_POINT};
    assert_int_equal(pg_scram_create(&options, &scram), ERR_INVALID); /* nothing to bind to */
    options = (struct pg_scram_options){.nonce = TEXT("a"), .end_point = TEXT("hash")};
    assert_int_equal(pg_scram_create(&options, &scram), ERR_INVALID); /* to no purpose */
    assert_null(scram);

    options = (struct pg_scram_options){.nonce = TEXT("a"), .user = TEXT("a=b,c")};
    assert_int_equal(pg_scram_create(&options, &scram), OK);
    struct buffer out;
    buffer_init(&out, 100);
    assert_int_equal(pg_scram_write_first(scram, &out), OK);
    assert_text(&out, "n,,n=a=3Db=2Cc,r=a");
    buffer_finish(&out);
    pg_scram_destroy(scram);
    pg_scram_destroy(NULL);
}

static void scram_server_first_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "r=abc",
        "r=abcd,s=YQ==",
        "r=abcd,s=YQ==,i=",
        "r=abcd,i=4096,s=YQ==",
        "s=YQ==,r=abcd,i=4096",
        "m=x,r=abcd,s=YQ==,i=4096",   /* an extension that must be understood */
        "r=abc,s=YQ==,i=4096",        /* the server adds nothing */
        "r=xyzabc,s=YQ==,i=4096",     /* another login's nonce */
        "r=ab,s=YQ==,i=4096",         /* likewise, shorter */
        "r=abc d,s=YQ==,i=4096",      /* a space */
        "r=abc\x7f,s=YQ==,i=4096",    /* not printable */
        "r=abcd,s=,i=4096",           /* no salt */
        "r=abcd,s=YQ,i=4096",         /* no base64 */
        "r=abcd,s=Y Q=,i=4096",       /* no base64 */
        "r=abcd,s=YQ==,i=4095",       /* too few */
        "r=abcd,s=YQ==,i=1",          /* too few */
        "r=abcd,s=YQ==,i=0",          /* none */
        "r=abcd,s=YQ==,i=-4096",      /* a sign */
        "r=abcd,s=YQ==,i=+4096",      /* a sign */
        "r=abcd,s=YQ==,i=04096",      /* a leading zero */
        "r=abcd,s=YQ==,i=4096x",      /* more than digits */
        "r=abcd,s=YQ==,i=10000001",   /* too many */
        "r=abcd,s=YQ==,i=4294971392", /* 2^32 + 4096 */
        "r=abcd,s=YQ==,i=99999999999999999999999999",
        "e=other-error",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct pg_scram *scram = NULL;
        struct pg_scram_options options = {.password = TEXT("pencil"), .nonce = TEXT("abc")};
        assert_int_equal(pg_scram_create(&options, &scram), OK);
        struct buffer out;
        buffer_init(&out, 1000);
        assert_int_equal(pg_scram_write_first(scram, &out), OK);
        struct err_text why = {.text = ""};
        assert_int_equal(pg_scram_read_server_first(scram, bytes_of_string(wrong[i]), &why),
                         ERR_INVALID);
        assert_string_not_equal(why.text, "");
        assert_null(strstr(why.text, "pencil"));
        pg_scram_destroy(scram);
        buffer_finish(&out);
    }
}

static void scram_long_messages(void **state)
{
    (void)state;
    char message[PG_SCRAM_MESSAGE_MAX + 100];
    for (int size = PG_SCRAM_MESSAGE_MAX; size <= PG_SCRAM_MESSAGE_MAX + 1; size++) {
        struct pg_scram *scram = NULL;
        struct pg_scram_options options = {.password = TEXT("pencil"), .nonce = TEXT("abc")};
        assert_int_equal(pg_scram_create(&options, &scram), OK);
        struct buffer out;
        buffer_init(&out, 3 * PG_SCRAM_MESSAGE_MAX);
        assert_int_equal(pg_scram_write_first(scram, &out), OK);
        int nonce = size - (int)strlen("r=,s=YQ==,i=4096") - 3;
        (void)snprintf(message, sizeof(message), "r=abc%0*d,s=YQ==,i=4096", nonce, 0);
        assert_int_equal(strlen(message), size);
        bool fits = size == PG_SCRAM_MESSAGE_MAX;
        assert_int_equal(pg_scram_read_server_first(scram, bytes_of_string(message), NULL),
                         fits ? OK : ERR_INVALID);
        if (fits) {
            assert_true(pg_scram_work(scram, UINT32_MAX));
            assert_int_equal(pg_scram_write_final(scram, &out), OK);
        }
        pg_scram_destroy(scram);
        buffer_finish(&out);
    }
}

/* ---- pg_login ------------------------------------------------------------------------------ */

static enum err known_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 0, size);
    return OK;
}

static enum err no_random(void *context, uint8_t *out, size_t size)
{
    (void)context, (void)out, (void)size;
    return ERR_IO;
}

#define NONCE "AAAAAAAAAAAAAAAAAAAAAAAA" /* 18 zero bytes */
#define SERVER_FIRST "r=" NONCE "server,s=c2FsdHNhbHQ=,i=10000"
#define BOTH ((struct bytes){(const uint8_t *)"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256", 33})

/* A login and what it wrote. */
struct run {
    struct pg_login *login;
    struct buffer out;
    struct err_text why;
};

static struct run run_start(struct pg_login_options options)
{
    struct run r = {.login = NULL};
    if (options.random.fill == NULL) {
        options.random.fill = known_random;
    }
    options.user = TEXT("ann");
    assert_int_equal(pg_login_create(&options, &r.login), OK);
    buffer_init(&r.out, 10000);
    return r;
}

static void run_finish(struct run *r)
{
    pg_login_destroy(r->login);
    buffer_wipe(&r->out);
}

static enum pg_login_step feed(struct run *r, enum pg_authentication_kind kind, struct bytes data)
{
    buffer_clear(&r->out);
    struct pg_authentication message = {.kind = kind, .data = data};
    enum pg_login_step step = pg_login_feed(r->login, &message, &r->out, &r->why);
    if (step == PG_LOGIN_FAILED) {
        assert_int_equal(buffer_size(&r->out), 0);
        assert_string_not_equal(r->why.text, "");
        assert_null(strstr(r->why.text, "pencil"));
    }
    return step;
}

static void assert_wrote(struct run *r, struct bytes expected)
{
    assert_int_equal(buffer_size(&r->out), expected.size);
    assert_memory_equal(buffer_bytes(&r->out).data, expected.data, expected.size);
}

static void no_password_needed(void **state)
{
    (void)state;
    struct run r = run_start((struct pg_login_options){.allow_cleartext = false});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_DONE);
    assert_int_equal(buffer_size(&r.out), 0);
    assert_string_equal(pg_login_method(r.login), "none");
    run_finish(&r);
}

static void cleartext(void **state)
{
    (void)state;
    struct run r =
        run_start((struct pg_login_options){.password = TEXT("pencil"), .allow_cleartext = true});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_CLEARTEXT, TEXT("")), PG_LOGIN_CONTINUE);
    assert_wrote(&r, TEXT("p\0\0\0\x0bpencil\0"));
    assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_DONE);
    assert_string_equal(pg_login_method(r.login), "cleartext");
    run_finish(&r);

    r = run_start((struct pg_login_options){.password = TEXT("pencil"), .is_tls = true});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_CLEARTEXT, TEXT("")), PG_LOGIN_FAILED);
    assert_non_null(strstr(r.why.text, "clear text"));
    assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_FAILED);
    run_finish(&r);
}

/* PostgreSQL: 'md5' || md5(md5('pencil' || 'ann') || 'salt') */
static void md5(void **state)
{
    (void)state;
    struct run r = run_start((struct pg_login_options){.password = TEXT("pencil")});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_MD5, TEXT("salt")), PG_LOGIN_CONTINUE);
    assert_wrote(&r, TEXT("p\0\0\0\x28md54933d913ee8ea3c8d73c6322de31508f\0"));
    assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_DONE);
    assert_string_equal(pg_login_method(r.login), "md5");
    run_finish(&r);
}

/* The texts that are hashed need not be longer than their hashes. */
static void md5_of_a_short_password(void **state)
{
    (void)state;
    struct run r = {.login = NULL};
    buffer_init(&r.out, 10000);
    struct pg_login_options options = {.user = TEXT("u"), .password = TEXT("x")};
    assert_int_equal(pg_login_create(&options, &r.login), OK);
    assert_int_equal(feed(&r, PG_AUTHENTICATION_MD5, TEXT("salt")), PG_LOGIN_CONTINUE);
    assert_wrote(&r, TEXT("p\0\0\0\x28md5a3892238ab351dd68916256fb5dbbae7\0"));
    run_finish(&r);
}

static void password_missing(void **state)
{
    (void)state;
    static const enum pg_authentication_kind kinds[] = {
        PG_AUTHENTICATION_CLEARTEXT, PG_AUTHENTICATION_MD5, PG_AUTHENTICATION_SASL};
    for (size_t i = 0; i < 3; i++) {
        struct run r = run_start((struct pg_login_options){.allow_cleartext = true});
        struct bytes data =
            kinds[i] == PG_AUTHENTICATION_SASL ? TEXT("SCRAM-SHA-256\0") : TEXT("salt");
        assert_int_equal(feed(&r, kinds[i], data), PG_LOGIN_FAILED);
        assert_non_null(strstr(r.why.text, "has none"));
        run_finish(&r);
    }
}

/* A password with a zero byte would end early: it is refused, not cut. */
static void password_with_zero(void **state)
{
    (void)state;
    struct run r =
        run_start((struct pg_login_options){.password = TEXT("pen\0cil"), .allow_cleartext = true});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_CLEARTEXT, TEXT("")), PG_LOGIN_FAILED);
    run_finish(&r);
}

/* The server's signature for what was said, by the formulas of RFC 5802 section 3. */
static void sign_as_server(struct bytes password, const char *client_first_bare,
                           const char *client_final_bare, struct buffer *out)
{
    uint8_t salted[32], key[32], signature[32];
    crypto_pbkdf2_of(password, TEXT("saltsalt"), 10000, salted);
    crypto_hmac_of(bytes_of(salted, 32), TEXT("Server Key"), key);
    char auth[1000];
    (void)snprintf(auth, sizeof(auth), "%s,%s,%s", client_first_bare, SERVER_FIRST,
                   client_final_bare);
    crypto_hmac_of(bytes_of(key, 32), bytes_of_string(auth), signature);
    assert_int_equal(buffer_append_string(out, "v="), OK);
    assert_int_equal(crypto_base64_encode(bytes_of(signature, 32), out), OK);
}

/* A whole login; `gs2` and `c` are what the client must say of channel binding. */
static void scram_login(struct pg_login_options options, struct bytes offered,
                        const char *mechanism, const char *gs2, const char *c)
{
    struct run r = run_start(options);
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL, offered), PG_LOGIN_CONTINUE);
    char text[1000];
    (void)snprintf(text, sizeof(text), "%sn=,r=" NONCE, gs2);
    struct buffer expected;
    buffer_init(&expected, 1000);
    assert_int_equal(pg_write_sasl_initial(&expected, mechanism, bytes_of_string(text)), OK);
    assert_wrote(&r, buffer_bytes(&expected));

    enum pg_login_step step = feed(&r, PG_AUTHENTICATION_SASL_CONTINUE, TEXT(SERVER_FIRST));
    int turns = 0;
    while (step == PG_LOGIN_WORK) {
        assert_int_equal(buffer_size(&r.out), 0);
        step = pg_login_work(r.login, &r.out, &r.why);
        turns++;
    }
    assert_int_equal(step, PG_LOGIN_CONTINUE);
    assert_int_equal(turns, 2); /* 10000 iterations, 4096 at a time */
    (void)snprintf(text, sizeof(text), "c=%s,r=" NONCE "server", c);
    struct bytes final = buffer_bytes(&r.out);
    final = bytes_of(final.data + PG_HEADER_SIZE, strlen(text));
    assert_true(bytes_equal_string(final, text));

    buffer_clear(&expected);
    sign_as_server(options.password, "n=,r=" NONCE, text, &expected);
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL_FINAL, buffer_bytes(&expected)),
                     PG_LOGIN_CONTINUE);
    assert_int_equal(buffer_size(&r.out), 0);
    assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_DONE);
    buffer_finish(&expected);
    run_finish(&r);
}

static void scram_channel_binding(void **state)
{
    (void)state;
    struct pg_login_options plain = {.password = TEXT("pencil")};
    struct pg_login_options tls = {.password = TEXT("pencil"), .is_tls = true};
    struct pg_login_options bound = {
        .password = TEXT("pencil"), .is_tls = true, .server_end_point = TEXT("hash")};
    struct bytes one = TEXT("SCRAM-SHA-256\0");
    scram_login(plain, one, "SCRAM-SHA-256", "n,,", "biws");
    scram_login(tls, one, "SCRAM-SHA-256", "n,,", "biws");
    scram_login(bound, one, "SCRAM-SHA-256", "y,,", "eSws");
    scram_login(tls, BOTH, "SCRAM-SHA-256", "n,,", "biws");
    scram_login(bound, BOTH, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,",
                "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzaA==");
    /* A password that is not ASCII goes in as it is. */
    plain.password = TEXT("p\xc3\xa9ncil");
    scram_login(plain, one, "SCRAM-SHA-256", "n,,", "biws");
    /* Unknown mechanisms are passed over. */
    scram_login(plain, TEXT("OAUTHBEARER\0SCRAM-SHA-256\0"), "SCRAM-SHA-256", "n,,", "biws");
}

static void scram_offers_refused(void **state)
{
    (void)state;
    struct run r = run_start((struct pg_login_options){.password = TEXT("pencil")});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL, BOTH), PG_LOGIN_FAILED);
    assert_non_null(strstr(r.why.text, "without TLS"));
    run_finish(&r);
    r = run_start((struct pg_login_options){.password = TEXT("pencil"), .is_tls = true});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL, TEXT("SCRAM-SHA-256-PLUS\0")),
                     PG_LOGIN_FAILED);
    run_finish(&r);
    r = run_start((struct pg_login_options){.password = TEXT("pencil")});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL, TEXT("OAUTHBEARER\0")), PG_LOGIN_FAILED);
    run_finish(&r);
    r = run_start(
        (struct pg_login_options){.password = TEXT("pencil"), .random = {no_random, NULL}});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL, TEXT("SCRAM-SHA-256\0")), PG_LOGIN_FAILED);
    assert_non_null(strstr(r.why.text, "random"));
    run_finish(&r);
}

/* Up to the proof; what the server then says decides. */
static struct run run_to_proof(void)
{
    struct run r = run_start((struct pg_login_options){.password = TEXT("pencil")});
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL, TEXT("SCRAM-SHA-256\0")), PG_LOGIN_CONTINUE);
    enum pg_login_step step = feed(&r, PG_AUTHENTICATION_SASL_CONTINUE, TEXT(SERVER_FIRST));
    while (step == PG_LOGIN_WORK) {
        step = pg_login_work(r.login, &r.out, &r.why);
    }
    assert_int_equal(step, PG_LOGIN_CONTINUE);
    return r;
}

static void scram_server_must_prove(void **state)
{
    (void)state;
    struct run r = run_to_proof();
    assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_FAILED);
    assert_non_null(strstr(r.why.text, "before it has proved"));
    run_finish(&r);

    struct buffer signature;
    buffer_init(&signature, 100);
    sign_as_server(TEXT("another"), "n=,r=" NONCE, "c=biws,r=" NONCE "server", &signature);
    r = run_to_proof();
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL_FINAL, buffer_bytes(&signature)),
                     PG_LOGIN_FAILED);
    assert_non_null(strstr(r.why.text, "could not prove"));
    run_finish(&r);
    buffer_finish(&signature);

    static const char *const wrong[] = {"",
                                        "v=",
                                        "v=AAAA",
                                        "v=nobase64",
                                        "x=AAAA",
                                        "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                        "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        r = run_to_proof();
        assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL_FINAL, bytes_of_string(wrong[i])),
                         PG_LOGIN_FAILED);
        assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_FAILED);
        run_finish(&r);
    }
    r = run_to_proof();
    assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL_FINAL, TEXT("e=invalid-proof\n\x1b[31m")),
                     PG_LOGIN_FAILED);
    assert_non_null(strstr(r.why.text, "invalid-proof??[31m"));
    run_finish(&r);
}

static void unsupported_methods(void **state)
{
    (void)state;
    static const struct {
        enum pg_authentication_kind kind;
        const char *name;
    } methods[] = {{PG_AUTHENTICATION_KERBEROS_V5, "Kerberos"},
                   {PG_AUTHENTICATION_SCM, "SCM"},
                   {PG_AUTHENTICATION_GSS, "GSSAPI"},
                   {PG_AUTHENTICATION_SSPI, "SSPI"}};
    for (size_t i = 0; i < 4; i++) {
        struct run r = run_start((struct pg_login_options){.password = TEXT("pencil")});
        assert_int_equal(feed(&r, methods[i].kind, TEXT("")), PG_LOGIN_FAILED);
        assert_non_null(strstr(r.why.text, methods[i].name));
        run_finish(&r);
    }
}

enum where { START, ANSWERED, SASL_FIRST, SASL_WORK, SASL_FINAL, DONE, WHERES };

static struct run run_to(enum where where)
{
    if (where == SASL_FINAL) {
        return run_to_proof();
    }
    struct run r = run_start((struct pg_login_options){.password = TEXT("pencil")});
    if (where == ANSWERED) {
        assert_int_equal(feed(&r, PG_AUTHENTICATION_MD5, TEXT("salt")), PG_LOGIN_CONTINUE);
    } else if (where == SASL_FIRST || where == SASL_WORK) {
        assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL, TEXT("SCRAM-SHA-256\0")),
                         PG_LOGIN_CONTINUE);
    } else if (where == DONE) {
        assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_DONE);
    }
    if (where == SASL_WORK) {
        assert_int_equal(feed(&r, PG_AUTHENTICATION_SASL_CONTINUE, TEXT(SERVER_FIRST)),
                         PG_LOGIN_WORK);
    }
    return r;
}

/* Each state takes its own messages only, and none is taken after a wrong one. */
static void out_of_turn(void **state)
{
    (void)state;
    static const uint32_t taken[WHERES] = {
        [START] = 1U << PG_AUTHENTICATION_OK | 1U << PG_AUTHENTICATION_CLEARTEXT |
                  1U << PG_AUTHENTICATION_MD5 | 1U << PG_AUTHENTICATION_SASL,
        [ANSWERED] = 1U << PG_AUTHENTICATION_OK,
        [SASL_FIRST] = 1U << PG_AUTHENTICATION_SASL_CONTINUE,
        [SASL_FINAL] = 1U << PG_AUTHENTICATION_SASL_FINAL,
    };
    for (enum where where = START; where < WHERES; where++) {
        for (uint32_t kind = 0; kind <= 40; kind++) {
            if (kind < 32 && (taken[where] >> kind & 1) != 0) {
                continue;
            }
            struct run r = run_to(where);
            assert_int_equal(feed(&r, (enum pg_authentication_kind)kind, TEXT("SCRAM-SHA-256\0")),
                             PG_LOGIN_FAILED);
            assert_int_equal(feed(&r, PG_AUTHENTICATION_OK, TEXT("")), PG_LOGIN_FAILED);
            run_finish(&r);
        }
        if (where != SASL_WORK) {
            struct run r = run_to(where);
            assert_int_equal(pg_login_work(r.login, &r.out, &r.why), PG_LOGIN_FAILED);
            run_finish(&r);
        }
    }
    pg_login_destroy(NULL);
}

/* No room for the answer: the login fails, and nothing of it was written. */
static void no_room(void **state)
{
    (void)state;
    static const enum pg_authentication_kind kinds[] = {
        PG_AUTHENTICATION_CLEARTEXT, PG_AUTHENTICATION_MD5, PG_AUTHENTICATION_SASL};
    for (size_t i = 0; i < 3; i++) {
        struct run r = run_start(
            (struct pg_login_options){.password = TEXT("pencil"), .allow_cleartext = true});
        buffer_init(&r.out, 10);
        struct bytes data =
            kinds[i] == PG_AUTHENTICATION_SASL ? TEXT("SCRAM-SHA-256\0") : TEXT("salt");
        assert_int_equal(feed(&r, kinds[i], data), PG_LOGIN_FAILED);
        assert_non_null(strstr(r.why.text, "no room"));
        run_finish(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc7677),
        cmocka_unit_test(scram_out_of_order),
        cmocka_unit_test(scram_options),
        cmocka_unit_test(scram_server_first_refused),
        cmocka_unit_test(scram_long_messages),
        cmocka_unit_test(no_password_needed),
        cmocka_unit_test(cleartext),
        cmocka_unit_test(md5),
        cmocka_unit_test(md5_of_a_short_password),
        cmocka_unit_test(password_missing),
        cmocka_unit_test(password_with_zero),
        cmocka_unit_test(scram_channel_binding),
        cmocka_unit_test(scram_offers_refused),
        cmocka_unit_test(scram_server_must_prove),
        cmocka_unit_test(unsupported_methods),
        cmocka_unit_test(out_of_turn),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
