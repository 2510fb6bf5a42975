#include "base/net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/net/tls_internal.h"

const char tls_system_roots[] = "/etc/ssl/certs/ca-certificates.crt";

void tls_error_text(char *out, size_t size, const char *otherwise)
{
    uint32_t code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    (void)snprintf(out, size, "%s", reason != NULL ? reason : otherwise);
    ERR_clear_error();
}

static enum err fail(struct err_text *why, const char *what)
{
    char reason[128];
    tls_error_text(reason, sizeof(reason), "invalid");
    return err_set(why, ERR_INVALID, "%s: %s", what, reason);
}

static BIO *bio_of(struct bytes b)
{
    return BIO_new_mem_buf(b.data, (int)b.size);
}

static enum err load_roots(SSL_CTX *ctx, struct bytes ca_pem, struct err_text *why)
{
    if (ca_pem.size == 0) {
        return SSL_CTX_load_verify_locations(ctx, tls_system_roots, NULL) == 1
                   ? OK
                   : fail(why, "the system's root certificates (package ca-certificates)");
    }
    BIO *bio = bio_of(ca_pem);
    if (bio == NULL) {
        return ERR_NO_MEMORY;
    }
    int count = 0;
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count > 0 ? OK : err_set(why, ERR_INVALID, "the CA file holds no PEM certificate");
}

static enum err use_chain(SSL_CTX *ctx, struct bytes pem, struct err_text *why)
{
    BIO *bio = bio_of(pem);
    if (bio == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (leaf == NULL || SSL_CTX_use_certificate(ctx, leaf) != 1) {
        e = fail(why, "the certificate");
    }
    X509 *more;
    while (e == OK && (more = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (SSL_CTX_add_extra_chain_cert(ctx, more) != 1) { /* takes `more` when it succeeds */
            X509_free(more);
            e = fail(why, "the certificate's chain");
        }
    }
    X509_free(leaf);
    BIO_free(bio);
    ERR_clear_error();
    return e;
}

static enum err use_key(SSL_CTX *ctx, struct bytes pem, struct err_text *why)
{
    BIO *bio = bio_of(pem);
    if (bio == NULL) {
        return ERR_NO_MEMORY;
    }
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    enum err e = OK;
    if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1) {
        e = fail(why, "the private key");
    }
    EVP_PKEY_free(key);
    return e;
}

/* BoringSSL offers Ed25519 certificates only when asked to. */
static const uint16_t signature_algorithms[] = {
    SSL_SIGN_ED25519,          SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA512,
};

static void set_alpn(struct tls_context *c, const char *names)
{
    size_t size = strlen(names);
    if (size >= sizeof(c->alpn)) {
        return;
    }
    memcpy(c->alpn + 1, names, size);
    c->alpn_size = size + 1;
    size_t start = 0;
    for (size_t i = 1; i <= size + 1; i++) {
        if (i == size + 1 || c->alpn[i] == ',') {
            c->alpn[start] = (uint8_t)(i - start - 1);
            c->alpn_is_free = c->alpn_is_free || start > 0;
            start = i;
        }
    }
}

static enum err context_create(const SSL_METHOD *method, const char *alpn, struct tls_context **out)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    c->references = 1;
    c->ctx = SSL_CTX_new(method);
    if (c->ctx == NULL) {
        free(c);
        return ERR_NO_MEMORY;
    }
    size_t count = sizeof(signature_algorithms) / sizeof(signature_algorithms[0]);
    (void)SSL_CTX_set_verify_algorithm_prefs(c->ctx, signature_algorithms, count);
    (void)SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (alpn != NULL) {
        set_alpn(c, alpn);
    }
    *out = c;
    return OK;
}

enum err tls_client_create(const struct tls_client_options *options, struct tls_context **out,
                           struct err_text *why)
{
    struct tls_context *c = NULL;
    enum err e = context_create(TLS_client_method(), options->alpn, &c);
    if (e != OK) {
        return e;
    }
    c->verify = options->verify;
    if (options->only_tls13) {
        (void)SSL_CTX_set_min_proto_version(c->ctx, TLS1_3_VERSION);
    }
    if (c->alpn_size > 0) {
        (void)SSL_CTX_set_alpn_protos(c->ctx, c->alpn, (unsigned)c->alpn_size);
    }
    if (options->verify != TLS_CHECK_NOTHING) {
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
        e = load_roots(c->ctx, options->ca_pem, why);
    }
    if (e == OK && options->certificate_pem.size > 0) {
        e = use_chain(c->ctx, options->certificate_pem, why);
        if (e == OK) {
            e = use_key(c->ctx, options->key_pem, why);
        }
    }
    if (e != OK) {
        tls_context_destroy(c);
        return e;
    }
    *out = c;
    return OK;
}

static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_size, const uint8_t *in,
                       unsigned in_size, void *context)
{
    (void)ssl;
    const struct tls_context *c = context;
    uint8_t *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_size, c->alpn, (unsigned)c->alpn_size, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED) {
        return c->alpn_is_free ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

enum err tls_server_create(struct bytes certificate_pem, struct bytes key_pem, const char *alpn,
                           struct tls_context **out, struct err_text *why)
{
    struct tls_context *c = NULL;
    enum err e = context_create(TLS_server_method(), alpn, &c);
    if (e != OK) {
        return e;
    }
    c->is_server = true;
    if (c->alpn_size > 0) {
        SSL_CTX_set_alpn_select_cb(c->ctx, select_alpn, c);
    }
    e = use_chain(c->ctx, certificate_pem, why);
    if (e == OK) {
        e = use_key(c->ctx, key_pem, why);
    }
    if (e != OK) {
        tls_context_destroy(c);
        return e;
    }
    *out = c;
    return OK;
}

struct tls_context *tls_context_retain(struct tls_context *c)
{
    c->references++;
    return c;
}

void tls_context_destroy(struct tls_context *c)
{
    if (c != NULL && --c->references == 0) {
        SSL_CTX_free(c->ctx);
        free(c);
    }
}
