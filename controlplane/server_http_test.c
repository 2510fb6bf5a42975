/* OpenSession of resources that are reached by HTTP. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "controlplane/files/files.h"
#include "controlplane/testing/fixture.h"

#define RESOURCES                                                                                  \
    "  - {name: crm, protocol: http, address: 'https://api.internal:8443',"                        \
    " tls: {mode: verify-ca, server_name: crm}, credential: {bearer: {file: token}}}\n"            \
    "  - {name: shop, protocol: http, address: 'http://127.0.0.1',"                                \
    " credential: {basic: {user: bot, password_file: password}}}\n"                                \
    "  - {name: open, protocol: http, address: 'https://open', credential: {none: true}}\n"        \
    "  - {name: mutual, protocol: http, address: 'https://mutual', credential:"                    \
    " {client_certificate: {certificate: token, key: password}}}\n"                                \
    "  - {name: gone, protocol: http, address: 'https://gone',"                                    \
    " credential: {header: {name: X-Key, value_file: no-such-file}}}\n"

static Chaperone__V1__OpenSessionResponse *response_of(const struct answer *a)
{
    if (a->status.code != RPC_OK) {
        fail_msg("%s", a->status.message);
    }
    return (Chaperone__V1__OpenSessionResponse *)a->reply;
}

static struct answer ask(struct sidecar *s, const char *resource, const char *token)
{
    Chaperone__V1__OpenSessionRequest request = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    request.session = (char *)(uintptr_t) "0199e9a2-0000-7000-8000-000000000001";
    request.resource = (char *)(uintptr_t)resource;
    request.protocol = (char *)(uintptr_t) "http";
    request.token.data = (uint8_t *)(uintptr_t)token;
    request.token.len = strlen(token);
    return fixture_call(s->channel, &chaperone__v1__sidecar__descriptor, "OpenSession",
                        &request.base, NULL, 0);
}

static void write_secret(struct fixture *f, const char *name, const char *text)
{
    char *path = files_join(f->directory, name);
    assert_int_equal(file_replace(path, 0600, bytes_of_string(text), NULL), OK);
    free(path);
}

static void configure(struct fixture *f, const char *resources)
{
    struct err_text why = {0};
    fixture_write_config(f, &(struct fixture_config){.resources = resources});
    if (server_reload(f->server, &why) != OK) {
        fail_msg("%s", why.text);
    }
}

static bool is_text(ProtobufCBinaryData data, const char *text)
{
    return bytes_equal_string(bytes_of(data.data, data.len), text);
}

static void a_bearer_token_comes_with_the_target(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *bot = fixture_token(f, "bot", "agents");
    write_secret(f, "token", "t-12345678\n");
    configure(f, RESOURCES);
    struct answer a = ask(&s, "crm", bot);
    const Chaperone__V1__OpenSessionResponse *r = response_of(&a);
    assert_string_equal(r->target->host, "api.internal");
    assert_int_equal(r->target->port, 8443);
    assert_string_equal(r->target->authority, "api.internal:8443");
    assert_string_equal(r->target->server_name, "crm");
    assert_string_equal(r->target->database, "");
    assert_int_equal(r->target->tls, CHAPERONE__V1__TLS_MODE__TLS_VERIFY_CA);
    assert_string_equal(r->credential->user, "");
    assert_int_equal(r->credential->password.len, 0);
    assert_int_equal(r->credential->n_fields, 1);
    assert_string_equal(r->credential->fields[0]->name, "authorization");
    assert_true(is_text(r->credential->fields[0]->value, "Bearer t-12345678"));
    assert_int_equal(r->credential->n_secrets, 1);
    assert_true(is_text(r->credential->secrets[0], "t-12345678"));
    assert_int_equal(r->credential->expires_unix_ns, 0);
    assert_int_equal(r->credential->lifetime_ms, 0);
    answer_finish(&a);
    /* As the file is now. */
    write_secret(f, "token", "t-87654321");
    a = ask(&s, "crm", bot);
    assert_true(is_text(response_of(&a)->credential->fields[0]->value, "Bearer t-87654321"));
    answer_finish(&a);
    free(bot);
    sidecar_finish(&s);
}

static void other_credentials_come_as_configured(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *bot = fixture_token(f, "bot", "agents");
    write_secret(f, "token", "PEM of a certificate");
    configure(f, RESOURCES);
    struct answer a = ask(&s, "shop", bot);
    const Chaperone__V1__OpenSessionResponse *r = response_of(&a);
    assert_string_equal(r->target->authority, "127.0.0.1");
    assert_int_equal(r->target->port, 80);
    assert_int_equal(r->target->tls, CHAPERONE__V1__TLS_MODE__TLS_DISABLE);
    assert_string_equal(r->credential->user, "bot");
    assert_int_equal(r->credential->password.len, 0);
    assert_int_equal(r->credential->n_secrets, 2);
    assert_true(is_text(r->credential->secrets[1], FIXTURE_PASSWORD));
    answer_finish(&a);
    a = ask(&s, "open", bot);
    assert_int_equal(response_of(&a)->credential->n_fields, 0);
    assert_int_equal(response_of(&a)->credential->n_secrets, 0);
    answer_finish(&a);
    a = ask(&s, "mutual", bot);
    assert_int_equal(response_of(&a)->credential->n_fields, 0);
    assert_true(is_text(response_of(&a)->credential->certificate_pem, "PEM of a certificate"));
    assert_true(is_text(response_of(&a)->credential->key_pem, FIXTURE_PASSWORD "\n"));
    answer_finish(&a);
    assert_answer(ask(&s, "gone", bot), RPC_UNAVAILABLE, "\"gone\" cannot be reached");
    free(bot);
    sidecar_finish(&s);
}

static void a_token_that_is_no_header_is_not_given(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *bot = fixture_token(f, "bot", "agents");
    write_secret(f, "token", "t-12345678\r\nhost: elsewhere");
    configure(f, RESOURCES);
    assert_answer(ask(&s, "crm", bot), RPC_UNAVAILABLE, "\"crm\" cannot be reached");
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "credential_unusable"));
    assert_null(strstr(log, "t-12345678"));
    free(log);
    free(bot);
    sidecar_finish(&s);
}

/* --- OAuth2 ------------------------------------------------------------------------------------
 */

static atomic_int token_requests;
static atomic_uint token_status;

static enum MHD_Result serve(void *context, struct MHD_Connection *c, const char *path,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    static const char answer[] = "{\"access_token\":\"at-1234\",\"token_type\":\"Bearer\","
                                 "\"expires_in\":3600,\"error_description\":\"at-9876\"}";
    static int begun;
    (void)context;
    (void)path;
    (void)method;
    (void)version;
    (void)data;
    if (*state == NULL || *size > 0) {
        *state = &begun;
        *size = 0;
        return MHD_YES;
    }
    token_requests++;
    struct MHD_Response *r = MHD_create_response_from_buffer(
        sizeof(answer) - 1, (void *)(uintptr_t)answer, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(c, token_status, r);
    MHD_destroy_response(r);
    return queued;
}

static void an_access_token_is_fetched_once(void **state)
{
    struct fixture *f = *state;
    char resources[512];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *server =
        MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, serve, NULL,
                         MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    assert_non_null(server);
    (void)snprintf(resources, sizeof(resources),
                   "  - {name: api, protocol: http, address: 'https://api', credential: {oauth2: "
                   "{token_url: 'http://127.0.0.1:%u/', client_id: bot, "
                   "client_secret_file: password}}}\n",
                   MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port);
    struct sidecar s = fixture_sidecar(f);
    char *bot = fixture_token(f, "bot", "agents");
    configure(f, resources);
    token_requests = 0;
    token_status = 200;
    for (int i = 0; i < 3; i++) {
        struct answer a = ask(&s, "api", bot);
        const Chaperone__V1__OpenSessionResponse *r = response_of(&a);
        assert_true(is_text(r->credential->fields[0]->value, "Bearer at-1234"));
        assert_int_equal(r->credential->n_secrets, 1);
        assert_true(is_text(r->credential->secrets[0], "at-1234"));
        assert_int_equal(r->credential->password.len, 0);
        assert_string_equal(r->credential->user, "bot");
        assert_true(r->credential->expires_unix_ns > 0);
        assert_true(r->credential->lifetime_ms > 3590000 && r->credential->lifetime_ms <= 3600000);
        answer_finish(&a);
    }
    assert_int_equal(token_requests, 1);
    /* Another secret is another client. */
    token_status = 401;
    write_secret(f, "password", "another-one");
    assert_answer(ask(&s, "api", bot), RPC_UNAVAILABLE,
                  "\"api\" cannot be reached: there is no access token");
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "oauth2_token_unavailable"));
    assert_non_null(strstr(log, "HTTP status 401"));
    assert_null(strstr(log, "at-"));
    assert_null(strstr(log, "another-one"));
    free(log);
    free(bot);
    sidecar_finish(&s);
    MHD_stop_daemon(server);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_bearer_token_comes_with_the_target),
        CASE(other_credentials_come_as_configured),
        CASE(a_token_that_is_no_header_is_not_given),
        CASE(an_access_token_is_fetched_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
