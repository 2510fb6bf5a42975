#include "sidecar/control/policy_keeper.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "policies/policy.h"
#include "sidecar/control/state_file.h"

static const char bundle_name[] = "policy.bundle";
static const char key_name[] = "policy.key";

struct policy_keeper {
    pthread_mutex_t lock;
    int dir;
    const struct log *log;
    bool is_pinned;
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    uint64_t revision; /* no older one is taken; 0: none yet */
    uint8_t hash[CRYPTO_SHA256_SIZE];
    bool in_use; /* the policy of `revision` compiled */
};

enum err policy_keeper_create(int dir, const struct log *log, struct policy_keeper **out)
{
    struct policy_keeper *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&k->lock, NULL);
    k->dir = dir;
    k->log = log;
    struct buffer key;
    buffer_init(&key, CRYPTO_ED25519_DER_SIZE);
    enum err result = state_file_read(dir, key_name, &key);
    if (result == OK) {
        result = crypto_ed25519_public_from_der(buffer_bytes(&key), k->key);
        k->is_pinned = result == OK;
    }
    buffer_finish(&key);
    if (result == ERR_NOT_FOUND) {
        result = OK;
    }
    if (result != OK) {
        policy_keeper_destroy(k);
        return result;
    }
    *out = k;
    return OK;
}

void policy_keeper_destroy(struct policy_keeper *k)
{
    if (k != NULL) {
        (void)pthread_mutex_destroy(&k->lock);
        free(k);
    }
}

static struct bytes document_of(const Chaperone__V1__PolicyBundle *b)
{
    return bytes_of(b->document.data, b->document.len);
}

/* The signature is over the revision and the document's hash, so neither can be exchanged alone. */
static bool is_signed_by(const Chaperone__V1__PolicyBundle *b, const uint8_t *key)
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    char message[160];
    crypto_sha256_of(document_of(b), hash);
    crypto_hex_encode(bytes_of(hash, sizeof(hash)), hex);
    int length = snprintf(message, sizeof(message), "chaperone policy v1\n%" PRIu64 "\n%s",
                          b->revision, hex);
    return crypto_ed25519_verify(bytes_of(key, CRYPTO_ED25519_PUBLIC_SIZE),
                                 bytes_of(message, (size_t)length),
                                 bytes_of(b->signature.data, b->signature.len));
}

static enum err check_signature(const struct policy_keeper *k, const Chaperone__V1__PolicyBundle *b,
                                uint8_t *out_key, struct err_text *why)
{
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    if (crypto_ed25519_public_from_der(bytes_of(b->public_key.data, b->public_key.len), key) !=
        OK) {
        return err_set(why, ERR_DENIED, "the policy's public key is not an Ed25519 key");
    }
    if (k->is_pinned && memcmp(key, k->key, sizeof(key)) != 0) {
        return err_set(why, ERR_DENIED,
                       "the policy is signed with another key than the one this sidecar has "
                       "pinned (remove policy.key from its state directory to accept a new one)");
    }
    if (!is_signed_by(b, key)) {
        return err_set(why, ERR_DENIED, "the policy's signature does not hold");
    }
    memcpy(out_key, key, sizeof(key));
    return OK;
}

static enum err check_revision(const struct policy_keeper *k, const Chaperone__V1__PolicyBundle *b,
                               const uint8_t *hash, struct err_text *why)
{
    if (b->revision == 0) {
        return err_set(why, ERR_DENIED, "a policy's revision begins at 1");
    }
    if (b->revision < k->revision) {
        return err_set(why, ERR_DENIED,
                       "revision %" PRIu64 " is older than revision %" PRIu64
                       ", which this sidecar has already",
                       b->revision, k->revision);
    }
    if (b->revision == k->revision && memcmp(hash, k->hash, sizeof(k->hash)) != 0) {
        return err_set(why, ERR_DENIED,
                       "revision %" PRIu64 " is another document than the one this sidecar has "
                       "under that number",
                       b->revision);
    }
    return OK;
}

static enum err compile(const Chaperone__V1__PolicyBundle *b, const uint8_t *hash,
                        struct policy **out, struct err_text *why)
{
    enum err result = policy_compile(document_of(b), b->revision, out, why);
    if (result == OK) {
        char hex[2 * CRYPTO_SHA256_SIZE + 1];
        crypto_hex_encode(bytes_of(hash, CRYPTO_SHA256_SIZE), hex);
        policy_set_hash(*out, hex);
    }
    return result;
}

static enum err pin(struct policy_keeper *k, const Chaperone__V1__PolicyBundle *b,
                    const uint8_t *key)
{
    if (k->is_pinned) {
        return OK;
    }
    enum err result =
        state_file_write(k->dir, key_name, bytes_of(b->public_key.data, b->public_key.len));
    if (result == OK) {
        memcpy(k->key, key, sizeof(k->key));
        k->is_pinned = true;
    }
    return result;
}

static enum err keep(struct policy_keeper *k, const Chaperone__V1__PolicyBundle *b)
{
    size_t size = chaperone__v1__policy_bundle__get_packed_size(b);
    if (size > POLICY_BUNDLE_CAP) {
        return ERR_LIMIT;
    }
    uint8_t *packed = malloc(size + 1);
    if (packed == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)chaperone__v1__policy_bundle__pack(b, packed);
    enum err result = state_file_write(k->dir, bundle_name, bytes_of(packed, size));
    free(packed);
    return result;
}

static enum err take(struct policy_keeper *k, const Chaperone__V1__PolicyBundle *b,
                     struct policy **out, struct err_text *why)
{
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t hash[CRYPTO_SHA256_SIZE];
    crypto_sha256_of(document_of(b), hash);
    enum err result = check_signature(k, b, key, why);
    if (result == OK) {
        result = check_revision(k, b, hash, why);
    }
    if (result != OK) {
        return result;
    }
    if (b->revision == k->revision && k->in_use) {
        *out = NULL;
        return OK;
    }
    struct policy *compiled = NULL;
    result = compile(b, hash, &compiled, why);
    if (result != OK) {
        return result;
    }
    /* On the disk before it is used: after a restart the sidecar must not know less than what it
     * has acknowledged. */
    result = pin(k, b, key);
    if (result == OK) {
        result = keep(k, b);
    }
    if (result != OK) {
        policy_destroy(compiled);
        return err_set(why, result, "the policy cannot be kept in the state directory: %s",
                       err_name(result));
    }
    k->revision = b->revision;
    memcpy(k->hash, hash, sizeof(hash));
    k->in_use = true;
    *out = compiled;
    return OK;
}

enum err policy_keeper_take(struct policy_keeper *k, const Chaperone__V1__PolicyBundle *bundle,
                            struct policy **out, struct err_text *why)
{
    (void)pthread_mutex_lock(&k->lock);
    enum err result = take(k, bundle, out, why);
    (void)pthread_mutex_unlock(&k->lock);
    return result;
}

static enum err load(struct policy_keeper *k, const Chaperone__V1__PolicyBundle *b,
                     struct policy **out, struct err_text *why)
{
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t hash[CRYPTO_SHA256_SIZE];
    if (!k->is_pinned) {
        return err_set(why, ERR_DENIED, "there is a policy, but no pinned key");
    }
    enum err result = check_signature(k, b, key, why);
    if (result != OK) {
        return result;
    }
    /* It stays the oldest one to be taken, also when this version cannot compile it. */
    crypto_sha256_of(document_of(b), hash);
    k->revision = b->revision;
    memcpy(k->hash, hash, sizeof(hash));
    result = compile(b, hash, out, why);
    k->in_use = result == OK;
    return result;
}

enum err policy_keeper_load(struct policy_keeper *k, struct policy **out, uint64_t *out_revision)
{
    struct buffer packed;
    struct err_text why = {.text = "the file is damaged"};
    buffer_init(&packed, POLICY_BUNDLE_CAP);
    (void)pthread_mutex_lock(&k->lock);
    enum err result = state_file_read(k->dir, bundle_name, &packed);
    if (result == OK) {
        Chaperone__V1__PolicyBundle *b =
            chaperone__v1__policy_bundle__unpack(NULL, buffer_size(&packed), packed.data);
        result = b == NULL ? ERR_INVALID : load(k, b, out, &why);
        if (result == OK) {
            *out_revision = b->revision;
        }
        if (b != NULL) {
            chaperone__v1__policy_bundle__free_unpacked(b, NULL);
        }
    }
    (void)pthread_mutex_unlock(&k->lock);
    if (result != OK && result != ERR_NOT_FOUND) {
        log_event(k->log, LOG_ERROR, "kept_policy_not_usable", log_text("error", why.text));
    }
    buffer_finish(&packed);
    return result;
}
