#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/file.h"
#include "controlplane/ca/ca_internal.h"
#include "controlplane/files/files.h"

/* Ten years: sidecars trust this certificate, and changing it means to enrol them all again. */
static const int64_t own_ca_lifetime_ns = INT64_C(3650) * 86400 * 1000000000;
/* Clocks differ: a certificate is valid since an hour before it was made. */
static const int64_t clock_skew_ns = INT64_C(3600) * 1000000000;

static X509 *parse_certificate(struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    X509 *c = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return c;
}

static int refuse_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1; /* else OpenSSL would ask on the terminal */
}

static EVP_PKEY *parse_key(struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *k = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    return k;
}

static enum err load(struct ca *ca, const char *certificate, const char *key, struct err_text *why)
{
    struct buffer key_pem;
    buffer_init(&key_pem, CA_PEM_CAP);
    enum err e = files_check_private(key, why);
    if (e == OK) {
        e = files_read(certificate, &ca->pem, why);
    }
    if (e == OK) {
        e = files_read(key, &key_pem, why);
    }
    if (e != OK) {
        goto out;
    }
    ca->certificate = parse_certificate(buffer_bytes(&ca->pem));
    ca->key = parse_key(buffer_bytes(&key_pem));
    if (ca->certificate == NULL) {
        e = err_set(why, ERR_INVALID, "%s has no certificate in PEM", certificate);
    } else if (ca->key == NULL) {
        e = err_set(why, ERR_INVALID, "%s has no unencrypted private key in PEM", key);
    } else if (X509_check_private_key(ca->certificate, ca->key) != 1) {
        e = err_set(why, ERR_INVALID, "%s is not the key of the certificate in %s", key,
                    certificate);
    } else if (X509_check_ca(ca->certificate) == 0) {
        e = err_set(why, ERR_INVALID, "the certificate in %s is not one of a CA", certificate);
    } else {
        time_t now = (time_t)(clock_wall(&ca->clock) / 1000000000);
        if (X509_cmp_time(X509_get0_notAfter(ca->certificate), &now) <= 0) {
            e = err_set(why, ERR_INVALID, "the CA certificate in %s has ended", certificate);
        }
    }
out:
    buffer_wipe(&key_pem);
    ERR_clear_error();
    return e;
}

static X509 *make_own_certificate(EVP_PKEY *key, int64_t now_ns)
{
    X509 *c = ca_certificate_new(key, now_ns - clock_skew_ns, now_ns + own_ca_lifetime_ns);
    if (c == NULL) {
        return NULL;
    }
    X509_NAME *name = X509_get_subject_name(c);
    if (!ca_certificate_set_name(name, "Chaperone CA") || X509_set_issuer_name(c, name) != 1 ||
        !ca_certificate_extend(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !ca_certificate_extend(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !ca_certificate_extend(c, c, NID_subject_key_identifier, "hash") ||
        !ca_certificate_sign(c, key)) {
        X509_free(c);
        return NULL;
    }
    return c;
}

/* The key first: a certificate without its key would be a CA that cannot sign, and clients may
 * have read it already. A key without a certificate is overwritten by the next start. */
static enum err make_own(const struct ca *ca, const char *certificate_path, const char *key_path,
                         struct err_text *why)
{
    struct buffer key_pem, certificate_pem;
    buffer_init(&key_pem, CA_PEM_CAP);
    buffer_init(&certificate_pem, CA_PEM_CAP);
    EVP_PKEY *key = ca_key_generate();
    X509 *c = key == NULL ? NULL : make_own_certificate(key, clock_wall(&ca->clock));
    enum err e = c == NULL ? err_set(why, ERR_INTERNAL, "OpenSSL cannot make a CA") : OK;
    if (e == OK) {
        e = ca_key_to_pem(key, &key_pem);
    }
    if (e == OK) {
        e = ca_certificate_to_pem(c, &certificate_pem);
    }
    if (e == OK) {
        e = file_replace(key_path, 0600, buffer_bytes(&key_pem), why);
    }
    if (e == OK) {
        e = file_replace(certificate_path, 0644, buffer_bytes(&certificate_pem), why);
    }
    buffer_wipe(&key_pem);
    buffer_finish(&certificate_pem);
    X509_free(c);
    EVP_PKEY_free(key);
    return e;
}

static bool exists(const char *path)
{
    return files_check_private(path, NULL) != ERR_NOT_FOUND;
}

static enum err open_own(struct ca *ca, const char *directory, struct err_text *why)
{
    char *certificate = files_join(directory, "ca.pem");
    char *key = files_join(directory, "ca.key");
    enum err e = certificate == NULL || key == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK && !exists(certificate)) {
        e = make_own(ca, certificate, key, why);
    }
    if (e == OK) {
        e = load(ca, certificate, key, why);
    }
    free(certificate);
    free(key);
    return e;
}

static enum err open_external(struct ca *ca, const struct ca_options *options, struct err_text *why)
{
    ca->external = true;
    enum err e = load(ca, options->certificate, options->key, why);
    char *copy = e == OK ? files_join(options->directory, "ca.pem") : NULL;
    if (e == OK) {
        e = copy == NULL ? ERR_NO_MEMORY : file_replace(copy, 0644, buffer_bytes(&ca->pem), why);
    }
    free(copy);
    return e;
}

enum err ca_open(const struct ca_options *options, struct ca **out, struct err_text *why)
{
    struct ca *ca = calloc(1, sizeof(*ca));
    if (ca == NULL) {
        return ERR_NO_MEMORY;
    }
    ca->clock = options->clock;
    buffer_init(&ca->pem, CA_PEM_CAP);
    enum err e = files_make_directory(options->directory, 0755, why);
    if (e == OK) {
        e = options->certificate == NULL ? open_own(ca, options->directory, why)
                                         : open_external(ca, options, why);
    }
    if (e != OK) {
        ca_close(ca);
        return e;
    }
    *out = ca;
    return OK;
}

void ca_close(struct ca *ca)
{
    if (ca != NULL) {
        X509_free(ca->certificate);
        EVP_PKEY_free(ca->key);
        buffer_finish(&ca->pem);
        free(ca);
    }
}

struct bytes ca_certificate_pem(const struct ca *ca)
{
    return buffer_bytes(&ca->pem);
}
