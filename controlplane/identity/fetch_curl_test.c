/* The real fetcher against a server that behaves and misbehaves. */
#include "controlplane/identity/fetch_curl.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_MS = 60000 };

struct fixture {
    struct MHD_Daemon *server;
    uint16_t port;
    char *certificate, *key; /* PEM; NULL: plain HTTP */
    char ca_file[4096];
    int followed; /* requests to where the redirect points */
    struct identity_fetch_response response;
    struct err_text why;
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *name,
                             const char *value, size_t size)
{
    char *body = calloc(1, size + 1);
    memset(body, 'x', size);
    struct MHD_Response *r = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    if (name != NULL) {
        (void)MHD_add_response_header(r, name, value);
    }
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result serve(void *context, struct MHD_Connection *c, const char *path,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    (void)state;
    struct fixture *f = context;
    if (strcmp(path, "/small") == 0) {
        return reply(c, 200, "Cache-Control", "public, max-age=77", 5);
    }
    if (strcmp(path, "/megabyte") == 0) {
        return reply(c, 200, NULL, NULL, 1 << 20);
    }
    if (strcmp(path, "/redirect") == 0) {
        return reply(c, 302, "Location", "/target", 0);
    }
    if (strcmp(path, "/target") == 0) {
        f->followed++;
        return reply(c, 200, NULL, NULL, 1);
    }
    return reply(c, 404, NULL, NULL, 3);
}

static void start(struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD;
    f->server =
        f->key == NULL
            ? MHD_start_daemon(flags, 0, NULL, NULL, serve, f, MHD_OPTION_SOCK_ADDR, &address,
                               MHD_OPTION_END)
            : MHD_start_daemon(flags | MHD_USE_TLS, 0, NULL, NULL, serve, f, MHD_OPTION_SOCK_ADDR,
                               &address, MHD_OPTION_HTTPS_MEM_KEY, f->key,
                               MHD_OPTION_HTTPS_MEM_CERT, f->certificate, MHD_OPTION_END);
    assert_non_null(f->server);
    f->port = MHD_get_daemon_info(f->server, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    buffer_init(&f->response.body, 1000);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->server != NULL) {
        MHD_stop_daemon(f->server);
    }
    if (f->ca_file[0] != '\0') {
        (void)unlink(f->ca_file);
    }
    buffer_finish(&f->response.body);
    free(f->certificate);
    free(f->key);
    free(f);
    return 0;
}

static enum err fetch(struct fixture *f, const char *scheme_and_host, const char *path,
                      int64_t timeout_ms)
{
    char url[128];
    (void)snprintf(url, sizeof url, "%s:%u%s", scheme_and_host, f->port, path);
    const struct identity_fetcher fetcher = identity_fetcher_curl();
    const struct identity_fetch_request request = {
        .url = url,
        .ca_file = f->ca_file[0] == '\0' ? NULL : f->ca_file,
        .timeout_ms = timeout_ms,
    };
    buffer_clear(&f->response.body);
    f->why.text[0] = '\0';
    return fetcher.fetch(fetcher.context, &request, &f->response, &f->why);
}

static void assert_why(const struct fixture *f, const char *expected)
{
    if (strstr(f->why.text, expected) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, expected);
    }
}

static void test_fetch(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(fetch(f, "http://127.0.0.1", "/small", ANSWER_MS), OK);
    assert_int_equal(buffer_size(&f->response.body), 5);
    assert_memory_equal(buffer_bytes(&f->response.body).data, "xxxxx", 5);
    assert_string_equal(f->response.cache_control, "public, max-age=77");
    assert_int_equal(fetch(f, "http://localhost", "/target", ANSWER_MS), OK);
    assert_string_equal(f->response.cache_control, "");
}

static void test_no_redirects(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(fetch(f, "http://127.0.0.1", "/redirect", ANSWER_MS), ERR_UNAVAILABLE);
    assert_why(f, "HTTP status 302: redirects are not followed");
    assert_int_equal(f->followed, 0);
}

static void test_status(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(fetch(f, "http://127.0.0.1", "/nothing", ANSWER_MS), ERR_UNAVAILABLE);
    assert_why(f, "HTTP status 404");
}

static void test_too_large(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(fetch(f, "http://127.0.0.1", "/megabyte", ANSWER_MS), ERR_LIMIT);
    assert_why(f, "the answer is larger than 1000 bytes");
}

static void test_nobody_there(void **state)
{
    struct fixture *f = *state;
    f->port = 1;
    assert_int_equal(fetch(f, "http://127.0.0.1", "/small", ANSWER_MS), ERR_UNAVAILABLE);
    assert_why(f, "Failed to connect to 127.0.0.1");
}

/* It takes the connection, and then says nothing. */
static void test_silence(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    f->port = ntohs(address.sin_port);
    assert_int_equal(fetch(f, "http://127.0.0.1", "/small", 200), ERR_TIMEOUT);
    assert_why(f, "no answer in time");
    (void)close(fd);
}

static void test_proxy_of_the_environment_is_not_for_loopback(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    enum err e = fetch(f, "http://127.0.0.1", "/small", ANSWER_MS);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(e, OK);
}

static void test_other_protocols(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fetch(f, "file://localhost", "/etc/hosts", 1000), ERR_UNAVAILABLE);
    assert_int_equal(buffer_size(&f->response.body), 0);
}

/* ---- TLS -------------------------------------------------------------------------------- */

static char *pem_of(BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    char *text = bytes_to_string(bytes_of(data, (size_t)size));
    BIO_free(bio);
    return text;
}

/* Self-signed, for "localhost". */
static void make_certificate(struct fixture *f)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    BIO *bio = BIO_new(BIO_s_mem());
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"localhost", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(x, name), 1);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_int_equal(X509_add_ext(x, san, -1), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    f->certificate = pem_of(bio);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    f->key = pem_of(bio);
    X509_EXTENSION_free(san);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void trust_certificate(struct fixture *f)
{
    const char *directory = getenv("TEST_TMPDIR");
    (void)snprintf(f->ca_file, sizeof f->ca_file, "%s/ca.XXXXXX",
                   directory == NULL ? "/tmp" : directory);
    int fd = mkstemp(f->ca_file);
    assert_true(fd >= 0);
    size_t size = strlen(f->certificate);
    assert_int_equal(write(fd, f->certificate, size), size);
    (void)close(fd);
}

static void test_tls(void **state)
{
    struct fixture *f = *state;
    make_certificate(f);
    start(f);
    /* Nobody vouches for it. */
    assert_int_equal(fetch(f, "https://localhost", "/small", ANSWER_MS), ERR_UNAVAILABLE);
    assert_why(f, "certificate");
    trust_certificate(f);
    assert_int_equal(fetch(f, "https://localhost", "/small", ANSWER_MS), OK);
    /* It is another's. */
    assert_int_equal(fetch(f, "https://127.0.0.1", "/small", ANSWER_MS), ERR_UNAVAILABLE);
    assert_why(f, "127.0.0.1");
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
        TEST(test_fetch),
        TEST(test_no_redirects),
        TEST(test_status),
        TEST(test_too_large),
        TEST(test_nobody_there),
        TEST(test_silence),
        TEST(test_proxy_of_the_environment_is_not_for_loopback),
        TEST(test_other_protocols),
        TEST(test_tls),
    };
    return cmocka_run_group_tests(tests, global_init, global_cleanup);
}
