#include "sidecar/proxy_ca.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/net/tls.h"
#include "sidecar/files.h"
#include "sidecar/proxy_ca_x509.h"

static const char alpn[] = "h2,http/1.1";
static const int64_t day_s = INT64_C(24) * 3600;

/* One of the hosts, and its certificate once it was asked for. */
struct host {
    char *name;
    struct tls_context *tls; /* NULL: none yet */
    int64_t renew_s;
};

struct proxy_ca {
    struct clock clock;
    X509 *certificate;
    EVP_PKEY *key;
    struct buffer pem; /* the certificate's file: what leads to a root may be in it too */
    struct host *hosts;
    size_t host_count;
};

static int64_t now_s(const struct proxy_ca *ca)
{
    return clock_wall(&ca->clock) / 1000000000;
}

/* --- files ------------------------------------------------------------------------------------
 */

static bool exists(const char *path)
{
    struct stat s;
    return lstat(path, &s) == 0 || errno != ENOENT;
}

static enum err check_private(const char *path, struct err_text *why)
{
    struct stat s;
    if (stat(path, &s) != 0) {
        return err_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be read: %s",
                       path, strerror(errno));
    }
    if ((s.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return err_set(why, ERR_DENIED, "%s: others may read it (chmod 600 %s)", path, path);
    }
    return OK;
}

static enum err read_key(struct proxy_ca *ca, const char *path, struct err_text *why)
{
    struct buffer pem;
    enum err e = check_private(path, why);
    if (e != OK) {
        return e;
    }
    buffer_init(&pem, FILES_SIZE_MAX);
    e = files_read(path, &pem, why);
    BIO *bio = e == OK ? BIO_new_mem_buf(buffer_bytes(&pem).data, (int)buffer_size(&pem)) : NULL;
    if (e == OK) {
        ca->key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        e = ca->key == NULL ? err_set(why, ERR_INVALID, "%s: is no private key in PEM", path) : OK;
    }
    BIO_free(bio);
    buffer_wipe(&pem);
    ERR_clear_error();
    return e;
}

static enum err read_certificate(struct proxy_ca *ca, const char *path, struct err_text *why)
{
    enum err e = files_read(path, &ca->pem, why);
    if (e != OK) {
        return e;
    }
    struct bytes pem = buffer_bytes(&ca->pem);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    ca->certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return ca->certificate == NULL ? err_set(why, ERR_INVALID, "%s: is no certificate in PEM", path)
                                   : OK;
}

static enum err make_key(struct proxy_ca *ca, const char *path, struct err_text *why)
{
    struct buffer pem;
    buffer_init(&pem, PROXY_CA_PEM_CAP);
    ca->key = proxy_ca_make_key();
    enum err e = ca->key == NULL ? ERR_NO_MEMORY : proxy_ca_key_to_pem(ca->key, &pem);
    e = e == OK ? file_replace(path, 0600, buffer_bytes(&pem), why) : e;
    buffer_wipe(&pem);
    return e;
}

static enum err make_certificate(struct proxy_ca *ca, const struct proxy_ca_options *o,
                                 struct err_text *why)
{
    ca->certificate = proxy_ca_make_root(ca->key, o->name, o->hosts, o->host_count, now_s(ca));
    if (ca->certificate == NULL) {
        return err_set(
            why, ERR_INVALID,
            "%s: no certificate for these hosts can be made: expected names and addresses",
            o->certificate);
    }
    enum err e = proxy_ca_certificate_to_pem(ca->certificate, &ca->pem);
    return e == OK ? file_replace(o->certificate, 0644, buffer_bytes(&ca->pem), why) : e;
}

/* The key first: a certificate without its key would be a CA that cannot sign, and agents may have
 * read it already. */
static enum err read_or_make(struct proxy_ca *ca, const struct proxy_ca_options *o,
                             struct err_text *why)
{
    bool has_certificate = exists(o->certificate), has_key = exists(o->key);
    if (has_certificate && !has_key) {
        return err_set(why, ERR_NOT_FOUND, "%s: is not there, but its certificate %s is", o->key,
                       o->certificate);
    }
    enum err e = has_key ? read_key(ca, o->key, why) : make_key(ca, o->key, why);
    if (e == OK) {
        e = has_certificate ? read_certificate(ca, o->certificate, why)
                            : make_certificate(ca, o, why);
    }
    return e;
}

/* --- life -------------------------------------------------------------------------------------
 */

static enum err check(const struct proxy_ca *ca, const struct proxy_ca_options *o,
                      struct err_text *why)
{
    uint32_t usage = X509_get_key_usage(ca->certificate);
    if (X509_check_ca(ca->certificate) != 1 || (usage & KU_KEY_CERT_SIGN) == 0) {
        return err_set(why, ERR_INVALID, "%s: is no certificate of a CA", o->certificate);
    }
    if (X509_check_private_key(ca->certificate, ca->key) != 1) {
        ERR_clear_error();
        return err_set(why, ERR_INVALID, "%s: does not belong to the key %s", o->certificate,
                       o->key);
    }
    if (proxy_ca_end_s(ca->certificate) <= now_s(ca)) {
        return err_set(why, ERR_INVALID,
                       "%s: has ended; remove it and %s, and agents must trust the next one",
                       o->certificate, o->key);
    }
    for (size_t i = 0; i < o->host_count; i++) {
        if (!proxy_ca_permits(ca->certificate, ca->key, o->hosts[i], now_s(ca))) {
            return err_set(why, ERR_INVALID,
                           "%s: is a CA for other hosts than \"%.100s\"; remove it and %s, and "
                           "agents must trust the next one",
                           o->certificate, o->hosts[i], o->key);
        }
    }
    return OK;
}

static enum err copy_hosts(struct proxy_ca *ca, const struct proxy_ca_options *o)
{
    ca->hosts = calloc(o->host_count + 1, sizeof(*ca->hosts));
    if (ca->hosts == NULL) {
        return ERR_NO_MEMORY;
    }
    for (; ca->host_count < o->host_count; ca->host_count++) {
        ca->hosts[ca->host_count].name = strdup(o->hosts[ca->host_count]);
        if (ca->hosts[ca->host_count].name == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    return OK;
}

enum err proxy_ca_open(const struct proxy_ca_options *options, struct proxy_ca **out,
                       struct err_text *why)
{
    struct proxy_ca *ca = calloc(1, sizeof(*ca));
    if (ca == NULL) {
        return ERR_NO_MEMORY;
    }
    ca->clock = options->clock;
    buffer_init(&ca->pem, PROXY_CA_PEM_CAP);
    enum err e = copy_hosts(ca, options);
    if (e == OK) {
        e = read_or_make(ca, options, why);
    }
    if (e == OK) {
        e = check(ca, options, why);
    }
    if (e != OK) {
        proxy_ca_close(ca);
        return e;
    }
    *out = ca;
    return OK;
}

void proxy_ca_close(struct proxy_ca *ca)
{
    if (ca == NULL) {
        return;
    }
    for (size_t i = 0; i < ca->host_count; i++) {
        tls_context_destroy(ca->hosts[i].tls);
        free(ca->hosts[i].name);
    }
    free(ca->hosts);
    X509_free(ca->certificate);
    EVP_PKEY_free(ca->key);
    buffer_finish(&ca->pem);
    free(ca);
}

/* --- hosts ------------------------------------------------------------------------------------
 */

static enum err make_tls(struct proxy_ca *ca, const char *name, struct tls_context **out,
                         int64_t *out_renew_s, struct err_text *why)
{
    struct buffer chain, key_pem;
    buffer_init(&chain, FILES_SIZE_MAX + PROXY_CA_PEM_CAP);
    buffer_init(&key_pem, PROXY_CA_PEM_CAP);
    EVP_PKEY *key = proxy_ca_make_key();
    X509 *leaf =
        key == NULL ? NULL : proxy_ca_make_leaf(ca->certificate, ca->key, key, name, now_s(ca));
    enum err e = leaf == NULL
                     ? err_set(why, ERR_INTERNAL, "no certificate for \"%.100s\" can be made", name)
                     : proxy_ca_certificate_to_pem(leaf, &chain);
    e = e == OK ? buffer_append(&chain, buffer_bytes(&ca->pem)) : e;
    e = e == OK ? proxy_ca_key_to_pem(key, &key_pem) : e;
    if (e == OK) {
        e = tls_server_create(buffer_bytes(&chain), buffer_bytes(&key_pem), alpn, out, why);
    }
    if (e == OK) {
        *out_renew_s = proxy_ca_end_s(leaf) - day_s;
    }
    X509_free(leaf);
    EVP_PKEY_free(key);
    buffer_finish(&chain);
    buffer_wipe(&key_pem);
    return e;
}

enum err proxy_ca_issue(struct proxy_ca *ca, const char *host, struct tls_context **out,
                        struct err_text *why)
{
    struct host *h = NULL;
    for (size_t i = 0; h == NULL && i < ca->host_count; i++) {
        h = strcmp(ca->hosts[i].name, host) == 0 ? &ca->hosts[i] : NULL;
    }
    if (h == NULL) {
        return err_set(why, ERR_INVALID, "the proxy does not lead to this host");
    }
    if (h->tls == NULL || now_s(ca) >= h->renew_s) {
        struct tls_context *fresh = NULL;
        enum err e = make_tls(ca, h->name, &fresh, &h->renew_s, why);
        if (e != OK) {
            return e;
        }
        tls_context_destroy(h->tls); /* connections that use it keep it */
        h->tls = fresh;
    }
    *out = tls_context_retain(h->tls);
    return OK;
}
