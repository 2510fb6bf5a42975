/* The TLS of a connection: the handshake and who is expected at the other end, what was agreed on
 * there, and the bytes. */
#include <arpa/inet.h>
#include <ev.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/net/conn_internal.h"
#include "base/net/tls_internal.h"

static void want_io(struct conn *c, bool read, bool write)
{
    if (read) {
        ev_io_start(c->ev, &c->read_io);
    } else {
        ev_io_stop(c->ev, &c->read_io);
    }
    if (write) {
        ev_io_start(c->ev, &c->write_io);
    } else {
        ev_io_stop(c->ev, &c->write_io);
    }
}

static bool alpn_agreed(const struct conn *c)
{
    if (c->tls->alpn_size == 0 || c->tls->alpn_is_free) {
        return true;
    }
    const uint8_t *chosen = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(c->ssl, &chosen, &size);
    return size + 1 == c->tls->alpn_size && memcmp(chosen, c->tls->alpn + 1, size) == 0;
}

static void handshake_failed(struct conn *c, int result)
{
    char reason[160];
    long verify = SSL_get_verify_result(c->ssl);
    if (SSL_get_error(c->ssl, result) == SSL_ERROR_SYSCALL) {
        (void)snprintf(reason, sizeof(reason), "the peer closed during the TLS handshake");
        ERR_clear_error();
    } else if (verify != X509_V_OK) {
        (void)snprintf(reason, sizeof(reason), "the certificate does not hold: %s",
                       X509_verify_cert_error_string(verify));
        ERR_clear_error();
    } else {
        char text[120];
        tls_error_text(text, sizeof(text), "handshake failure");
        (void)snprintf(reason, sizeof(reason), "TLS: %s", text);
    }
    conn_fail(c, ERR_DENIED, reason);
}

void conn_tls_handshake(struct conn *c)
{
    int result = SSL_do_handshake(c->ssl);
    if (result == 1) {
        if (!alpn_agreed(c)) {
            conn_fail(c, ERR_DENIED, "the peer does not speak the expected protocol (ALPN)");
            return;
        }
        ev_timer_stop(c->ev, &c->timer);
        want_io(c, c->wants_reading, false);
        c->state = CONN_OPEN;
        conn_tls_feed_pending(c);
        c->events.on_ready(c->context);
        return;
    }
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ: want_io(c, true, false); break;
    case SSL_ERROR_WANT_WRITE: want_io(c, false, true); break;
    default: handshake_failed(c, result); break;
    }
}

static bool is_address(const char *name)
{
    uint8_t raw[16];
    return inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1;
}

static bool expect_name(struct conn *c, const char *name)
{
    if (name == NULL || c->tls->is_server) {
        return c->tls->is_server || c->tls->verify != TLS_CHECK_NAME;
    }
    bool address = is_address(name);
    if (!address && SSL_set_tlsext_host_name(c->ssl, name) != 1) {
        return false;
    }
    if (c->tls->verify != TLS_CHECK_NAME) {
        return true;
    }
    X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
    return address ? X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1
                   : X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) == 1;
}

static void on_handshake_start(void *context)
{
    struct conn *c = context;
    c->fed.fn = conn_tls_on_fed;
    conn_tls_handshake(c);
}

enum err conn_start_tls(struct conn *c, struct tls_context *context, const char *server_name,
                        int timeout_ms)
{
    if (c->state != CONN_OPEN || c->ssl != NULL || buffer_size(&c->out) > 0) {
        return ERR_INVALID;
    }
    c->ssl = SSL_new(context->ctx);
    if (c->ssl == NULL) {
        return ERR_NO_MEMORY;
    }
    context->references++;
    c->tls = context;
    if (SSL_set_fd(c->ssl, c->fd) != 1 || !expect_name(c, server_name)) {
        return ERR_INVALID;
    }
    if (context->is_server) {
        SSL_set_accept_state(c->ssl);
    } else {
        SSL_set_connect_state(c->ssl);
    }
    c->state = CONN_HANDSHAKE;
    conn_start_timer(c, timeout_ms);
    c->fed.fn = on_handshake_start; /* not from inside this call: on_failed could surprise */
    loop_defer(c->loop, &c->fed);
    return OK;
}

struct bytes conn_alpn(const struct conn *c)
{
    const uint8_t *chosen = NULL;
    unsigned size = 0;
    if (c->ssl != NULL) {
        SSL_get0_alpn_selected(c->ssl, &chosen, &size);
    }
    return bytes_of(chosen, size);
}

bool conn_is_tls(const struct conn *c)
{
    return c->ssl != NULL;
}

size_t conn_end_point_hash(const struct conn *c, uint8_t *out)
{
    X509 *certificate = c->ssl == NULL ? NULL : SSL_get_peer_certificate(c->ssl);
    if (certificate == NULL) {
        return 0;
    }
    int digest_nid = NID_undef;
    unsigned size = 0;
    /* MD5 and SHA-1 are replaced by SHA-256; a signature without a hash of its own (Ed25519) is
     * undefined there, and PostgreSQL takes SHA-256 for none of them. */
    if (OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest_nid, NULL) == 1) {
        const EVP_MD *md = digest_nid == NID_undef ? NULL : EVP_get_digestbynid(digest_nid);
        if (digest_nid == NID_md5 || digest_nid == NID_sha1) {
            md = EVP_sha256();
        }
        if (md == NULL || X509_digest(certificate, md, out, &size) != 1) {
            size = 0;
        }
    }
    X509_free(certificate);
    return size;
}

/* What TLS has decrypted already does not make the socket readable again. */
void conn_tls_on_fed(void *context)
{
    struct conn *c = context;
    if (c->state == CONN_OPEN && c->wants_reading) {
        c->events.on_readable(c->context);
    }
}

void conn_tls_feed_pending(struct conn *c)
{
    if (c->state == CONN_OPEN && c->wants_reading && SSL_pending(c->ssl) > 0) {
        loop_defer(c->loop, &c->fed);
    }
}

enum conn_result conn_tls_read(struct conn *c, uint8_t *out, size_t size, size_t *out_count)
{
    int n = SSL_read(c->ssl, out, size > INT32_MAX ? INT32_MAX : (int)size);
    if (n > 0) {
        *out_count = (size_t)n;
        conn_tls_feed_pending(c);
        return CONN_OK;
    }
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ: return CONN_AGAIN;
    case SSL_ERROR_WANT_WRITE: ev_io_start(c->ev, &c->write_io); return CONN_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return CONN_EOF;
    default: ERR_clear_error(); return CONN_FAILED;
    }
}

ssize_t conn_tls_write(struct conn *c, struct bytes b)
{
    int n = SSL_write(c->ssl, b.data, b.size > (1 << 20) ? 1 << 20 : (int)b.size);
    if (n > 0) {
        return n;
    }
    int error = SSL_get_error(c->ssl, n);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
}

void conn_tls_shutdown(struct conn *c)
{
    (void)SSL_shutdown(c->ssl);
    ERR_clear_error();
}

void conn_tls_finish(struct conn *c)
{
    if (c->ssl != NULL) {
        SSL_free(c->ssl);
    }
    tls_context_destroy(c->tls);
}
