#include "sidecar/control/identity.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "sidecar/control/state_file.h"

static const char key_name[] = "key.pem";
static const char certificate_name[] = "certificate.pem";
static const char sidecar_name[] = "sidecar";

struct identity {
    int dir, lock;
    const struct clock *clock;
    const struct log *log;
    struct crypto_ed25519 *key;
    struct buffer key_pem, certificate_pem;
    char sidecar[IDENTITY_ID_SIZE]; /* "": none */
    int64_t not_after, renew_at;    /* unix ns */
};

/* The id becomes part of every record, and of file names: only what an UUID has. */
static bool is_id(const char *id)
{
    size_t n = strspn(id, "0123456789abcdefABCDEF-");
    return n > 0 && n < IDENTITY_ID_SIZE && id[n] == '\0';
}

static int64_t time_to_ns(const ASN1_TIME *time)
{
    int days = 0;
    int seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int64_t ns = 0;
    if (epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1) {
        ns = ((int64_t)days * 86400 + seconds) * 1000000000;
    }
    ASN1_TIME_free(epoch);
    return ns;
}

static bool is_our_key(const struct identity *id, X509 *certificate)
{
    uint8_t ours[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t theirs[CRYPTO_ED25519_PUBLIC_SIZE];
    size_t size = sizeof(theirs);
    EVP_PKEY *key = X509_get_pubkey(certificate);
    bool got = key != NULL && EVP_PKEY_id(key) == EVP_PKEY_ED25519 &&
               EVP_PKEY_get_raw_public_key(key, theirs, &size) == 1 && size == sizeof(theirs);
    EVP_PKEY_free(key);
    crypto_ed25519_public(id->key, ours);
    return got && memcmp(ours, theirs, sizeof(ours)) == 0;
}

static enum err check_certificate(const struct identity *id, struct bytes pem,
                                  int64_t *out_not_before, int64_t *out_not_after,
                                  struct err_text *why)
{
    BIO *bio = pem.size > INT_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.size);
    X509 *leaf = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    enum err result = OK;
    if (leaf == NULL) {
        result = err_set(why, ERR_INVALID, "expected a certificate in PEM");
    } else if (!is_our_key(id, leaf)) {
        result = err_set(why, ERR_INVALID, "the certificate is not for this sidecar's key");
    } else {
        *out_not_before = time_to_ns(X509_get0_notBefore(leaf));
        *out_not_after = time_to_ns(X509_get0_notAfter(leaf));
    }
    X509_free(leaf);
    BIO_free(bio);
    ERR_clear_error();
    return result;
}

static enum err load_key(struct identity *id, const char *dir, struct err_text *why)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/%s", dir, key_name);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return err_set(why, ERR_INVALID, "the state directory's name is too long");
    }
    enum err result = crypto_ed25519_load_or_make(path, &id->key, why);
    return result == OK ? crypto_ed25519_to_pem(id->key, &id->key_pem) : result;
}

static void load_sidecar(struct identity *id)
{
    struct buffer text;
    buffer_init(&text, IDENTITY_ID_SIZE);
    if (state_file_read(id->dir, sidecar_name, &text) == OK) {
        char name[IDENTITY_ID_SIZE + 1];
        (void)snprintf(name, sizeof(name), "%.*s", (int)buffer_size(&text), (char *)text.data);
        name[strcspn(name, "\n")] = '\0';
        if (is_id(name)) {
            memcpy(id->sidecar, name, sizeof(id->sidecar));
        } else {
            log_event(id->log, LOG_WARN, "sidecar_id_unreadable");
        }
    }
    buffer_finish(&text);
}

static void load_certificate(struct identity *id)
{
    struct err_text why;
    int64_t not_before = 0;
    if (id->sidecar[0] == '\0' ||
        state_file_read(id->dir, certificate_name, &id->certificate_pem) != OK) {
        buffer_finish(&id->certificate_pem);
        return;
    }
    if (check_certificate(id, buffer_bytes(&id->certificate_pem), &not_before, &id->not_after,
                          &why) != OK) {
        log_event(id->log, LOG_WARN, "certificate_not_usable", log_text("error", why.text));
        buffer_finish(&id->certificate_pem);
        return;
    }
    id->renew_at = not_before + (id->not_after - not_before) / 3 * 2;
}

enum err identity_open(const char *dir, const struct clock *clock, const struct log *log,
                       struct identity **out, struct err_text *why)
{
    struct identity *id = calloc(1, sizeof(*id));
    if (id == NULL) {
        return ERR_NO_MEMORY;
    }
    id->dir = -1;
    id->lock = -1;
    id->clock = clock;
    id->log = log;
    buffer_init(&id->key_pem, IDENTITY_PEM_CAP);
    buffer_init(&id->certificate_pem, IDENTITY_PEM_CAP);
    enum err result = state_directory_open(dir, &id->dir, &id->lock, why);
    if (result == OK) {
        result = load_key(id, dir, why);
    }
    if (result != OK) {
        identity_close(id);
        return result;
    }
    load_sidecar(id);
    load_certificate(id);
    *out = id;
    return OK;
}

void identity_close(struct identity *id)
{
    if (id == NULL) {
        return;
    }
    crypto_ed25519_destroy(id->key);
    buffer_wipe(&id->key_pem);
    buffer_finish(&id->certificate_pem);
    if (id->lock >= 0) {
        (void)close(id->lock);
    }
    if (id->dir >= 0) {
        (void)close(id->dir);
    }
    free(id);
}

const char *identity_sidecar(const struct identity *id)
{
    return id->sidecar[0] == '\0' ? NULL : id->sidecar;
}

const struct crypto_ed25519 *identity_key(const struct identity *id)
{
    return id->key;
}

struct bytes identity_key_pem(const struct identity *id)
{
    return buffer_bytes(&id->key_pem);
}

struct bytes identity_certificate_pem(const struct identity *id)
{
    return buffer_bytes(&id->certificate_pem);
}

int64_t identity_not_after(const struct identity *id)
{
    return buffer_size(&id->certificate_pem) == 0 ? 0 : id->not_after;
}

bool identity_is_valid(const struct identity *id)
{
    return buffer_size(&id->certificate_pem) > 0 && clock_wall(id->clock) < id->not_after;
}

int64_t identity_renew_in(const struct identity *id)
{
    int64_t now = clock_wall(id->clock);
    return id->renew_at > now ? id->renew_at - now : 0;
}

int identity_directory(const struct identity *id)
{
    return id->dir;
}

static enum err sign_request(X509_REQ *request, EVP_PKEY *key, const char *name, struct buffer *out)
{
    /* RFC 2986; the subject is for people, the control plane gives the certificate its own. RFC
     * 5280 allows 64 characters in a common name. */
    char common_name[65];
    (void)snprintf(common_name, sizeof(common_name), "%s", name);
    X509_NAME *subject = X509_REQ_get_subject_name(request);
    if (X509_REQ_set_version(request, 0) != 1 ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                   -1, -1, 0) != 1 ||
        X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, NULL) <= 0) {
        return ERR_INTERNAL;
    }
    uint8_t *der = NULL;
    int size = i2d_X509_REQ(request, &der);
    enum err result = size <= 0 ? ERR_NO_MEMORY : buffer_append(out, bytes_of(der, (size_t)size));
    OPENSSL_free(der);
    return result;
}

enum err identity_make_csr(const struct identity *id, const char *name, struct buffer *out)
{
    BIO *bio = BIO_new_mem_buf(buffer_bytes(&id->key_pem).data, (int)buffer_size(&id->key_pem));
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    X509_REQ *request = X509_REQ_new();
    enum err result =
        key == NULL || request == NULL ? ERR_NO_MEMORY : sign_request(request, key, name, out);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return result;
}

static enum err check_response(const struct identity *id,
                               const Chaperone__V1__EnrolResponse *response, bool keep,
                               int64_t *out_not_after, struct err_text *why)
{
    int64_t not_before = 0;
    if (!is_id(response->sidecar)) {
        return err_set(why, ERR_INVALID, "the control plane gave an id that is not an UUID");
    }
    if (keep && id->sidecar[0] != '\0' && strcmp(id->sidecar, response->sidecar) != 0) {
        return err_set(why, ERR_INVALID, "the control plane renewed for another id");
    }
    if (response->certificate_pem.len > IDENTITY_PEM_CAP) {
        return err_set(why, ERR_LIMIT, "the certificate's chain is longer than %d bytes",
                       IDENTITY_PEM_CAP);
    }
    enum err result = check_certificate(
        id, bytes_of(response->certificate_pem.data, response->certificate_pem.len), &not_before,
        out_not_after, why);
    if (result == OK && *out_not_after <= clock_wall(id->clock)) {
        return err_set(why, ERR_INVALID, "the certificate has ended already");
    }
    return result;
}

enum err identity_accept(struct identity *id, const Chaperone__V1__EnrolResponse *response,
                         bool keep, struct err_text *why)
{
    int64_t not_after = 0;
    enum err result = check_response(id, response, keep, &not_after, why);
    if (result != OK) {
        return result;
    }
    struct bytes pem = bytes_of(response->certificate_pem.data, response->certificate_pem.len);
    if (strcmp(id->sidecar, response->sidecar) != 0) {
        result = state_file_write(id->dir, sidecar_name, bytes_of_string(response->sidecar));
    }
    if (result == OK) {
        result = state_file_write(id->dir, certificate_name, pem);
    }
    if (result != OK) {
        return err_set(why, result, "the certificate cannot be written to the state directory: %s",
                       err_name(result));
    }
    buffer_clear(&id->certificate_pem);
    result = buffer_append(&id->certificate_pem, pem);
    (void)snprintf(id->sidecar, sizeof(id->sidecar), "%s", response->sidecar);
    int64_t now = clock_wall(id->clock);
    id->not_after = not_after;
    /* From now on, not from its beginning, which lies back for clocks that differ. */
    id->renew_at = now + (not_after - now) / 3 * 2;
    return result;
}
