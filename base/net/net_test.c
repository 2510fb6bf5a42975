/* The loop, connections with and without TLS, listening and looking up: on loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "base/net/conn.h"
#include "base/net/listen.h"
#include "base/net/resolve.h"

enum { PATIENCE_MS = 60000 };

/* ---- the loop
 * ------------------------------------------------------------------------------------- */

struct order {
    struct loop *loop;
    char text[32];
    struct loop_deferred late;
    pthread_mutex_t destroyed; /* locked until the loop is */
};

static void add_a(void *context)
{
    strcat(((struct order *)context)->text, "a");
}

static void add_end(void *context)
{
    struct order *o = context;
    strcat(o->text, "z");
    loop_stop(o->loop);
}

static void add_b_and_defer(void *context)
{
    struct order *o = context;
    strcat(o->text, "b");
    loop_defer(o->loop, &o->late);
    loop_defer(o->loop, &o->late); /* twice is once */
}

static void *post_from_elsewhere(void *context)
{
    struct order *o = context;
    assert_int_equal(loop_post(o->loop, add_a, o), OK);
    assert_int_equal(loop_post(o->loop, add_b_and_defer, o), OK);
    assert_int_equal(loop_post(o->loop, add_a, o), OK);
    return NULL;
}

static void test_posts_keep_their_order_and_deferred_comes_last(void **state)
{
    (void)state;
    struct order o = {0};
    pthread_t thread;
    assert_int_equal(loop_create(&o.loop), OK);
    o.late = (struct loop_deferred){.fn = add_end, .context = &o};
    assert_int_equal(pthread_create(&thread, NULL, post_from_elsewhere, &o), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_run(o.loop);
    assert_string_equal(o.text, "abaz");
    loop_destroy(o.loop);
}

static void *post_after_the_end(void *context)
{
    struct order *o = context;
    (void)pthread_mutex_lock(&o->destroyed);
    enum err e = loop_post(o->loop, add_a, o);
    loop_release(o->loop);
    return e == ERR_CLOSED ? o : NULL;
}

static void test_a_thread_may_outlive_the_loop(void **state)
{
    (void)state;
    struct order o = {0};
    pthread_t thread;
    void *result = NULL;
    (void)pthread_mutex_init(&o.destroyed, NULL);
    (void)pthread_mutex_lock(&o.destroyed);
    assert_int_equal(loop_create(&o.loop), OK);
    loop_hold(o.loop);
    assert_int_equal(pthread_create(&thread, NULL, post_after_the_end, &o), 0);
    assert_int_equal(loop_post(o.loop, add_a, &o), OK);
    loop_destroy(o.loop); /* what was posted before runs */
    (void)pthread_mutex_unlock(&o.destroyed);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &o);
    assert_string_equal(o.text, "a");
}

/* ---- two connections that talk
 * ---------------------------------------------------------------------- */

struct end {
    struct loop *loop;
    struct conn *conn;
    struct buffer got;
    size_t wanted;
    bool ready, eof;
    enum err failed;
    char why[160];
};

static void on_ready(void *context)
{
    struct end *e = context;
    e->ready = true;
    loop_stop(e->loop);
}

static void on_readable(void *context)
{
    struct end *e = context;
    uint8_t chunk[4096];
    size_t n = 0;
    switch (conn_read(e->conn, chunk, sizeof(chunk), &n)) {
    case CONN_OK: assert_int_equal(buffer_append(&e->got, bytes_of(chunk, n)), OK); break;
    case CONN_AGAIN: return;
    case CONN_EOF:
    case CONN_FAILED:
        e->eof = true;
        conn_pause(e->conn);
        break;
    }
    if (e->eof || buffer_size(&e->got) >= e->wanted) {
        loop_stop(e->loop);
    }
}

static void on_failed(void *context, enum err error, const char *why)
{
    struct end *e = context;
    e->failed = error;
    (void)snprintf(e->why, sizeof(e->why), "%s", why);
    loop_stop(e->loop);
}

static const struct conn_events events = {
    .on_ready = on_ready, .on_readable = on_readable, .on_failed = on_failed};

struct pair {
    struct loop *loop;
    struct end a, b;
};

static int make_pair(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));
    int fds[2];
    assert_non_null(p);
    assert_int_equal(loop_create(&p->loop), OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    p->a.loop = p->loop;
    p->b.loop = p->loop;
    buffer_init(&p->a.got, 64 << 20);
    buffer_init(&p->b.got, 64 << 20);
    assert_int_equal(conn_create(p->loop, fds[0], &events, &p->a, &p->a.conn), OK);
    assert_int_equal(conn_create(p->loop, fds[1], &events, &p->b, &p->b.conn), OK);
    *state = p;
    return 0;
}

static int drop_pair(void **state)
{
    struct pair *p = *state;
    conn_close(p->a.conn);
    conn_close(p->b.conn);
    loop_destroy(p->loop);
    buffer_finish(&p->a.got);
    buffer_finish(&p->b.got);
    free(p);
    return 0;
}

static void test_what_does_not_fit_now_is_queued_up_to_a_cap(void **state)
{
    struct pair *p = *state;
    uint8_t *megabyte = malloc(1 << 20);
    assert_non_null(megabyte);
    for (size_t i = 0; i < 1 << 20; i++) {
        megabyte[i] = (uint8_t)(i * 31 >> 3);
    }
    assert_int_equal(conn_write(p->a.conn, bytes_of(megabyte, 1 << 20)), OK);
    assert_true(conn_queued(p->a.conn) > 0); /* nobody reads yet */
    enum err e = OK;
    for (int i = 0; i < 8 && e == OK; i++) {
        e = conn_write(p->a.conn, bytes_of(megabyte, 1 << 20));
    }
    assert_int_equal(e, ERR_LIMIT);
    p->b.wanted = 1 << 20;
    conn_resume(p->b.conn);
    loop_run(p->loop);
    assert_memory_equal(buffer_bytes(&p->b.got).data, megabyte, 1 << 20);
    free(megabyte);
}

/* However little of them the socket takes at a time. */
static void test_pieces_that_leave_together_keep_their_order(void **state)
{
    struct pair *p = *state;
    struct buffer sent;
    buffer_init(&sent, 4 << 20);
    for (unsigned i = 0; i < 5; i++) {
        uint8_t long_one[300000];
        memset(long_one, 'a' + (int)i, sizeof(long_one));
        assert_int_equal(conn_append(p->a.conn, bytes_of("line\r\n", 6)), OK);
        assert_int_equal(
            conn_write_two(p->a.conn, bytes_of(long_one, sizeof(long_one)), bytes_of("end", 3)),
            OK);
        assert_int_equal(buffer_append(&sent, bytes_of("line\r\n", 6)), OK);
        assert_int_equal(buffer_append(&sent, bytes_of(long_one, sizeof(long_one))), OK);
        assert_int_equal(buffer_append(&sent, bytes_of("end", 3)), OK);
        p->b.wanted = i < 2 ? buffer_size(&sent) : 0; /* the later ones find a queue */
        conn_resume(p->b.conn);
        if (p->b.wanted > 0) {
            loop_run(p->loop);
        }
    }
    p->b.wanted = buffer_size(&sent);
    loop_run(p->loop);
    assert_int_equal(buffer_size(&p->b.got), buffer_size(&sent));
    assert_memory_equal(buffer_bytes(&p->b.got).data, sent.data, buffer_size(&sent));
    assert_int_equal(conn_queued(p->a.conn), 0);
    buffer_finish(&sent);
}

static void test_the_end_is_seen_after_what_was_queued(void **state)
{
    struct pair *p = *state;
    struct buffer big;
    buffer_init(&big, 2 << 20);
    assert_non_null(buffer_reserve(&big, 2 << 20));
    memset(big.data, 'x', 2 << 20);
    buffer_commit(&big, 2 << 20);
    assert_int_equal(conn_write(p->a.conn, buffer_bytes(&big)), OK);
    conn_close_after_flush(p->a.conn, PATIENCE_MS);
    p->a.conn = NULL;
    p->b.wanted = SIZE_MAX;
    conn_resume(p->b.conn);
    loop_run(p->loop);
    assert_true(p->b.eof);
    assert_int_equal(buffer_size(&p->b.got), 2 << 20);
    buffer_finish(&big);
}

/* ---- TLS
 * -----------------------------------------------------------------------------------------------
 */

static struct bytes pem_of(BIO *bio)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(BIO_mem_contents(bio, &data, &size), 1);
    return bytes_of(data, size);
}

struct identity {
    BIO *certificate, *key;
};

static void add_names(X509 *x)
{
    static const uint8_t address[] = {127, 0, 0, 1};
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *dns = GENERAL_NAME_new(), *ip = GENERAL_NAME_new();
    ASN1_STRING *dns_text = ASN1_STRING_type_new(V_ASN1_IA5STRING);
    ASN1_STRING *ip_bytes = ASN1_STRING_type_new(V_ASN1_OCTET_STRING);
    assert_int_equal(ASN1_STRING_set(dns_text, "localhost", 9), 1);
    assert_int_equal(ASN1_STRING_set(ip_bytes, address, sizeof(address)), 1);
    GENERAL_NAME_set0_value(dns, GEN_DNS, dns_text);
    GENERAL_NAME_set0_value(ip, GEN_IPADD, ip_bytes);
    assert_true(sk_GENERAL_NAME_push(names, dns) > 0);
    assert_true(sk_GENERAL_NAME_push(names, ip) > 0);
    assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
}

/* A self-signed certificate for localhost. */
static struct identity make_identity(void)
{
    struct identity id = {BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *x = X509_new();
    assert_int_equal(EC_KEY_generate_key(ec), 1);
    assert_int_equal(EVP_PKEY_assign_EC_KEY(key, ec), 1);
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_get_notBefore(x), -60));
    assert_non_null(X509_gmtime_adj(X509_get_notAfter(x), 3600));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    add_names(x);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(id.certificate, x), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(id.key, key, NULL, NULL, 0, NULL, NULL), 1);
    X509_free(x);
    EVP_PKEY_free(key);
    return id;
}

static void shake(struct pair *p, const struct tls_client_options *client, const char *name,
                  const struct identity *server_identity, const char *server_alpn)
{
    struct tls_context *a = NULL, *b = NULL;
    struct err_text why = {0};
    assert_int_equal(tls_client_create(client, &a, &why), OK);
    assert_int_equal(tls_server_create(pem_of(server_identity->certificate),
                                       pem_of(server_identity->key), server_alpn, &b, &why),
                     OK);
    assert_int_equal(conn_start_tls(p->a.conn, a, name, PATIENCE_MS), OK);
    assert_int_equal(conn_start_tls(p->b.conn, b, NULL, PATIENCE_MS), OK);
    tls_context_destroy(a); /* the connections keep them */
    tls_context_destroy(b);
    while (!(p->a.ready && p->b.ready) && p->a.failed == OK && p->b.failed == OK) {
        loop_run(p->loop);
    }
}

static void free_identity(struct identity *id)
{
    BIO_free(id->certificate);
    BIO_free(id->key);
}

static void test_tls_carries_bytes_and_knows_its_server(void **state)
{
    struct pair *p = *state;
    struct identity id = make_identity();
    const struct tls_client_options options = {
        .ca_pem = pem_of(id.certificate), .alpn = "h2", .only_tls13 = true};
    shake(p, &options, "localhost", &id, "h2");
    assert_true(p->a.ready && p->b.ready);
    uint8_t hash[64];
    assert_int_equal(conn_end_point_hash(p->a.conn, hash), 32);
    assert_int_equal(conn_end_point_hash(p->b.conn, hash), 0); /* the client has no certificate */
    assert_int_equal(conn_write(p->a.conn, bytes_of("hello", 5)), OK);
    p->b.wanted = 5;
    conn_resume(p->b.conn);
    loop_run(p->loop);
    assert_true(bytes_equal_string(buffer_bytes(&p->b.got), "hello"));
    free_identity(&id);
}

/* Of several protocols one is agreed on, by the server's preference; or none, and that is no
 * failure. */
static void test_tls_agrees_on_one_of_several_protocols(void **state)
{
    static const struct {
        const char *client, *server, *agreed;
    } cases[] = {
        {"h2,http/1.1", "h2,http/1.1", "h2"},
        {"http/1.1,h2", "h2,http/1.1", "h2"},
        {"http/1.1", "h2,http/1.1", "http/1.1"},
        {"h2,http/1.1", NULL, ""},
        {NULL, "h2,http/1.1", ""},
        {"h2,http/1.1", "other,another", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        void *own = NULL;
        assert_int_equal(make_pair(&own), 0);
        struct pair *p = own;
        struct identity id = make_identity();
        const struct tls_client_options options = {.ca_pem = pem_of(id.certificate),
                                                   .alpn = cases[i].client};
        shake(p, &options, "localhost", &id, cases[i].server);
        assert_true(p->a.ready && p->b.ready);
        assert_true(bytes_equal_string(conn_alpn(p->a.conn), cases[i].agreed));
        assert_true(bytes_equal_string(conn_alpn(p->b.conn), cases[i].agreed));
        free_identity(&id);
        assert_int_equal(drop_pair(&own), 0);
    }
}

static void test_tls_takes_an_address_from_the_certificate(void **state)
{
    struct pair *p = *state;
    struct identity id = make_identity();
    const struct tls_client_options options = {.ca_pem = pem_of(id.certificate)};
    shake(p, &options, "127.0.0.1", &id, NULL);
    assert_true(p->a.ready);
    free_identity(&id);
}

static void test_tls_refuses_another_name(void **state)
{
    struct pair *p = *state;
    struct identity id = make_identity();
    const struct tls_client_options options = {.ca_pem = pem_of(id.certificate)};
    shake(p, &options, "elsewhere.example", &id, NULL);
    assert_int_equal(p->a.failed, ERR_DENIED);
    assert_false(p->a.ready);
    free_identity(&id);
}

static void test_tls_refuses_another_authority(void **state)
{
    struct pair *p = *state;
    struct identity id = make_identity(), other = make_identity();
    const struct tls_client_options options = {.ca_pem = pem_of(other.certificate)};
    shake(p, &options, "localhost", &id, NULL);
    assert_int_equal(p->a.failed, ERR_DENIED);
    free_identity(&id);
    free_identity(&other);
}

static void test_tls_refuses_a_name_that_was_not_given(void **state)
{
    struct pair *p = *state;
    struct identity id = make_identity();
    struct tls_context *a = NULL;
    struct err_text why = {0};
    const struct tls_client_options options = {.ca_pem = pem_of(id.certificate)};
    assert_int_equal(tls_client_create(&options, &a, &why), OK);
    assert_int_equal(conn_start_tls(p->a.conn, a, NULL, PATIENCE_MS), ERR_INVALID);
    tls_context_destroy(a);
    free_identity(&id);
}

static void test_tls_handshake_with_someone_silent_times_out(void **state)
{
    struct pair *p = *state;
    struct tls_context *a = NULL;
    struct err_text why = {0};
    const struct tls_client_options options = {.verify = TLS_CHECK_NOTHING};
    assert_int_equal(tls_client_create(&options, &a, &why), OK);
    assert_int_equal(conn_start_tls(p->a.conn, a, "localhost", 50), OK);
    tls_context_destroy(a);
    loop_run(p->loop);
    assert_int_equal(p->a.failed, ERR_TIMEOUT);
}

static void test_bad_pem_is_named(void **state)
{
    (void)state;
    struct tls_context *c = NULL;
    struct err_text why = {0};
    const struct tls_client_options options = {.ca_pem = bytes_of_string("nothing")};
    assert_int_equal(tls_client_create(&options, &c, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "CA file"));
    assert_int_equal(tls_server_create(bytes_of_string("x"), bytes_of_string("y"), NULL, &c, &why),
                     ERR_INVALID);
    assert_non_null(strstr(why.text, "certificate"));
}

/* ---- connecting and listening
 * ----------------------------------------------------------------------------- */

/* A port that is taken, and on which nobody listens. */
static int bind_only(uint16_t *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

static void test_connect_by_name_and_the_refusal(void **state)
{
    (void)state;
    struct end e = {0};
    struct err_text why = {0};
    char address[LISTEN_ADDRESS_SIZE], host[64];
    uint16_t port = 0;
    int fd = -1;
    assert_int_equal(loop_create(&e.loop), OK);
    assert_int_equal(listen_open("127.0.0.1:0", &fd, address, &why), OK);
    assert_int_equal(resolve_split(address, host, sizeof(host), &port), OK);
    assert_int_not_equal(port, 0);
    assert_int_equal(conn_connect(e.loop, "127.0.0.1", port, PATIENCE_MS, &events, &e, &e.conn),
                     OK);
    loop_run(e.loop);
    assert_true(e.ready);
    conn_close(e.conn);
    (void)close(fd);
    e.ready = false;
    fd = bind_only(&port);
    assert_int_equal(conn_connect(e.loop, "localhost", port, PATIENCE_MS, &events, &e, &e.conn),
                     OK);
    loop_run(e.loop);
    assert_false(e.ready);
    assert_int_equal(e.failed, ERR_UNAVAILABLE);
    conn_close(e.conn);
    (void)close(fd);
    loop_destroy(e.loop);
}

static void test_only_this_host_may_be_served(void **state)
{
    (void)state;
    static const char *const refused[] = {"0.0.0.0:0", "[::]:0", "10.0.0.1:0", "example.org:1"};
    char address[LISTEN_ADDRESS_SIZE];
    int fd = -1;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct err_text why = {0};
        assert_int_equal(listen_open(refused[i], &fd, address, &why), ERR_DENIED);
        assert_non_null(strstr(why.text, refused[i]));
    }
    struct err_text why = {0};
    assert_int_equal(listen_open("nonsense", &fd, address, &why), ERR_INVALID);
    assert_int_equal(listen_open("unix:relative", &fd, address, &why), ERR_INVALID);
}

static void test_a_socket_left_behind_is_replaced_a_live_one_is_not(void **state)
{
    (void)state;
    char dir[] = "/tmp/net_test_XXXXXX";
    char address[LISTEN_ADDRESS_SIZE], bound[LISTEN_ADDRESS_SIZE];
    struct err_text why = {0};
    int first = -1, second = -1;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(address, sizeof(address), "unix:%s/s", dir);
    assert_int_equal(listen_open(address, &first, bound, &why), OK);
    assert_string_equal(bound, address);
    assert_int_equal(listen_open(address, &second, bound, &why), ERR_EXISTS);
    (void)close(first); /* as after kill -9: the file stays */
    assert_int_equal(listen_open(address, &second, bound, &why), OK);
    (void)close(second);
    (void)unlink(address + 5);
    (void)rmdir(dir);
}

static void test_addresses_are_split(void **state)
{
    (void)state;
    char host[16];
    uint16_t port = 0;
    assert_int_equal(resolve_split("[::1]:80", host, sizeof(host), &port), OK);
    assert_string_equal(host, "::1");
    assert_int_equal(port, 80);
    static const char *const wrong[] = {
        "host", "host:", "host:x", "host:70000", "::1:80", "host:-1", "a-name-too-long-for-it:1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(resolve_split(wrong[i], host, sizeof(host), &port), ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts_keep_their_order_and_deferred_comes_last),
        cmocka_unit_test(test_a_thread_may_outlive_the_loop),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit_now_is_queued_up_to_a_cap, make_pair,
                                        drop_pair),
        cmocka_unit_test_setup_teardown(test_pieces_that_leave_together_keep_their_order, make_pair,
                                        drop_pair),
        cmocka_unit_test_setup_teardown(test_the_end_is_seen_after_what_was_queued, make_pair,
                                        drop_pair),
        cmocka_unit_test_setup_teardown(test_tls_carries_bytes_and_knows_its_server, make_pair,
                                        drop_pair),
        cmocka_unit_test(test_tls_agrees_on_one_of_several_protocols),
        cmocka_unit_test_setup_teardown(test_tls_takes_an_address_from_the_certificate, make_pair,
                                        drop_pair),
        cmocka_unit_test_setup_teardown(test_tls_refuses_another_name, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_tls_refuses_another_authority, make_pair, drop_pair),
        cmocka_unit_test_setup_teardown(test_tls_refuses_a_name_that_was_not_given, make_pair,
                                        drop_pair),
        cmocka_unit_test_setup_teardown(test_tls_handshake_with_someone_silent_times_out, make_pair,
                                        drop_pair),
        cmocka_unit_test(test_bad_pem_is_named),
        cmocka_unit_test(test_connect_by_name_and_the_refusal),
        cmocka_unit_test(test_only_this_host_may_be_served),
        cmocka_unit_test(test_a_socket_left_behind_is_replaced_a_live_one_is_not),
        cmocka_unit_test(test_addresses_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
