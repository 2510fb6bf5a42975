/* Tokens from the issuer, checked by the control plane's verifier over real HTTP. */
#include "cli/issuer/issuer.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/identity/fetch_curl.h"
#include "controlplane/identity/identity.h"

struct fixture {
    char directory[64];
    struct issuer *issuer;
    struct clock clock;
    int64_t ahead_ns; /* of the system's clock */
    struct identity_verifier *verifier;
    struct err_text why;
};

static int64_t wall(void *context)
{
    const struct clock system = clock_system();
    return clock_wall(&system) + ((struct fixture *)context)->ahead_ns;
}

static int64_t monotonic(void *context)
{
    const struct clock system = clock_system();
    return clock_monotonic(&system) + ((struct fixture *)context)->ahead_ns;
}

static void pass(struct fixture *f, int64_t seconds)
{
    f->ahead_ns += seconds * INT64_C(1000000000);
}

static struct issuer *open_issuer(struct fixture *f, const char *address, uint16_t port)
{
    struct issuer_options options = {
        .address = address, .port = port, .directory = f->directory, .clock = f->clock};
    struct issuer *s = NULL;
    if (issuer_create(&options, &s, &f->why) != OK) {
        fail_msg("%s", f->why.text);
    }
    return s;
}

static struct identity_verifier *open_verifier(struct fixture *f)
{
    static const char *const audiences[] = {ISSUER_AUDIENCE_DEFAULT, "other"};
    const struct identity_fetcher fetcher = identity_fetcher_curl();
    struct identity_provider_config c = identity_provider_config_default();
    c.name = "development";
    c.issuer = issuer_url(f->issuer);
    c.audiences = audiences;
    c.audience_count = 2;
    struct identity_verifier *v = NULL;
    if (identity_verifier_create(&c, 1, &f->clock, &fetcher, &v, &f->why) != OK) {
        fail_msg("%s", f->why.text);
    }
    return v;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->clock = (struct clock){.wall_ns = wall, .monotonic_ns = monotonic, .context = f};
    const char *parent = getenv("TEST_TMPDIR");
    (void)snprintf(f->directory, sizeof f->directory, "%.40s/issuer.XXXXXX",
                   parent == NULL || strlen(parent) > 40 ? "/tmp" : parent);
    assert_non_null(mkdtemp(f->directory));
    f->issuer = open_issuer(f, NULL, 0);
    assert_int_equal(issuer_start(f->issuer, &f->why), OK);
    f->verifier = open_verifier(f);
    *state = f;
    return 0;
}

static void key_path(const struct fixture *f, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/issuer-keys.json", f->directory);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[128];
    identity_verifier_destroy(f->verifier);
    issuer_destroy(f->issuer);
    key_path(f, path, sizeof path);
    (void)unlink(path);
    assert_int_equal(rmdir(f->directory), 0); /* nothing else was left there */
    free(f);
    return 0;
}

static char *mint(struct fixture *f, const struct issuer_token *token)
{
    char *text = NULL;
    if (issuer_mint(f->issuer, token, &text, &f->why) != OK) {
        fail_msg("%s", f->why.text);
    }
    return text;
}

static struct identity *verify(struct fixture *f, const char *token)
{
    struct identity *id = NULL;
    if (identity_verify(f->verifier, bytes_of_string(token), &id, &f->why) != OK) {
        fail_msg("%s", f->why.text);
    }
    return id;
}

static void refuse(struct fixture *f, const char *token, enum err expected, const char *sentence)
{
    struct identity *id = NULL;
    assert_int_equal(identity_verify(f->verifier, bytes_of_string(token), &id, &f->why), expected);
    if (strstr(f->why.text, sentence) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, sentence);
    }
}

/* ---- minting ---------------------------------------------------------------------------- */

static void test_mint_and_verify(void **state)
{
    struct fixture *f = *state;
    const char *const groups[] = {"ci", "readers"};
    const char *const algorithms[] = {"RS256", "ES256", NULL};
    for (int i = 0; i < 3; i++) {
        char *token = mint(f, &(struct issuer_token){.subject = "agent-1",
                                                     .groups = groups,
                                                     .group_count = 2,
                                                     .audience = "other",
                                                     .lifetime_s = 60,
                                                     .name = "Agent One",
                                                     .reason = "INC-7",
                                                     .extra_claims = "{\"team\":{\"id\":7}}",
                                                     .algorithm = algorithms[i]});
        struct identity *id = verify(f, token);
        assert_string_equal(id->subject, "agent-1");
        assert_string_equal(id->issuer, issuer_url(f->issuer));
        assert_string_equal(id->audience, "other");
        assert_string_equal(id->name, "Agent One");
        assert_true(identity_has_group(id, "readers"));
        assert_string_equal(id->reasons[0].text, "INC-7");
        assert_true(identity_claim(id, "team.id").number == 7);
        assert_int_equal(id->on_behalf_of_count, 0);
        identity_destroy(id);
        pass(f, 100);
        refuse(f, token, ERR_DENIED, "the token expired at");
        free(token);
    }
}

static void test_delegation_comes_back(void **state)
{
    struct fixture *f = *state;
    const char *const chain[] = {"orchestrator", "alice"};
    char *token =
        mint(f, &(struct issuer_token){
                    .subject = "agent-1", .on_behalf_of = chain, .on_behalf_of_count = 2});
    struct identity *id = verify(f, token);
    assert_string_equal(id->subject, "agent-1");
    assert_int_equal(id->on_behalf_of_count, 2);
    assert_string_equal(id->on_behalf_of[0].subject, "orchestrator");
    assert_string_equal(id->on_behalf_of[1].subject, "alice");
    assert_string_equal(id->on_behalf_of[1].source, "token:sub");
    identity_destroy(id);
    free(token);
}

static void test_bad_tokens_for_tests(void **state)
{
    struct fixture *f = *state;
    char *token = mint(f, &(struct issuer_token){.subject = "a", .lifetime_s = -60});
    refuse(f, token, ERR_DENIED, "the token expired at");
    free(token);
    token = mint(f, &(struct issuer_token){.subject = "a", .audience = "elsewhere"});
    refuse(f, token, ERR_DENIED, "for the audience \"elsewhere\"");
    free(token);
    token = mint(f, &(struct issuer_token){.subject = "a", .extra_claims = "{\"nbf\":4000000000}"});
    refuse(f, token, ERR_DENIED, "not valid before");
    free(token);
}

static void test_mint_refuses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct issuer_token token;
        const char *expected;
    } cases[] = {
        {{.subject = NULL}, "the subject is missing"},
        {{.subject = ""}, "the subject is missing"},
        {{.subject = "a", .algorithm = "HS256"}, "neither RS256 nor ES256"},
        {{.subject = "a", .algorithm = "none"}, "neither RS256 nor ES256"},
        {{.subject = "a", .extra_claims = "[]"}, "not a JSON object"},
        {{.subject = "a", .extra_claims = "{"}, "not a JSON object"},
        {{.subject = "a", .lifetime_s = INT64_MAX}, "the lifetime is longer"},
        {{.subject = "a", .lifetime_s = INT64_MIN}, "the lifetime is longer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *token = NULL;
        assert_int_equal(issuer_mint(f->issuer, &cases[i].token, &token, &f->why), ERR_INVALID);
        assert_null(token);
        assert_non_null(strstr(f->why.text, cases[i].expected));
    }
}

/* ---- keys ------------------------------------------------------------------------------- */

static void test_rotation(void **state)
{
    struct fixture *f = *state;
    char *old = mint(f, &(struct issuer_token){.subject = "a", .lifetime_s = 7200});
    identity_destroy(verify(f, old));
    assert_int_equal(issuer_rotate(f->issuer, &f->why), OK);
    char *new = mint(f, &(struct issuer_token){.subject = "b", .lifetime_s = 7200});
    identity_destroy(verify(f, new)); /* the verifier asks for the new key by itself */
    identity_destroy(verify(f, old));
    pass(f, ISSUER_RETIRED_S + 1);
    refuse(f, old, ERR_DENIED, "unknown key");
    identity_destroy(verify(f, new));
    free(old);
    free(new);
}

static void test_many_rotations(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 9; i++) { /* more than the file keeps */
        assert_int_equal(issuer_rotate(f->issuer, &f->why), OK);
    }
    char *token = mint(f, &(struct issuer_token){.subject = "a"});
    identity_destroy(verify(f, token));
    free(token);
    issuer_destroy(f->issuer);
    f->issuer = open_issuer(f, NULL, 0); /* it reads what it wrote */
}

static void test_keys_survive_a_restart(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat st;
    char *token = mint(f, &(struct issuer_token){.subject = "a", .algorithm = "ES256"});
    uint16_t port = issuer_port(f->issuer);
    key_path(f, path, sizeof path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    issuer_destroy(f->issuer);
    f->issuer = open_issuer(f, "127.0.0.1", port);
    assert_int_equal(issuer_start(f->issuer, &f->why), OK);
    identity_destroy(verify(f, token)); /* the first time: nothing is cached */
    free(token);
}

static void write_keys(const struct fixture *f, const char *text, mode_t mode)
{
    char path[128];
    key_path(f, path, sizeof path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_key_file_of_others(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        mode_t mode;
        enum err expected;
        const char *sentence;
    } cases[] = {
        {"{\"keys\":[]}", 0644, ERR_DENIED, "has mode 0644"},
        {"{\"keys\":[]}", 0600, ERR_INVALID, "is damaged"},
        {"", 0600, ERR_INVALID, "is damaged"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"RS256\",\"kid\":\"x\"}]}", 0600,
         ERR_INVALID, "is damaged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct issuer *s = NULL;
        struct issuer_options options = {.directory = f->directory, .clock = f->clock};
        write_keys(f, cases[i].text, cases[i].mode);
        assert_int_equal(issuer_create(&options, &s, &f->why), cases[i].expected);
        assert_null(s);
        assert_non_null(strstr(f->why.text, cases[i].sentence));
    }
}

/* ---- where it listens ------------------------------------------------------------------- */

static void test_loopback_only(void **state)
{
    struct fixture *f = *state;
    static const char *const addresses[] = {
        "0.0.0.0", "::", "192.0.2.1", "10.0.0.1", "example.test", "", "127.0.0.1.example.test"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct issuer *s = NULL;
        struct issuer_options options = {
            .address = addresses[i], .directory = f->directory, .clock = f->clock};
        assert_int_equal(issuer_create(&options, &s, &f->why), ERR_DENIED);
        assert_null(s);
        assert_non_null(strstr(f->why.text, "only, not on"));
    }
}

static void test_port_that_is_taken(void **state)
{
    struct fixture *f = *state;
    struct issuer *second = open_issuer(f, NULL, issuer_port(f->issuer));
    assert_int_equal(issuer_start(second, &f->why), ERR_IO);
    assert_non_null(strstr(f->why.text, "Address already in use"));
    issuer_destroy(second);
}

static void test_no_token_before_the_port_is_known(void **state)
{
    struct fixture *f = *state;
    struct issuer *second = open_issuer(f, NULL, 0);
    char *token = NULL;
    assert_int_equal(issuer_mint(second, &(struct issuer_token){.subject = "a"}, &token, &f->why),
                     ERR_INVALID);
    assert_non_null(strstr(f->why.text, "port is not known"));
    issuer_destroy(second);
}

/* ---- absence ---------------------------------------------------------------------------- */

static void test_issuer_that_stops(void **state)
{
    struct fixture *f = *state;
    char *token = mint(f, &(struct issuer_token){.subject = "a", .lifetime_s = 100000});
    identity_destroy(verify(f, token));
    issuer_stop(f->issuer);
    pass(f, INT64_C(7) * 3600);
    identity_destroy(verify(f, token)); /* with the keys it has */
    identity_verifier_destroy(f->verifier);
    f->verifier = open_verifier(f);
    refuse(f, token, ERR_UNAVAILABLE, issuer_url(f->issuer));
    refuse(f, token, ERR_UNAVAILABLE, "discovery document: ");
    assert_int_equal(issuer_start(f->issuer, &f->why), OK);
    pass(f, 60);
    identity_destroy(verify(f, token));
    free(token);
}

/* ---- HTTP ------------------------------------------------------------------------------- */

static size_t keep(char *data, size_t size, size_t count, void *context)
{
    return buffer_append(context, bytes_of(data, size * count)) == OK ? size * count : 0;
}

struct reply {
    long status;
    char *body; /* owned */
};

/* `form` NULL: GET. */
static struct reply ask(struct fixture *f, const char *path, const char *form, const char *header)
{
    struct reply reply = {0};
    struct buffer body;
    char url[128];
    buffer_init(&body, 1 << 20);
    (void)snprintf(url, sizeof url, "%s%s", issuer_url(f->issuer), path);
    CURL *c = curl_easy_init();
    struct curl_slist *headers = header == NULL ? NULL : curl_slist_append(NULL, header);
    assert_int_equal(curl_easy_setopt(c, CURLOPT_URL, url), CURLE_OK);
    assert_int_equal(curl_easy_setopt(c, CURLOPT_PROXY, ""), CURLE_OK);
    assert_int_equal(curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers), CURLE_OK);
    assert_int_equal(curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep), CURLE_OK);
    assert_int_equal(curl_easy_setopt(c, CURLOPT_WRITEDATA, &body), CURLE_OK);
    if (form != NULL) {
        assert_int_equal(curl_easy_setopt(c, CURLOPT_POSTFIELDS, form), CURLE_OK);
    }
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &reply.status);
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    reply.body = bytes_to_string(buffer_bytes(&body));
    buffer_finish(&body);
    return reply;
}

static void expect(struct fixture *f, const char *path, const char *form, const char *header,
                   long status, const char *body)
{
    struct reply reply = ask(f, path, form, header);
    if (reply.status != status || strstr(reply.body, body) == NULL) {
        fail_msg("%s %s: %ld %s", path, form == NULL ? "" : form, reply.status, reply.body);
    }
    free(reply.body);
}

static void test_token_over_http(void **state)
{
    struct fixture *f = *state;
    struct reply reply =
        ask(f, "/token",
            "subject=agent%2D1&groups=ci,readers&audience=other&lifetime=120&reason=INC+7&"
            "on_behalf_of=orchestrator,alice&alg=ES256&name=N&claims=%7B%22x%22%3A1%7D&format=text",
            NULL);
    assert_int_equal(reply.status, 200);
    struct identity *id = verify(f, reply.body);
    assert_string_equal(id->subject, "agent-1");
    assert_int_equal(id->group_count, 2);
    assert_string_equal(id->on_behalf_of[1].subject, "alice");
    assert_string_equal(id->reasons[0].text, "INC 7");
    assert_string_equal(id->name, "N");
    assert_true(identity_claim(id, "x").number == 1);
    identity_destroy(id);
    free(reply.body);
    expect(f, "/token", "subject=a", NULL, 200, "\"token_type\":\"Bearer\",\"expires_in\":3600");
}

static void test_bad_requests_over_http(void **state)
{
    struct fixture *f = *state;
    char large[20000];
    (void)snprintf(large, sizeof large, "subject=a&reason=%018000d", 0);
    expect(f, "/token", "groups=a", NULL, 400, "the subject is missing");
    expect(f, "/token", "", NULL, 400, "the subject is missing");
    expect(f, "/token", "subject=a&x=1", NULL, 400, "unknown field x");
    expect(f, "/token", "subject=a&subject=b", NULL, 400, "the field subject comes twice");
    expect(f, "/token", "subject=a&groups=a,,b", NULL, 400, "the field groups is not a list");
    expect(f, "/token", "subject=a&lifetime=1h", NULL, 400, "lifetime is not a number");
    expect(f, "/token", "subject=a&alg=HS256", NULL, 400, "neither RS256 nor ES256");
    expect(f, "/token", "subject=a&claims=x", NULL, 400, "not a JSON object");
    expect(f, "/token", "subject=a&format=xml", NULL, 400, "neither json nor text");
    expect(f, "/token", large, NULL, 413, "larger than 16 KiB");
    large[10000] = '\0';
    expect(f, "/token", large, NULL, 400, "the field reason is larger than 8192 bytes");
    expect(f, "/token", "{}", "Content-Type: application/json", 415, "a form");
    expect(f, "/token", NULL, NULL, 404, "POST /token");
    expect(f, "/", NULL, NULL, 404, "POST /token");
    expect(f, "/jwks", NULL, NULL, 200, "\"keys\":[");
}

static void test_private_parts_stay_private(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issuer_rotate(f->issuer, &f->why), OK);
    struct reply reply = ask(f, "/jwks", NULL, NULL);
    static const char *const secrets[] = {"\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"qi\""};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        assert_null(strstr(reply.body, secrets[i]));
    }
    assert_non_null(strstr(reply.body, "\"kid\":\"ES256-"));
    free(reply.body);
}

static void test_rotate_over_http(void **state)
{
    struct fixture *f = *state;
    char *old = mint(f, &(struct issuer_token){.subject = "a"});
    struct reply before = ask(f, "/jwks", NULL, NULL);
    struct reply after = ask(f, "/rotate", "", NULL);
    assert_int_equal(after.status, 200);
    assert_true(strlen(after.body) > strlen(before.body));
    identity_destroy(verify(f, old));
    free(old);
    free(before.body);
    free(after.body);
}

/* A web page in a browser on this machine gets nothing. */
static void test_pages_are_kept_out(void **state)
{
    struct fixture *f = *state;
    char header[64];
    expect(f, "/token", "subject=a", "Host: evil.test", 403, "access_denied");
    expect(f, "/jwks", NULL, "Host: 127.0.0.1.evil.test", 403, "access_denied");
    expect(f, "/token", "subject=a", "Origin: https://evil.test", 403, "access_denied");
    expect(f, "/rotate", "", "Origin: null", 403, "access_denied");
    expect(f, "/jwks", NULL, "Host:", 403, "access_denied"); /* none at all */
    (void)snprintf(header, sizeof header, "Host: localhost:%u", issuer_port(f->issuer));
    expect(f, "/jwks", NULL, header, 200, "\"keys\"");
}

static int global_init(void **state)
{
    (void)state;
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -1;
}

static int global_cleanup(void **state)
{
    (void)state;
    curl_global_cleanup();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mint_and_verify),
        TEST(test_delegation_comes_back),
        TEST(test_bad_tokens_for_tests),
        TEST(test_mint_refuses),
        TEST(test_rotation),
        TEST(test_many_rotations),
        TEST(test_keys_survive_a_restart),
        TEST(test_key_file_of_others),
        TEST(test_loopback_only),
        TEST(test_port_that_is_taken),
        TEST(test_no_token_before_the_port_is_known),
        TEST(test_issuer_that_stops),
        TEST(test_token_over_http),
        TEST(test_bad_requests_over_http),
        TEST(test_private_parts_stay_private),
        TEST(test_rotate_over_http),
        TEST(test_pages_are_kept_out),
    };
    return cmocka_run_group_tests(tests, global_init, global_cleanup);
}
