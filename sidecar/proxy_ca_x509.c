#include "sidecar/proxy_ca_x509.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* RFC 5280 section 4.1.2.2: positive, at most 20 octets. */
    SERIAL_BITS = 159,
    HOST_MAX = 253,
    COMMON_NAME_MAX = 64,
    CONSTRAINTS_CAP = 256 << 10,
};

static const int64_t day_s = INT64_C(24) * 3600;
static const int64_t clock_skew_s = 3600; /* clocks differ */
static const int64_t root_days = 3652;
static const int64_t leaf_days = 7;

EVP_PKEY *proxy_ca_make_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    if (ec == NULL || key == NULL || EC_KEY_generate_key(ec) != 1 ||
        EVP_PKEY_set1_EC_KEY(key, ec) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EC_KEY_free(ec);
    ERR_clear_error();
    return key;
}

/* --- names ------------------------------------------------------------------------------------
 */

/* AF_INET, AF_INET6, or 0. */
static int address_family(const char *host, unsigned char out[16])
{
    return inet_pton(AF_INET, host, out) == 1    ? AF_INET
           : inet_pton(AF_INET6, host, out) == 1 ? AF_INET6
                                                 : 0;
}

/* Nothing that has a meaning in the library's own syntax of names gets into it. */
static bool is_host(const char *host)
{
    unsigned char address[16];
    size_t size = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
    return address_family(host, address) != 0 ||
           (size > 0 && size <= HOST_MAX && host[size] == '\0');
}

/* "permitted;DNS:api.internal", "permitted;IP:10.0.0.7/255.255.255.255". */
static enum err append_permitted(struct buffer *out, const char *host)
{
    unsigned char address[16];
    switch (address_family(host, address)) {
    case AF_INET: return buffer_append_format(out, ",permitted;IP:%s/255.255.255.255", host);
    case AF_INET6:
        return buffer_append_format(out, ",permitted;IP:%s/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                                    host);
    default: return buffer_append_format(out, ",permitted;DNS:%s", host);
    }
}

static bool has_kind(const char *const *hosts, size_t count, bool is_address)
{
    unsigned char address[16];
    for (size_t i = 0; i < count; i++) {
        if ((address_family(hosts[i], address) != 0) == is_address) {
            return true;
        }
    }
    return false;
}

/* A kind of name of which none is permitted would be free (RFC 5280 section 4.2.1.10): it is closed
 * by a host that there cannot be, or by excluding all. */
static enum err append_constraints(struct buffer *out, const char *const *hosts, size_t count)
{
    enum err e = buffer_append_string(out, "critical");
    for (size_t i = 0; e == OK && i < count; i++) {
        e = is_host(hosts[i]) ? append_permitted(out, hosts[i]) : ERR_INVALID;
    }
    if (e == OK && !has_kind(hosts, count, false)) {
        e = buffer_append_string(out, ",permitted;DNS:none.invalid");
    }
    if (e == OK && !has_kind(hosts, count, true)) {
        e = buffer_append_string(out, ",excluded;IP:0.0.0.0/0.0.0.0"
                                      ",excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0");
    }
    return e == OK ? buffer_append(out, bytes_of("", 1)) : e;
}

static bool set_common_name(X509_NAME *name, const char *text)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)text, -1, -1, 0) == 1;
}

/* --- certificates -----------------------------------------------------------------------------
 */

static bool set_serial(X509 *c)
{
    BIGNUM *n = BN_new();
    bool set = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c)) != NULL;
    BN_free(n);
    return set;
}

static X509 *make(EVP_PKEY *key, int64_t begin_s, int64_t end_s)
{
    X509 *c = X509_new();
    if (c == NULL || X509_set_version(c, X509_VERSION_3) != 1 || !set_serial(c) ||
        ASN1_TIME_set(X509_getm_notBefore(c), (time_t)begin_s) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(c), (time_t)end_s) == NULL ||
        X509_set_pubkey(c, key) != 1) {
        X509_free(c);
        return NULL;
    }
    return c;
}

static bool extend(X509 *c, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, c, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    bool added = e != NULL && X509_add_ext(c, e, -1) == 1;
    X509_EXTENSION_free(e);
    return added;
}

static X509 *finish(X509 *c, bool is_complete, EVP_PKEY *signer)
{
    /* Ed25519 hashes by itself (RFC 8410); a CA that was given may have such a key. */
    const EVP_MD *hash = EVP_PKEY_id(signer) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    bool is_signed = is_complete && X509_sign(c, signer, hash) > 0;
    ERR_clear_error();
    if (!is_signed) {
        X509_free(c);
        return NULL;
    }
    return c;
}

X509 *proxy_ca_make_root(EVP_PKEY *key, const char *name, const char *const *hosts, size_t count,
                         int64_t now_s)
{
    struct buffer constraints;
    char common_name[COMMON_NAME_MAX + 1];
    static const char format[] = "Chaperone local proxy CA (%.36s)";
    buffer_init(&constraints, CONSTRAINTS_CAP);
    (void)snprintf(common_name, sizeof(common_name), format, name);
    X509 *c = append_constraints(&constraints, hosts, count) == OK
                  ? make(key, now_s - clock_skew_s, now_s + root_days * day_s)
                  : NULL;
    if (c != NULL) {
        X509_NAME *subject = X509_get_subject_name(c);
        bool is_complete =
            set_common_name(subject, common_name) && X509_set_issuer_name(c, subject) == 1 &&
            extend(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
            extend(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
            extend(c, c, NID_ext_key_usage, "serverAuth") &&
            extend(c, c, NID_name_constraints, (const char *)buffer_bytes(&constraints).data) &&
            extend(c, c, NID_subject_key_identifier, "hash");
        c = finish(c, is_complete, key);
    }
    buffer_finish(&constraints);
    return c;
}

int64_t proxy_ca_end_s(const X509 *certificate)
{
    const ASN1_TIME *end = X509_get0_notAfter(certificate);
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    int64_t end_s = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, end) == 1
                        ? days * day_s + seconds
                        : 0;
    ASN1_TIME_free(epoch);
    return end_s;
}

X509 *proxy_ca_make_leaf(X509 *root, EVP_PKEY *root_key, EVP_PKEY *key, const char *host,
                         int64_t now_s)
{
    unsigned char address[16];
    char name[HOST_MAX + sizeof("critical,DNS:")];
    int64_t end_s = now_s + leaf_days * day_s, root_end_s = proxy_ca_end_s(root);
    bool is_address = address_family(host, address) != 0;
    bool has_common_name = !is_address && strlen(host) <= COMMON_NAME_MAX;
    X509 *c = is_host(host)
                  ? make(key, now_s - clock_skew_s, end_s < root_end_s ? end_s : root_end_s)
                  : NULL;
    if (c == NULL) {
        return NULL;
    }
    /* Critical where it is the only name (RFC 5280 section 4.2.1.6). */
    (void)snprintf(name, sizeof(name), "%s%s:%s", has_common_name ? "" : "critical,",
                   is_address ? "IP" : "DNS", host);
    bool is_complete = (!has_common_name || set_common_name(X509_get_subject_name(c), host)) &&
                       X509_set_issuer_name(c, X509_get_subject_name(root)) == 1 &&
                       extend(c, root, NID_basic_constraints, "critical,CA:FALSE") &&
                       extend(c, root, NID_key_usage, "critical,digitalSignature") &&
                       extend(c, root, NID_ext_key_usage, "serverAuth") &&
                       extend(c, root, NID_subject_alt_name, name) &&
                       extend(c, root, NID_subject_key_identifier, "hash") &&
                       extend(c, root, NID_authority_key_identifier, "keyid");
    return finish(c, is_complete, root_key);
}

/* One address in a range: as many bytes of mask as of address (RFC 5280 section 4.2.1.10). */
static bool is_in_range(const GENERAL_SUBTREE *tree, const unsigned char *address, size_t size)
{
    const ASN1_OCTET_STRING *range = tree->base->d.iPAddress;
    if ((size_t)ASN1_STRING_length(range) != 2 * size) {
        return false;
    }
    const unsigned char *base = ASN1_STRING_get0_data(range), *mask = base + size;
    for (size_t i = 0; i < size; i++) {
        if ((address[i] & mask[i]) != (base[i] & mask[i])) {
            return false;
        }
    }
    return true;
}

/* `*out_is_limited`: ranges are named at all. */
static bool is_in_any(const STACK_OF(GENERAL_SUBTREE) * trees, const unsigned char *address,
                      size_t size, bool *out_is_limited)
{
    bool found = false;
    *out_is_limited = false;
    for (size_t i = 0; trees != NULL && i < sk_GENERAL_SUBTREE_num(trees); i++) {
        const GENERAL_SUBTREE *tree = sk_GENERAL_SUBTREE_value(trees, i);
        if (tree->base->type == GEN_IPADD) {
            *out_is_limited = true;
            found = found || is_in_range(tree, address, size);
        }
    }
    return found;
}

/* BoringSSL's own check does not know addresses. */
static bool permits_address(const NAME_CONSTRAINTS *constraints, const unsigned char *address,
                            size_t size)
{
    bool is_limited = false, unused = false;
    bool is_permitted = is_in_any(constraints->permittedSubtrees, address, size, &is_limited);
    return (is_permitted || !is_limited) &&
           !is_in_any(constraints->excludedSubtrees, address, size, &unused);
}

static bool permits_name(NAME_CONSTRAINTS *constraints, X509 *leaf)
{
    /* Reads the extensions, without which the check sees no names. */
    return X509_check_purpose(leaf, -1, 0) == 1 &&
           NAME_CONSTRAINTS_check(leaf, constraints) == X509_V_OK;
}

bool proxy_ca_permits(X509 *root, EVP_PKEY *root_key, const char *host, int64_t now_s)
{
    int critical = 0;
    unsigned char address[16];
    int family = address_family(host, address);
    NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(root, NID_name_constraints, &critical, NULL);
    X509 *leaf = proxy_ca_make_leaf(root, root_key, root_key, host, now_s);
    bool permits = false;
    if (leaf != NULL && constraints == NULL) {
        permits = critical == -1; /* there are none; others could not be read */
    } else if (leaf != NULL && family != 0) {
        permits = permits_address(constraints, address, family == AF_INET ? 4 : 16);
    } else if (leaf != NULL) {
        permits = permits_name(constraints, leaf);
    }
    X509_free(leaf);
    NAME_CONSTRAINTS_free(constraints);
    ERR_clear_error();
    return permits;
}

/* --- PEM --------------------------------------------------------------------------------------
 */

static enum err take_bio(BIO *bio, bool written, struct buffer *out)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    enum err e = written && BIO_mem_contents(bio, &data, &size) == 1
                     ? buffer_append(out, bytes_of(data, size))
                     : ERR_NO_MEMORY;
    bytes_wipe((void *)(uintptr_t)data, size); /* it may be a key */
    BIO_free(bio);
    ERR_clear_error();
    return e;
}

enum err proxy_ca_certificate_to_pem(X509 *certificate, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return take_bio(bio, bio != NULL && PEM_write_bio_X509(bio, certificate) == 1, out);
}

enum err proxy_ca_key_to_pem(EVP_PKEY *key, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool written =
        bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    return take_bio(bio, written, out);
}
