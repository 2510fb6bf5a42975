/* What an authorization server answers, and what comes of it; with a server that says what it is
 * told to. */
#include "cli/login/flow.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { ANSWERS_MAX = 4, BODY_SIZE = 2048 };

struct answer {
    unsigned status;
    const char *body;
};

struct fixture {
    struct MHD_Daemon *server;
    char issuer[64];
    char discovery[1024];
    struct answer answers[ANSWERS_MAX]; /* to POSTs, in their order */
    size_t asked;
    char forms[ANSWERS_MAX][BODY_SIZE];
    struct login_flow flow;
    int interrupt_fd;
    char *said;
    size_t said_size;
    struct login_result result;
    struct err_text why;
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *body)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body,
                                                             MHD_RESPMEM_PERSISTENT);
    if (status == 302) {
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, "/elsewhere");
    }
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result serve(void *context, struct MHD_Connection *c, const char *path,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    struct fixture *f = context;
    (void)version;
    if (*state == NULL) {
        *state = f;
        return MHD_YES;
    }
    if (*size > 0) {
        strncat(f->forms[f->asked], data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (strcmp(path, "/.well-known/openid-configuration") == 0) {
        return reply(c, 200, f->discovery);
    }
    if (strcmp(method, "POST") != 0 || f->asked == ANSWERS_MAX) {
        return reply(c, 404, "");
    }
    const struct answer *a = &f->answers[f->asked++];
    return a->body == NULL ? MHD_NO : reply(c, a->status, a->body);
}

static void start_server(struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    f->server = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
                                 serve, f, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    assert_non_null(f->server);
    (void)snprintf(f->issuer, sizeof(f->issuer), "http://127.0.0.1:%u",
                   MHD_get_daemon_info(f->server, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)snprintf(f->discovery, sizeof(f->discovery),
                   "{\"issuer\":\"%s\",\"token_endpoint\":\"%s/token\","
                   "\"device_authorization_endpoint\":\"%s/device\","
                   "\"revocation_endpoint\":\"%s/revoke\","
                   "\"scopes_supported\":[\"openid\",\"groups\"]}",
                   f->issuer, f->issuer, f->issuer, f->issuer);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    start_server(f);
    f->interrupt_fd = eventfd(0, EFD_CLOEXEC);
    assert_true(f->interrupt_fd >= 0);
    struct login_http_options http = {.interrupt_fd = f->interrupt_fd};
    f->flow = (struct login_flow){
        .request = {.issuer = f->issuer, .client_id = "a&b=c d", .wants_access = true},
        .interrupt_fd = f->interrupt_fd,
        .clock = clock_system(),
        .random = crypto_random_system()};
    f->flow.say.out = open_memstream(&f->said, &f->said_size);
    assert_non_null(f->flow.say.out);
    assert_int_equal(login_http_create(&http, &f->flow.http, &f->why), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    login_result_finish(&f->result);
    login_flow_finish(&f->flow);
    login_http_destroy(f->flow.http);
    MHD_stop_daemon(f->server);
    (void)fclose(f->flow.say.out);
    (void)close(f->interrupt_fd);
    free(f->said);
    free(f);
    return 0;
}

static void discover(struct fixture *f)
{
    assert_int_equal(login_flow_discover(&f->flow, &f->why), OK);
}

static enum err refresh(struct fixture *f, unsigned status, const char *body)
{
    discover(f);
    f->answers[0] = (struct answer){status, body};
    return login_flow_refresh(&f->flow, "old+token", NULL, &f->result, &f->why);
}

static void assert_why(const struct fixture *f, const char *part)
{
    if (strstr(f->why.text, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, part);
    }
}

#define TOKENS "{\"access_token\":\"new\",\"token_type\":\"Bearer\",\"expires_in\":600"

static void test_a_refresh(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(refresh(f, 200, TOKENS "}"), OK);
    assert_string_equal(f->result.tokens.access_token, "new");
    /* None was given: the old one stays. */
    assert_string_equal(f->result.tokens.refresh_token, "old+token");
    int64_t left_ns = f->result.expires_ns - clock_wall(&f->flow.clock);
    assert_true(left_ns > 590LL * 1000000000 && left_ns <= 600LL * 1000000000);
    assert_string_equal(f->forms[0], "grant_type=refresh_token&refresh_token=old%2Btoken&"
                                     "client_id=a%26b%3Dc%20d");
}

static void test_a_refresh_token_that_is_replaced(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(refresh(f, 200, TOKENS ",\"refresh_token\":\"next\"}"), OK);
    assert_string_equal(f->result.tokens.refresh_token, "next");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(refresh(f, 400, "{\"error\":\"invalid_grant\"}"), ERR_DENIED);
    assert_why(f, "invalid_grant");
    assert_null(f->result.tokens.access_token);
}

static void test_a_server_in_trouble(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(refresh(f, 502, "<html>"), ERR_UNAVAILABLE);
    assert_why(f, "HTTP status 502");
}

static void test_redirects_are_not_followed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(refresh(f, 302, ""), ERR_DENIED);
    assert_why(f, "HTTP status 302");
    assert_int_equal(f->asked, 1);
}

static void test_an_answer_without_end(void **state)
{
    struct fixture *f = *state;
    char *large = malloc(1 << 20);
    assert_non_null(large);
    memset(large, ' ', (1 << 20) - 1);
    large[(1 << 20) - 1] = '\0';
    assert_int_equal(refresh(f, 200, large), ERR_LIMIT);
    MHD_stop_daemon(f->server);
    free(large);
    start_server(f);
}

static void test_an_id_token_is_needed(void **state)
{
    struct fixture *f = *state;
    f->flow.request.wants_access = false;
    assert_int_equal(refresh(f, 200, TOKENS "}"), ERR_INVALID);
    assert_why(f, "no ID token");
}

static void test_an_id_token_is_checked(void **state)
{
    struct fixture *f = *state;
    /* Also where only the access token is used: it says whose that is. {"alg":"none"} */
    assert_int_equal(refresh(f, 200, TOKENS ",\"id_token\":\"eyJhbGciOiJub25lIn0.e30.\"}"),
                     ERR_DENIED);
    assert_why(f, "unsigned");
    assert_null(f->result.tokens.access_token);
}

static void test_a_device_code(void **state)
{
    struct fixture *f = *state;
    discover(f);
    f->answers[0] = (struct answer){200, "{\"device_code\":\"d\",\"user_code\":\"BCDF\","
                                         "\"verification_uri\":\"https://id.example/d\","
                                         "\"interval\":1,\"expires_in\":60}"};
    f->answers[1] = (struct answer){400, "{\"error\":\"authorization_pending\"}"};
    f->answers[2] = (struct answer){200, TOKENS "}"};
    assert_int_equal(login_flow_device(&f->flow, &f->result, &f->why), OK);
    assert_string_equal(f->result.tokens.access_token, "new");
    assert_int_equal(f->asked, 3);
    /* The scopes that the issuer names, and no others. */
    assert_string_equal(f->forms[0], "client_id=a%26b%3Dc%20d&scope=openid%20groups");
    assert_string_equal(f->forms[1],
                        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&"
                        "device_code=d&client_id=a%26b%3Dc%20d");
    assert_non_null(strstr(f->said, "Open https://id.example/d in a browser"));
    assert_non_null(strstr(f->said, "the code BCDF\n"));
}

static void test_a_device_code_that_ends(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *answer;
        enum err expected;
        const char *said;
    } cases[] = {{"{\"error\":\"access_denied\"}", ERR_DENIED, "refused in the browser"},
                 {"{\"error\":\"expired_token\"}", ERR_TIMEOUT, "not entered in time"},
                 {"{\"error\":\"invalid_client\"}", ERR_DENIED, "invalid_client"}};
    discover(f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->asked = 0;
        f->answers[0] = (struct answer){200, "{\"device_code\":\"d\",\"user_code\":\"BCDF\","
                                             "\"verification_uri\":\"https://id.example/d\","
                                             "\"interval\":1}"};
        f->answers[1] = (struct answer){400, cases[i].answer};
        assert_int_equal(login_flow_device(&f->flow, &f->result, &f->why), cases[i].expected);
        assert_why(f, cases[i].said);
    }
}

static void test_an_interruption_ends_it_at_once(void **state)
{
    struct fixture *f = *state;
    uint64_t one = 1;
    discover(f);
    f->answers[0] = (struct answer){200, "{\"device_code\":\"d\",\"user_code\":\"BCDF\","
                                         "\"verification_uri\":\"https://id.example/d\","
                                         "\"interval\":60}"};
    assert_int_equal(write(f->interrupt_fd, &one, sizeof(one)), sizeof(one));
    assert_int_equal(login_flow_device(&f->flow, &f->result, &f->why), ERR_CLOSED);
    assert_int_equal(login_flow_refresh(&f->flow, "r", NULL, &f->result, &f->why), ERR_CLOSED);
}

static void test_revocation(void **state)
{
    struct fixture *f = *state;
    discover(f);
    f->answers[0] = (struct answer){200, ""};
    f->answers[1] = (struct answer){503, ""};
    assert_int_equal(login_flow_revoke(&f->flow, "r", &f->why), OK);
    assert_string_equal(f->forms[0],
                        "token=r&token_type_hint=refresh_token&client_id=a%26b%3Dc%20d");
    assert_int_equal(login_flow_revoke(&f->flow, "r", &f->why), ERR_DENIED);
    f->flow.server.revocation = NULL;
    assert_int_equal(login_flow_revoke(&f->flow, "r", &f->why), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_refresh),
        TEST(test_a_refresh_token_that_is_replaced),
        TEST(test_refusals),
        TEST(test_a_server_in_trouble),
        TEST(test_redirects_are_not_followed),
        TEST(test_an_answer_without_end),
        TEST(test_an_id_token_is_needed),
        TEST(test_an_id_token_is_checked),
        TEST(test_a_device_code),
        TEST(test_a_device_code_that_ends),
        TEST(test_an_interruption_ends_it_at_once),
        TEST(test_revocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
