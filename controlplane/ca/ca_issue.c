#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "controlplane/ca/ca_internal.h"

static const char uri_prefix[] = "chaperone:sidecar:";
static const int64_t clock_skew_ns = INT64_C(3600) * 1000000000; /* clocks differ */

static int64_t time_to_ns(const ASN1_TIME *time)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) * 1000000000 : 0;
}

static bool write_serial(X509 *certificate, char out[CA_SERIAL_SIZE])
{
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = n == NULL ? NULL : BN_bn2hex(n);
    bool fits = hex != NULL && strlen(hex) < CA_SERIAL_SIZE;
    if (fits) {
        (void)snprintf(out, CA_SERIAL_SIZE, "%s", hex);
        for (char *p = out; *p != '\0'; p++) {
            *p = (char)tolower((unsigned char)*p);
        }
    }
    OPENSSL_free(hex);
    BN_free(n);
    return fits;
}

struct leaf_form {
    const char *common_name;
    const char *usage; /* extended key usage */
    const char *names; /* subjectAltName */
};

static X509 *build_leaf(const struct ca *ca, EVP_PKEY *key, const struct leaf_form *form,
                        int64_t lifetime_ns)
{
    int64_t now = clock_wall(&ca->clock);
    int64_t end = time_to_ns(X509_get0_notAfter(ca->certificate));
    int64_t not_after = lifetime_ns < end - now ? now + lifetime_ns : end;
    X509 *c = ca_certificate_new(key, now - clock_skew_ns, not_after);
    if (c == NULL) {
        return NULL;
    }
    if (!ca_certificate_set_name(X509_get_subject_name(c), form->common_name) ||
        X509_set_issuer_name(c, X509_get_subject_name(ca->certificate)) != 1 ||
        !ca_certificate_extend(c, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") ||
        !ca_certificate_extend(c, ca->certificate, NID_key_usage, "critical,digitalSignature") ||
        !ca_certificate_extend(c, ca->certificate, NID_ext_key_usage, form->usage) ||
        !ca_certificate_extend(c, ca->certificate, NID_subject_alt_name, form->names) ||
        !ca_certificate_extend(c, ca->certificate, NID_subject_key_identifier, "hash") ||
        !ca_certificate_extend(c, ca->certificate, NID_authority_key_identifier, "keyid") ||
        !ca_certificate_sign(c, ca->key)) {
        X509_free(c);
        return NULL;
    }
    return c;
}

static enum err issue(const struct ca *ca, EVP_PKEY *key, const struct leaf_form *form,
                      int64_t lifetime_ns, struct ca_leaf *out, struct err_text *why)
{
    struct ca_leaf leaf = {0};
    buffer_init(&leaf.pem, CA_PEM_CAP);
    X509 *c = build_leaf(ca, key, form, lifetime_ns);
    enum err e = c == NULL || !write_serial(c, leaf.serial) ? ERR_INTERNAL : OK;
    if (e == OK) {
        e = ca_certificate_to_pem(c, &leaf.pem);
    }
    /* A CA from outside may itself be an intermediate: the peer needs what leads to its root. */
    if (e == OK && ca->external) {
        e = buffer_append(&leaf.pem, buffer_bytes(&ca->pem));
    }
    if (e == OK) {
        leaf.not_after_ns = time_to_ns(X509_get0_notAfter(c));
        *out = leaf;
    } else {
        buffer_finish(&leaf.pem);
        (void)err_set(why, e, "the certificate for %.100s cannot be made", form->common_name);
    }
    ERR_clear_error();
    X509_free(c);
    return e;
}

static bool is_id(const char *id)
{
    size_t n = strspn(id, "0123456789abcdefABCDEF-");
    return n > 0 && n < CA_ID_SIZE && id[n] == '\0';
}

enum err ca_sign_sidecar(const struct ca *ca, const struct csr *csr, const char *id,
                         int64_t lifetime_ns, struct ca_leaf *out, struct err_text *why)
{
    char names[sizeof(uri_prefix) + 4 + CA_ID_SIZE];
    if (!is_id(id)) {
        return err_set(why, ERR_INVALID, "a sidecar's id has only the characters of an UUID");
    }
    (void)snprintf(names, sizeof(names), "URI:%s%s", uri_prefix, id);
    const struct leaf_form form = {.common_name = id, .usage = "clientAuth", .names = names};
    return issue(ca, csr_public_key(csr), &form, lifetime_ns, out, why);
}

/* Nothing that has a meaning in OpenSSL's own syntax of names gets into it. */
static bool is_host(const char *host)
{
    size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_*");
    return n > 0 && n < 254 && host[n] == '\0';
}

static enum err append_host(struct buffer *names, const char *host, struct err_text *why)
{
    unsigned char address[16];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (!is_host(host) || (!is_address && strchr(host, ':') != NULL)) {
        return err_set(why, ERR_INVALID, "\"%.100s\" is not a host name or an address", host);
    }
    return buffer_append_format(names, "%s%s:%s", buffer_size(names) == 0 ? "" : ",",
                                is_address ? "IP" : "DNS", host);
}

enum err ca_issue_server(const struct ca *ca, const char *const *hosts, size_t count,
                         int64_t lifetime_ns, struct ca_leaf *out, struct buffer *out_key_pem,
                         struct err_text *why)
{
    struct buffer names;
    buffer_init(&names, 64 << 10);
    EVP_PKEY *key = ca_key_generate();
    enum err e = key == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = append_host(&names, hosts[i], why);
    }
    if (e == OK) {
        e = buffer_append(&names, bytes_of("", 1)); /* its terminator */
    }
    if (e == OK) {
        e = ca_key_to_pem(key, out_key_pem);
    }
    if (e == OK) {
        const struct leaf_form form = {.common_name = "Chaperone control plane",
                                       .usage = "serverAuth",
                                       .names = (const char *)buffer_bytes(&names).data};
        e = issue(ca, key, &form, lifetime_ns, out, why);
    }
    buffer_finish(&names);
    EVP_PKEY_free(key);
    return e;
}

static bool read_id(X509 *certificate, char out[CA_ID_SIZE])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; names != NULL && !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        size_t prefix = sizeof(uri_prefix) - 1;
        if (n->type != GEN_URI) {
            continue;
        }
        const char *uri = (const char *)ASN1_STRING_get0_data(n->d.uniformResourceIdentifier);
        size_t size = (size_t)ASN1_STRING_length(n->d.uniformResourceIdentifier);
        if (size > prefix && size - prefix < CA_ID_SIZE && memcmp(uri, uri_prefix, prefix) == 0) {
            char id[CA_ID_SIZE] = "";
            memcpy(id, uri + prefix, size - prefix);
            found = is_id(id) && strlen(id) == size - prefix; /* no NUL in the middle */
            if (found) {
                memcpy(out, id, sizeof(id));
            }
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

enum err ca_read_sidecar(struct bytes certificate_pem, int64_t now_ns, struct ca_sidecar *out)
{
    struct ca_sidecar sidecar = {0};
    unsigned char *der = NULL;
    BIO *bio = certificate_pem.size == 0 || certificate_pem.size > CA_PEM_CAP
                   ? NULL
                   : BIO_new_mem_buf(certificate_pem.data, (int)certificate_pem.size);
    X509 *c = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    time_t now = (time_t)(now_ns / 1000000000);
    enum err e = ERR_DENIED;
    if (c != NULL && (X509_get_extended_key_usage(c) & XKU_SSL_CLIENT) != 0 &&
        (X509_get_extension_flags(c) & EXFLAG_XKUSAGE) != 0 &&
        X509_cmp_time(X509_get0_notAfter(c), &now) > 0 && read_id(c, sidecar.id)) {
        int size = i2d_PUBKEY(X509_get0_pubkey(c), &der);
        if (size > 0) {
            crypto_sha256_of(bytes_of(der, (size_t)size), sidecar.key_hash);
            *out = sidecar;
            e = OK;
        }
    }
    OPENSSL_free(der);
    X509_free(c);
    BIO_free(bio);
    ERR_clear_error();
    return e;
}
