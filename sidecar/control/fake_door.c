#include "sidecar/control/fake_door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

enum { GUESTS = 64, CHUNK = 16 << 10, TICK_MS = 20 };

struct fake_door {
    const struct fake_ca *ca;
    EVP_PKEY *key;
    X509 *certificate;
    int fd, port, port_without, port_with;
    pthread_t thread;
    pthread_t guests[GUESTS];
    _Atomic int guest_count, taken;
    _Atomic int mood;
    _Atomic unsigned generation; /* connections of an older one end */
    _Atomic bool stop, shut;
};

struct guest {
    struct fake_door *door;
    int fd;
    unsigned generation;
};

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool is_over(const struct guest *g)
{
    return atomic_load(&g->door->stop) || atomic_load(&g->door->generation) != g->generation;
}

static int choose_h2(SSL *ssl, const uint8_t **out, uint8_t *out_size, const uint8_t *in,
                     unsigned in_size, void *context)
{
    (void)ssl;
    (void)context;
    static const uint8_t h2[] = {2, 'h', '2'};
    uint8_t *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_size, h2, sizeof(h2), in, in_size) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_context(const struct fake_door *d)
{
    static const uint16_t algorithms[] = {SSL_SIGN_ED25519, SSL_SIGN_ECDSA_SECP256R1_SHA256};
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    need(ctx != NULL && SSL_CTX_use_certificate(ctx, d->certificate) == 1 &&
         SSL_CTX_use_PrivateKey(ctx, d->key) == 1 &&
         X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), d->ca->certificate) == 1 &&
         SSL_CTX_set_verify_algorithm_prefs(ctx, algorithms, 2) == 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL); /* a client without one is let in */
    if (atomic_load(&d->mood) != DOOR_NO_ALPN) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
    }
    bool old = atomic_load(&d->mood) == DOOR_OLD_TLS;
    need(SSL_CTX_set_max_proto_version(ctx, old ? TLS1_2_VERSION : TLS1_3_VERSION) == 1);
    need(SSL_CTX_set_min_proto_version(ctx, old ? TLS1_2_VERSION : TLS1_3_VERSION) == 1);
    return ctx;
}

static void do_not_delay(int fd)
{
    int one = 1;
    need(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
}

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        (void)close(fd);
        fd = -1;
    }
    if (fd >= 0) {
        do_not_delay(fd);
    }
    return fd;
}

/* False: would block for now is fine, this is the end. */
static bool from_tls(SSL *ssl, int plain)
{
    uint8_t chunk[CHUNK];
    int n = SSL_read(ssl, chunk, sizeof(chunk));
    if (n <= 0) {
        return SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ;
    }
    return send(plain, chunk, (size_t)n, MSG_NOSIGNAL) == n; /* the plain side blocks */
}

static bool to_tls(SSL *ssl, int plain, int fd)
{
    uint8_t chunk[CHUNK];
    ssize_t n = recv(plain, chunk, sizeof(chunk), MSG_DONTWAIT);
    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    int written;
    while ((written = SSL_write(ssl, chunk, (int)n)) <= 0) {
        if (SSL_get_error(ssl, written) != SSL_ERROR_WANT_WRITE) {
            return false;
        }
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        (void)poll(&p, 1, TICK_MS);
    }
    return true;
}

static void pass_bytes(const struct guest *g, SSL *ssl, int plain)
{
    bool alive = true;
    while (alive && !is_over(g)) {
        struct pollfd p[] = {{.fd = g->fd, .events = POLLIN}, {.fd = plain, .events = POLLIN}};
        if (SSL_pending(ssl) == 0) {
            (void)poll(p, 2, TICK_MS);
        }
        alive = from_tls(ssl, plain) && to_tls(ssl, plain, g->fd);
    }
}

static void send_garbage(const struct guest *g, SSL *ssl)
{
    uint8_t noise[4096];
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (uint8_t)(i * 31 + i / 7);
    }
    if (ssl != NULL) {
        (void)SSL_write(ssl, noise, sizeof(noise));
    } else {
        (void)send(g->fd, noise, sizeof(noise), MSG_NOSIGNAL);
    }
}

static bool shake_hands(const struct guest *g, SSL *ssl)
{
    int result;
    while ((result = SSL_accept(ssl)) != 1) {
        int error = SSL_get_error(ssl, result);
        if (is_over(g) || (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)) {
            return false;
        }
        struct pollfd p = {.fd = g->fd, .events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
        (void)poll(&p, 1, TICK_MS);
    }
    return true;
}

static void serve_tls(const struct guest *g)
{
    struct fake_door *d = g->door;
    SSL_CTX *ctx = make_context(d);
    SSL *ssl = SSL_new(ctx);
    need(ssl != NULL && SSL_set_fd(ssl, g->fd) == 1);
    if (shake_hands(g, ssl)) {
        if (atomic_load(&d->mood) == DOOR_GARBAGE) {
            send_garbage(g, ssl);
        }
        X509 *peer = SSL_get_peer_certificate(ssl);
        int plain = dial(peer == NULL ? d->port_without : d->port_with);
        X509_free(peer);
        if (plain >= 0) {
            pass_bytes(g, ssl, plain);
            (void)close(plain);
        }
    }
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void *serve(void *context)
{
    struct guest *g = context;
    switch (atomic_load(&g->door->mood)) {
    case DOOR_PLAIN: send_garbage(g, NULL); break;
    case DOOR_SILENT:
        while (!is_over(g)) {
            (void)poll(NULL, 0, TICK_MS);
        }
        break;
    default: serve_tls(g); break;
    }
    (void)close(g->fd);
    free(g);
    return NULL;
}

static void take_guest(struct fake_door *d, int fd)
{
    struct guest *g = calloc(1, sizeof(*g));
    need(g != NULL && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    do_not_delay(fd);
    g->door = d;
    g->fd = fd;
    g->generation = atomic_load(&d->generation);
    int n = atomic_load(&d->guest_count);
    need(n < GUESTS && pthread_create(&d->guests[n], NULL, serve, g) == 0);
    atomic_store(&d->guest_count, n + 1);
    atomic_fetch_add(&d->taken, 1);
}

static void *run(void *context)
{
    struct fake_door *d = context;
    while (!atomic_load(&d->stop)) {
        struct pollfd p = {.fd = d->fd, .events = POLLIN};
        if (poll(&p, 1, TICK_MS) != 1) {
            continue;
        }
        int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && atomic_load(&d->shut)) {
            (void)close(fd);
        } else if (fd >= 0) {
            take_guest(d, fd);
        }
    }
    return NULL;
}

struct fake_door *fake_door_open(const struct fake_ca *ca, const char *names, int port_without,
                                 int port_with)
{
    struct fake_door *d = calloc(1, sizeof(*d));
    need(d != NULL);
    d->ca = ca;
    d->port_without = port_without;
    d->port_with = port_with;
    fake_ca_issue_server(ca, names, &d->key, &d->certificate);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(d->fd >= 0 && bind(d->fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
         listen(d->fd, 16) == 0 && getsockname(d->fd, (struct sockaddr *)&a, &size) == 0);
    d->port = ntohs(a.sin_port);
    need(pthread_create(&d->thread, NULL, run, d) == 0);
    return d;
}

int fake_door_port(const struct fake_door *d)
{
    return d->port;
}

void fake_door_cut(struct fake_door *d, bool shut)
{
    atomic_store(&d->shut, shut);
    atomic_fetch_add(&d->generation, 1);
}

void fake_door_reopen(struct fake_door *d)
{
    atomic_store(&d->shut, false);
}

void fake_door_set_mood(struct fake_door *d, enum fake_door_mood mood)
{
    atomic_store(&d->mood, (int)mood);
}

int fake_door_count(struct fake_door *d)
{
    return atomic_load(&d->taken);
}

void fake_door_close(struct fake_door *d)
{
    atomic_store(&d->stop, true);
    (void)pthread_join(d->thread, NULL);
    for (int i = 0; i < atomic_load(&d->guest_count); i++) {
        (void)pthread_join(d->guests[i], NULL);
    }
    (void)close(d->fd);
    X509_free(d->certificate);
    EVP_PKEY_free(d->key);
    free(d);
}
