#include "controlplane/export/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/credentials/credentials.h"
#include "controlplane/export/dial.h"

enum {
    /* Between two looks at what the other side has acknowledged: there is no event for it. */
    ACKNOWLEDGED_MIN_MS = 1,
    ACKNOWLEDGED_MAX_MS = 100,
};

struct export_stream {
    struct export_sink_options with;
    SSL_CTX *context; /* NULL: no TLS */
    SSL *ssl;
    int fd;
};

static const char *host_of(const struct export_stream *s)
{
    return s->with.config->syslog.host;
}

/* The first of OpenSSL's reasons, which names what was wrong; and none is left for later. */
static enum err tls_failed(const struct export_stream *s, enum err code, const char *what,
                           struct err_text *why)
{
    char text[256] = "";
    unsigned long error = ERR_get_error();
    long verified = s->ssl == NULL ? X509_V_OK : SSL_get_verify_result(s->ssl);
    if (error != 0) {
        ERR_error_string_n(error, text, sizeof(text));
    }
    ERR_clear_error();
    return err_set(why, code, "%s: %s: %s", host_of(s), what,
                   verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                   : text[0] != '\0'     ? text
                                         : "the connection was ended");
}

/* --- certificates -------------------------------------------------------------------------------
 */

static enum err use_certificate(struct export_stream *s, struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    X509 *own = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool used = own != NULL && SSL_CTX_use_certificate(s->context, own) == 1;
    for (X509 *next = used ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL; next != NULL;
         next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) {
        if (SSL_CTX_add0_chain_cert(s->context, next) != 1) {
            X509_free(next);
            used = false;
            break;
        }
    }
    X509_free(own);
    BIO_free(bio);
    ERR_clear_error(); /* the end of the file is one */
    return used ? OK : ERR_INVALID;
}

/* No prompt on the terminal for a key that has a passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static enum err use_key(struct export_stream *s, struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    bool used = key != NULL && SSL_CTX_use_PrivateKey(s->context, key) == 1 &&
                SSL_CTX_check_private_key(s->context) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return used ? OK : ERR_INVALID;
}

static enum err use_client(struct export_stream *s, struct err_text *why)
{
    const struct config_export *config = s->with.config;
    const struct config_credential client = {.name = config->name,
                                             .user = "",
                                             .certificate = config->syslog.certificate,
                                             .key = config->syslog.key};
    struct credentials_values values = {0};
    if (client.certificate.source == CONFIG_SECRET_NONE) {
        return OK;
    }
    enum err e = credentials_read(&client, s->with.vault, s->with.store, &values, why);
    if (e == OK && use_certificate(s, buffer_bytes(&values.certificate_pem)) != OK) {
        e = err_set(why, ERR_INVALID, "tls.certificate is not a certificate in PEM");
    }
    if (e == OK && use_key(s, buffer_bytes(&values.key_pem)) != OK) {
        e = err_set(why, ERR_INVALID, "tls.key is not the certificate's private key in PEM");
    }
    credentials_finish(&values);
    return e;
}

static enum err make_context(struct export_stream *s, struct err_text *why)
{
    const char *ca = s->with.config->syslog.ca_file;
    s->context = SSL_CTX_new(TLS_client_method());
    if (s->context == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)SSL_CTX_set_min_proto_version(s->context, TLS1_2_VERSION); /* RFC 9662 section 4 */
    (void)SSL_CTX_set_mode(s->context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(s->context, SSL_VERIFY_PEER, NULL);
    int loaded = ca == NULL ? SSL_CTX_set_default_verify_paths(s->context)
                            : SSL_CTX_load_verify_file(s->context, ca);
    if (loaded != 1) {
        ERR_clear_error();
        return err_set(why, ERR_INVALID, "%s has no certificate in PEM",
                       ca == NULL ? "the system's store" : ca);
    }
    return use_client(s, why);
}

/* --- connecting ---------------------------------------------------------------------------------
 */

static int timeout_ms(const struct export_stream *s)
{
    return (int)(s->with.config->syslog.timeout_ns / 1000000);
}

/* Waits for what OpenSSL waits for. */
static enum err await_tls(struct export_stream *s, int result, const char *what,
                          struct err_text *why)
{
    int wanted = SSL_get_error(s->ssl, result);
    if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
        return tls_failed(s, ERR_UNAVAILABLE, what, why);
    }
    short events = wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    if (export_stop_poll(s->with.stop, s->fd, events, timeout_ms(s)) != 0) {
        return OK;
    }
    return export_stop_asked(s->with.stop)
               ? ERR_CLOSED
               : err_set(why, ERR_TIMEOUT, "%s: %s: no answer for %d ms", host_of(s), what,
                         timeout_ms(s));
}

/* RFC 5425 section 4.2.2, RFC 6125: the certificate is for this name, or this address. */
static bool expect_name(struct export_stream *s)
{
    const char *given = s->with.config->syslog.server_name;
    const char *name = given == NULL ? host_of(s) : given;
    struct in6_addr scratch;
    if (inet_pton(AF_INET, name, &scratch) == 1 || inet_pton(AF_INET6, name, &scratch) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), name) == 1;
    }
    SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(s->ssl, name) == 1 && SSL_set_tlsext_host_name(s->ssl, name) == 1;
}

static enum err handshake(struct export_stream *s, struct err_text *why)
{
    s->ssl = SSL_new(s->context);
    if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1 || !expect_name(s)) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    for (int result = 0; e == OK;) {
        ERR_clear_error();
        result = SSL_connect(s->ssl);
        if (result == 1) {
            return OK;
        }
        e = await_tls(s, result, "TLS cannot be agreed", why);
    }
    return e;
}

enum err export_stream_open(const struct export_sink_options *options, struct export_stream **out,
                            struct err_text *why)
{
    const struct config_export *config = options->config;
    struct export_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->with = *options;
    s->fd = -1;
    enum err e = config->syslog.tls ? make_context(s, why) : OK;
    if (e == OK) {
        e = export_dial(config->syslog.host, config->syslog.port, config->syslog.timeout_ns,
                        options->stop, &s->fd, why);
    }
    if (e == OK && s->context != NULL) {
        e = handshake(s, why);
    }
    if (e != OK) {
        export_stream_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void export_stream_close(struct export_stream *s)
{
    if (s == NULL) {
        return;
    }
    if (s->ssl != NULL) {
        if (SSL_is_init_finished(s->ssl)) {
            (void)SSL_shutdown(s->ssl); /* close_notify, without waiting for the other's */
        }
        SSL_free(s->ssl);
    }
    ERR_clear_error();
    SSL_CTX_free(s->context);
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    free(s);
}

/* --- writing ------------------------------------------------------------------------------------
 */

static enum err write_tls(struct export_stream *s, struct bytes content, size_t *out_done,
                          struct err_text *why)
{
    ERR_clear_error();
    int result = SSL_write_ex(s->ssl, content.data, content.size, out_done);
    if (result == 1) {
        return OK;
    }
    *out_done = 0;
    enum err e = await_tls(s, result, "the receiver takes no records", why);
    return e == OK ? export_stream_check(s, why) : e; /* what it waits to be read */
}

static enum err write_plain(struct export_stream *s, struct bytes content, size_t *out_done,
                            struct err_text *why)
{
    ssize_t n = send(s->fd, content.data, content.size, MSG_NOSIGNAL);
    if (n > 0) {
        *out_done = (size_t)n;
        return OK;
    }
    *out_done = 0;
    if (errno != EAGAIN && errno != EINTR) {
        return err_set(why, ERR_UNAVAILABLE, "%s: %s", host_of(s), strerror(errno));
    }
    if (export_stop_poll(s->with.stop, s->fd, POLLOUT, timeout_ms(s)) != 0) {
        return OK;
    }
    return export_stop_asked(s->with.stop)
               ? ERR_CLOSED
               : err_set(why, ERR_TIMEOUT, "%s: the receiver takes no records for %d ms",
                         host_of(s), timeout_ms(s));
}

/* Until nothing is left that the other side's TCP has not acknowledged (tcp(7), SIOCOUTQ). */
static enum err await_acknowledged(struct export_stream *s, struct err_text *why)
{
    int64_t since = clock_monotonic(&s->with.clock);
    int before = -1, pause = ACKNOWLEDGED_MIN_MS;
    for (;;) {
        int queued = 0;
        if (ioctl(s->fd, SIOCOUTQ, &queued) != 0) {
            return err_set(why, ERR_UNAVAILABLE, "%s: %s", host_of(s), strerror(errno));
        }
        if (queued == 0) {
            return export_stream_check(s, why);
        }
        int64_t now = clock_monotonic(&s->with.clock);
        since = queued == before ? since : now;
        before = queued;
        if (now - since > s->with.config->syslog.timeout_ns) {
            return err_set(why, ERR_TIMEOUT, "%s: the receiver takes no records for %d ms",
                           host_of(s), timeout_ms(s));
        }
        (void)export_stop_poll(s->with.stop, -1, 0, pause);
        if (export_stop_asked(s->with.stop)) {
            return ERR_CLOSED;
        }
        pause = pause * 2 > ACKNOWLEDGED_MAX_MS ? ACKNOWLEDGED_MAX_MS : pause * 2;
    }
}

enum err export_stream_write(struct export_stream *s, struct bytes content, struct err_text *why)
{
    enum err e = OK;
    while (e == OK && content.size > 0) {
        size_t done = 0;
        e = s->ssl != NULL ? write_tls(s, content, &done, why)
                           : write_plain(s, content, &done, why);
        content = bytes_of(content.data + done, content.size - done);
    }
    return e == OK ? await_acknowledged(s, why) : e;
}

/* A receiver says nothing (RFC 5425 section 4.3): what comes is its end, or TLS's own. */
enum err export_stream_check(struct export_stream *s, struct err_text *why)
{
    char scratch[512];
    if (s->ssl != NULL) {
        size_t size = 0;
        ERR_clear_error();
        int result = SSL_read_ex(s->ssl, scratch, sizeof(scratch), &size);
        int wanted = result == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, result);
        return wanted == SSL_ERROR_NONE || wanted == SSL_ERROR_WANT_READ ||
                       wanted == SSL_ERROR_WANT_WRITE
                   ? OK
                   : tls_failed(s, ERR_UNAVAILABLE, "the receiver has ended the connection", why);
    }
    ssize_t n = recv(s->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
        return OK;
    }
    return err_set(why, ERR_UNAVAILABLE, "%s: the receiver has ended the connection%s%s",
                   host_of(s), n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
}
