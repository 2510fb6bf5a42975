/* Tokens of clients, from a real HTTP server that behaves and misbehaves. */
#include "controlplane/credentials/oauth2.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

enum { REQUEST_CAP = 4096 };

struct fixture {
    struct MHD_Daemon *server;
    char url[64];
    struct config_oauth2 client;
    struct oauth2 *oauth2;
    int64_t shift_ns; /* of both clocks */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* What the server is told, and what it saw. */
    unsigned status;
    const char *answer; /* NULL: a token with the request's number in it, for an hour */
    const char *location;
    bool holds;
    int requests, entered;
    char body[REQUEST_CAP], user[256], password[256], type[128], accept[128];
    bool had_authorization;
};

struct upload {
    char text[REQUEST_CAP];
    size_t size;
};

static void note(struct fixture *f, struct MHD_Connection *c, const struct upload *u)
{
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(c, &password);
    const char *type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type");
    const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept");
    f->had_authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization") != NULL;
    (void)snprintf(f->body, sizeof(f->body), "%s", u->text);
    (void)snprintf(f->user, sizeof(f->user), "%s", user == NULL ? "" : user);
    (void)snprintf(f->password, sizeof(f->password), "%s", password == NULL ? "" : password);
    (void)snprintf(f->type, sizeof(f->type), "%s", type == NULL ? "" : type);
    (void)snprintf(f->accept, sizeof(f->accept), "%s", accept == NULL ? "" : accept);
    MHD_free(user);
    MHD_free(password);
}

static enum MHD_Result answer(struct fixture *f, struct MHD_Connection *c)
{
    char text[128];
    const char *said = f->answer;
    if (said == NULL) {
        (void)snprintf(text, sizeof(text),
                       "{\"access_token\":\"token-%d\",\"token_type\":\"Bearer\","
                       "\"expires_in\":3600}",
                       f->requests);
        said = text;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(said), (void *)(uintptr_t)said,
                                                             MHD_RESPMEM_MUST_COPY);
    if (f->location != NULL) {
        (void)MHD_add_response_header(r, "Location", f->location);
    }
    enum MHD_Result queued = MHD_queue_response(c, f->status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result serve(void *context, struct MHD_Connection *c, const char *path,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    (void)path;
    (void)version;
    struct fixture *f = context;
    struct upload *u = *state;
    if (u == NULL) {
        *state = calloc(1, sizeof(*u));
        return strcmp(method, "POST") == 0 && *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        if (*size >= sizeof(u->text) - u->size) {
            return MHD_NO;
        }
        memcpy(u->text + u->size, data, *size);
        u->size += *size;
        *size = 0;
        return MHD_YES;
    }
    (void)pthread_mutex_lock(&f->mutex);
    f->entered++;
    (void)pthread_cond_broadcast(&f->changed);
    while (f->holds) {
        (void)pthread_cond_wait(&f->changed, &f->mutex);
    }
    f->requests++;
    note(f, c, u);
    enum MHD_Result result = answer(f, c);
    (void)pthread_mutex_unlock(&f->mutex);
    return result;
}

static void completed(void *context, struct MHD_Connection *c, void **state,
                      enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)c;
    (void)code;
    free(*state);
    *state = NULL;
}

static int64_t shifted(void *context)
{
    const struct clock system = clock_system();
    return clock_wall(&system) + ((struct fixture *)context)->shift_ns;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_non_null(f);
    f->status = 200;
    (void)pthread_mutex_init(&f->mutex, NULL);
    (void)pthread_cond_init(&f->changed, NULL);
    f->server = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
                                 serve, f, MHD_OPTION_SOCK_ADDR, &address,
                                 MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
    assert_non_null(f->server);
    (void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/token",
                   MHD_get_daemon_info(f->server, MHD_DAEMON_INFO_BIND_PORT)->port);
    f->client = (struct config_oauth2){
        .token_url = f->url, .client_id = "bot", .timeout_ns = INT64_C(20000000000)};
    const struct clock clock = {.wall_ns = shifted, .monotonic_ns = shifted, .context = f};
    assert_int_equal(oauth2_create(&clock, &f->oauth2), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    oauth2_destroy(f->oauth2);
    MHD_stop_daemon(f->server);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->mutex);
    free(f);
    return 0;
}

struct got {
    enum err e;
    char token[256];
    int64_t expires_ns;
    struct err_text why;
};

static struct got get_with(struct fixture *f, const char *secret)
{
    struct got got = {0};
    struct buffer token;
    buffer_init(&token, OAUTH2_TOKEN_CAP);
    got.e = oauth2_get(f->oauth2, &f->client, bytes_of_string(secret), &token, &got.expires_ns,
                       &got.why);
    (void)snprintf(got.token, sizeof(got.token), "%.*s", (int)buffer_size(&token),
                   (const char *)buffer_bytes(&token).data);
    buffer_wipe(&token);
    return got;
}

static struct got get(struct fixture *f)
{
    return get_with(f, "s3cret");
}

static void assert_token(struct got got, const char *token)
{
    if (got.e != OK) {
        fail_msg("%s", got.why.text);
    }
    assert_string_equal(got.token, token);
}

static void forward(struct fixture *f, int64_t seconds)
{
    f->shift_ns += seconds * 1000000000;
}

static void a_client_shows_itself_with_basic(void **state)
{
    struct fixture *f = *state;
    f->client.scope = "read:x write";
    f->client.audience = "https://api/";
    assert_token(get(f), "token-1");
    assert_string_equal(f->user, "bot");
    assert_string_equal(f->password, "s3cret");
    assert_string_equal(f->body, "grant_type=client_credentials&scope=read%3Ax%20write"
                                 "&audience=https%3A%2F%2Fapi%2F");
    assert_string_equal(f->type, "application/x-www-form-urlencoded");
    assert_string_equal(f->accept, "application/json");
}

/* RFC 6749 section 2.3.1: encoded first. A colon in the id would end it. */
static void names_and_secrets_are_encoded(void **state)
{
    struct fixture *f = *state;
    f->client.client_id = "a:b c";
    assert_token(get_with(f, "p:\xc3\xa4&+"), "token-1");
    assert_string_equal(f->user, "a%3Ab%20c");
    assert_string_equal(f->password, "p%3A%C3%A4%26%2B");
}

static void a_client_shows_itself_in_the_body(void **state)
{
    struct fixture *f = *state;
    f->client.secret_in_body = true;
    assert_token(get_with(f, "a&b=c"), "token-1");
    assert_string_equal(f->body,
                        "grant_type=client_credentials&client_id=bot&client_secret=a%26b%3Dc");
    assert_false(f->had_authorization);
}

static void a_token_is_used_until_shortly_before_its_end(void **state)
{
    struct fixture *f = *state;
    struct got first = get(f);
    assert_token(first, "token-1");
    assert_true(first.expires_ns > shifted(f) + INT64_C(3590) * 1000000000);
    assert_true(first.expires_ns <= shifted(f) + INT64_C(3600) * 1000000000);
    forward(f, 3600 - 60);
    assert_token(get(f), "token-1");
    forward(f, 40);
    assert_token(get(f), "token-2");
    assert_int_equal(f->requests, 2);
}

static void a_short_one_is_used_for_nine_tenths_of_its_life(void **state)
{
    struct fixture *f = *state;
    f->answer = "{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":\"60\"}";
    assert_token(get(f), "a");
    forward(f, 50);
    assert_token(get(f), "a");
    assert_int_equal(f->requests, 1);
    forward(f, 6);
    assert_token(get(f), "a");
    assert_int_equal(f->requests, 2);
}

static void one_without_an_end_is_asked_for_often(void **state)
{
    struct fixture *f = *state;
    f->answer = "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}";
    struct got got = get(f);
    assert_token(got, "a");
    assert_int_equal(got.expires_ns, 0);
    assert_token(get(f), "a");
    assert_int_equal(f->requests, 1);
    forward(f, 61);
    assert_token(get(f), "a");
    assert_int_equal(f->requests, 2);
}

static void another_secret_or_scope_is_another_client(void **state)
{
    struct fixture *f = *state;
    assert_token(get(f), "token-1");
    assert_token(get_with(f, "changed"), "token-2");
    f->client.scope = "more";
    assert_token(get(f), "token-3");
    f->client.scope = NULL;
    assert_token(get(f), "token-1");
}

static void an_old_token_serves_while_there_is_no_new_one(void **state)
{
    struct fixture *f = *state;
    assert_token(get(f), "token-1");
    forward(f, 3600 - 20);
    f->status = 503;
    assert_token(get(f), "token-1");
    assert_int_equal(f->requests, 2);
    forward(f, 30);
    assert_int_equal(get(f).e, ERR_UNAVAILABLE);
    f->status = 200;
    forward(f, 3);
    assert_token(get(f), "token-4");
}

static void a_failure_holds_for_a_moment(void **state)
{
    struct fixture *f = *state;
    f->status = 500;
    assert_int_equal(get(f).e, ERR_UNAVAILABLE);
    assert_int_equal(get(f).e, ERR_UNAVAILABLE);
    assert_int_equal(f->requests, 1);
    f->status = 200;
    forward(f, 3);
    assert_token(get(f), "token-2");
}

/* What the server says, what is made of it. */
static void answers_that_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        unsigned status;
        const char *answer;
        enum err e;
        const char *words;
    } table[] = {
        {401, "{\"error\":\"invalid_client\",\"error_description\":\"s3cret is wrong\"}",
         ERR_DENIED, "HTTP status 401: invalid_client"},
        {400, "{\"error\":\"s3cret\"}", ERR_DENIED, "HTTP status 400"},
        {400, "s3cret", ERR_DENIED, "HTTP status 400"},
        {500, "s3cret", ERR_UNAVAILABLE, "HTTP status 500"},
        {201, "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}", ERR_UNAVAILABLE, "201"},
        {200, "s3cret", ERR_INVALID, "the answer is not JSON"},
        {200, "[]", ERR_INVALID, "the answer is not JSON"},
        {200, "{\"access_token\":\"s3cret\"}", ERR_INVALID, "token_type is not Bearer"},
        {200, "{\"access_token\":\"s3cret\",\"token_type\":\"mac\"}", ERR_INVALID, "token_type"},
        {200, "{\"token_type\":\"Bearer\"}", ERR_INVALID, "access_token"},
        {200, "{\"access_token\":\"\",\"token_type\":\"Bearer\"}", ERR_INVALID, "access_token"},
        {200, "{\"access_token\":\"a b\",\"token_type\":\"Bearer\"}", ERR_INVALID, "access_token"},
        {200, "{\"access_token\":\"a\\r\\nx:y\",\"token_type\":\"Bearer\"}", ERR_INVALID,
         "access_"},
        {200, "{\"access_token\":\"a\",\"access_token\":\"b\",\"token_type\":\"Bearer\"}",
         ERR_INVALID, "the answer is not JSON"},
        {200, "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":0}", ERR_INVALID,
         "expires_in"},
        {200, "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":-5}", ERR_INVALID,
         "expires_in"},
        {200, "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":\"soon\"}",
         ERR_INVALID, "expires_in"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        f->status = table[i].status;
        f->answer = table[i].answer;
        forward(f, 3);
        struct got got = get(f);
        if (got.e != table[i].e || strstr(got.why.text, table[i].words) == NULL) {
            fail_msg("%s: %s: %s", table[i].answer, err_name(got.e), got.why.text);
        }
        assert_null(strstr(got.why.text, "s3cret"));
        assert_string_equal(got.token, "");
    }
}

static void a_redirect_is_not_followed(void **state)
{
    struct fixture *f = *state;
    f->status = 307;
    f->location = "/elsewhere";
    struct got got = get(f);
    assert_int_equal(got.e, ERR_UNAVAILABLE);
    assert_non_null(strstr(got.why.text, "redirects are not followed"));
    assert_int_equal(f->requests, 1);
}

static void a_large_answer_is_cut_off(void **state)
{
    struct fixture *f = *state;
    char *large = calloc(1, OAUTH2_ANSWER_CAP + 2);
    memset(large, ' ', OAUTH2_ANSWER_CAP + 1);
    f->answer = large;
    assert_int_equal(get(f).e, ERR_LIMIT);
    free(large);
}

static void a_server_that_is_not_there_is_named_as_such(void **state)
{
    struct fixture *f = *state;
    MHD_stop_daemon(f->server);
    f->server = NULL;
    struct got got = get(f);
    assert_int_equal(got.e, ERR_UNAVAILABLE);
    assert_null(strstr(got.why.text, "s3cret"));
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    f->server = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
                                 serve, f, MHD_OPTION_SOCK_ADDR, &any, MHD_OPTION_END);
}

static void set_holds(struct fixture *f, bool holds)
{
    (void)pthread_mutex_lock(&f->mutex);
    f->holds = holds;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->mutex);
}

static void await_request(struct fixture *f, int count)
{
    (void)pthread_mutex_lock(&f->mutex);
    while (f->entered < count) {
        (void)pthread_cond_wait(&f->changed, &f->mutex);
    }
    (void)pthread_mutex_unlock(&f->mutex);
}

static void a_silent_server_is_left(void **state)
{
    struct fixture *f = *state;
    set_holds(f, true);
    f->client.timeout_ns = 200000000;
    assert_int_equal(get(f).e, ERR_TIMEOUT);
    set_holds(f, false);
}

struct asker {
    struct fixture *f;
    pthread_t thread;
    struct got got;
};

static void *ask(void *context)
{
    struct asker *a = context;
    a->got = get(a->f);
    return NULL;
}

static void one_fetch_serves_all_who_wait(void **state)
{
    struct fixture *f = *state;
    struct asker askers[OAUTH2_WAITING_MAX] = {0};
    set_holds(f, true);
    for (size_t i = 0; i < OAUTH2_WAITING_MAX; i++) {
        askers[i].f = f;
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    await_request(f, 1);
    set_holds(f, false);
    for (size_t i = 0; i < OAUTH2_WAITING_MAX; i++) {
        (void)pthread_join(askers[i].thread, NULL);
        assert_token(askers[i].got, "token-1");
    }
    assert_int_equal(f->requests, 1);
}

static void an_old_token_is_given_while_a_new_one_is_fetched(void **state)
{
    struct fixture *f = *state;
    struct asker asker = {.f = f};
    assert_token(get(f), "token-1");
    forward(f, 3600 - 20);
    set_holds(f, true);
    assert_int_equal(pthread_create(&asker.thread, NULL, ask, &asker), 0);
    await_request(f, 2);
    assert_token(get(f), "token-1"); /* would wait for ever */
    set_holds(f, false);
    (void)pthread_join(asker.thread, NULL);
    assert_token(asker.got, "token-2");
}

static int start_curl(void **state)
{
    (void)state;
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : 1;
}

static int stop_curl(void **state)
{
    (void)state;
    curl_global_cleanup();
    return 0;
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_client_shows_itself_with_basic),
        CASE(names_and_secrets_are_encoded),
        CASE(a_client_shows_itself_in_the_body),
        CASE(a_token_is_used_until_shortly_before_its_end),
        CASE(a_short_one_is_used_for_nine_tenths_of_its_life),
        CASE(one_without_an_end_is_asked_for_often),
        CASE(another_secret_or_scope_is_another_client),
        CASE(an_old_token_serves_while_there_is_no_new_one),
        CASE(a_failure_holds_for_a_moment),
        CASE(answers_that_are_refused),
        CASE(a_redirect_is_not_followed),
        CASE(a_large_answer_is_cut_off),
        CASE(a_server_that_is_not_there_is_named_as_such),
        CASE(a_silent_server_is_left),
        CASE(one_fetch_serves_all_who_wait),
        CASE(an_old_token_is_given_while_a_new_one_is_fetched),
    };
    return cmocka_run_group_tests(tests, start_curl, stop_curl);
}
