#include "controlplane/store/content.h"

#include <endian.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/hardening/locked.h"

enum { NONCE_SIZE = 12, TAG_SIZE = 16, SESSION_LABEL_MAX = STORE_SESSION_SIZE_MAX, NONCES = 64 };
_Static_assert(NONCE_SIZE + TAG_SIZE == CONTENT_OVERHEAD, "what is around the bytes");

/* In locked memory. */
struct content {
    EVP_CIPHER_CTX *seal, *open;             /* the cipher is looked up once, not for each record */
    EVP_CIPHER_CTX *seal_marks, *open_marks; /* with their key */
    uint8_t master[CONTENT_KEY_SIZE];
    uint8_t sealing[CONTENT_KEY_SIZE]; /* the key that `seal` has */
    bool is_keyed;
    /* Of the next to be sealed, each used once: asked of the generator for many at a time. */
    uint8_t nonces[NONCES][NONCE_SIZE];
    size_t nonces_left;
};

static bool ciphers_make(struct content *c)
{
    c->seal = EVP_CIPHER_CTX_new();
    c->open = EVP_CIPHER_CTX_new();
    c->seal_marks = EVP_CIPHER_CTX_new();
    c->open_marks = EVP_CIPHER_CTX_new();
    return c->seal != NULL && c->open != NULL && c->seal_marks != NULL && c->open_marks != NULL &&
           EVP_EncryptInit_ex(c->seal, EVP_aes_256_gcm(), NULL, NULL, NULL) == 1 &&
           EVP_DecryptInit_ex(c->open, EVP_aes_256_gcm(), NULL, NULL, NULL) == 1;
}

static bool marks_key_make(struct content *c)
{
    static const uint8_t label[] = "chaperone: marks of sections";
    uint8_t key[CONTENT_KEY_SIZE];
    unsigned size = 0;
    bool done = HMAC(EVP_sha256(), c->master, CONTENT_KEY_SIZE, label, sizeof(label) - 1, key,
                     &size) != NULL &&
                size == CONTENT_KEY_SIZE &&
                EVP_EncryptInit_ex(c->seal_marks, EVP_aes_256_gcm(), NULL, key, NULL) == 1 &&
                EVP_DecryptInit_ex(c->open_marks, EVP_aes_256_gcm(), NULL, key, NULL) == 1;
    bytes_wipe(key, sizeof(key));
    return done;
}

enum err content_create(struct bytes master, struct content **out)
{
    if (master.size != 0 && master.size != CONTENT_KEY_SIZE) {
        return ERR_INVALID;
    }
    struct content *c = locked_alloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    /* Without a master it is zeros, which anybody knows: the key is bound to its place all the
     * same, and there is one form only. */
    if (master.size > 0) {
        memcpy(c->master, master.data, CONTENT_KEY_SIZE);
    }
    if (!ciphers_make(c) || !marks_key_make(c)) {
        content_destroy(c);
        return ERR_NO_MEMORY;
    }
    *out = c;
    return OK;
}

void content_destroy(struct content *content)
{
    if (content != NULL) {
        EVP_CIPHER_CTX_free(content->seal);
        EVP_CIPHER_CTX_free(content->open);
        EVP_CIPHER_CTX_free(content->seal_marks);
        EVP_CIPHER_CTX_free(content->open_marks);
        locked_free(content, sizeof(*content));
    }
}

void content_forget(struct content *content)
{
    static const uint8_t nothing[CONTENT_KEY_SIZE];
    bytes_wipe(content->sealing, sizeof(content->sealing));
    content->is_keyed = false;
    /* Over the one that is expanded in there. */
    (void)EVP_EncryptInit_ex(content->seal, NULL, NULL, nothing, NULL);
}

static bool nonce_take(struct content *content, uint8_t out[NONCE_SIZE])
{
    if (content->nonces_left == 0) {
        if (RAND_bytes(content->nonces[0], sizeof(content->nonces)) != 1) {
            return false;
        }
        content->nonces_left = NONCES;
    }
    content->nonces_left--;
    memcpy(out, content->nonces[content->nonces_left], NONCE_SIZE);
    return true;
}

/* The records of a session come one after the other: its key is expanded once for them. */
static bool key_use(struct content *content, const uint8_t *key)
{
    if (content->is_keyed && memcmp(content->sealing, key, CONTENT_KEY_SIZE) == 0) {
        return true;
    }
    memcpy(content->sealing, key, CONTENT_KEY_SIZE);
    content->is_keyed = EVP_EncryptInit_ex(content->seal, NULL, NULL, key, NULL) == 1;
    return content->is_keyed;
}

/* nonce, what is encrypted, tag: plain.size + CONTENT_OVERHEAD bytes at `out`. `c` has its key. */
static enum err encrypt(struct content *content, EVP_CIPHER_CTX *c, struct bytes label,
                        struct bytes plain, uint8_t *out)
{
    uint8_t *text = out + NONCE_SIZE, *tag = text + plain.size;
    int n = 0;
    if (plain.size > INT32_MAX) {
        return ERR_LIMIT;
    }
    bool done =
        nonce_take(content, out) && EVP_EncryptInit_ex(c, NULL, NULL, NULL, out) == 1 &&
        EVP_EncryptUpdate(c, NULL, &n, label.data, (int)label.size) == 1 &&
        (plain.size == 0 || EVP_EncryptUpdate(c, text, &n, plain.data, (int)plain.size) == 1) &&
        EVP_EncryptFinal_ex(c, tag, &n) == 1 &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;
    return done ? OK : ERR_INTERNAL;
}

/* sealed.size - CONTENT_OVERHEAD bytes at `out`, wiped where they are not what was sealed. `key` is
 * NULL where `c` has it. */
static enum err decrypt(EVP_CIPHER_CTX *c, const uint8_t *key, struct bytes label,
                        struct bytes sealed, uint8_t *out)
{
    uint8_t tag[TAG_SIZE], nothing[1];
    int n = 0;
    if (sealed.size < CONTENT_OVERHEAD || sealed.size > INT32_MAX) {
        return ERR_DENIED;
    }
    struct bytes text = bytes_of(sealed.data + NONCE_SIZE, sealed.size - CONTENT_OVERHEAD);
    memcpy(tag, text.data + text.size, TAG_SIZE);
    bool done = EVP_DecryptInit_ex(c, NULL, NULL, key, sealed.data) == 1 &&
                EVP_DecryptUpdate(c, NULL, &n, label.data, (int)label.size) == 1 &&
                (text.size == 0 || EVP_DecryptUpdate(c, out, &n, text.data, (int)text.size) == 1) &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
                EVP_DecryptFinal_ex(c, nothing, &n) == 1;
    if (!done) {
        bytes_wipe(out, text.size);
    }
    return done ? OK : ERR_DENIED;
}

enum err content_key_make(struct content *content, struct bytes session,
                          uint8_t out_key[CONTENT_KEY_SIZE],
                          uint8_t out_wrapped[CONTENT_WRAPPED_SIZE])
{
    uint8_t key[CONTENT_KEY_SIZE];
    if (session.size == 0 || session.size > SESSION_LABEL_MAX) {
        return ERR_INVALID;
    }
    enum err err = RAND_bytes(key, sizeof(key)) == 1 ? OK : ERR_INTERNAL;
    if (err == OK && !key_use(content, content->master)) {
        err = ERR_INTERNAL;
    }
    if (err == OK) {
        err = encrypt(content, content->seal, session, bytes_of(key, sizeof(key)), out_wrapped);
    }
    if (err == OK) {
        memcpy(out_key, key, sizeof(key));
    }
    bytes_wipe(key, sizeof(key));
    return err;
}

enum err content_key_open(struct content *content, struct bytes session, struct bytes wrapped,
                          uint8_t out_key[CONTENT_KEY_SIZE])
{
    uint8_t key[CONTENT_KEY_SIZE];
    if (wrapped.size != CONTENT_WRAPPED_SIZE || session.size == 0 ||
        session.size > SESSION_LABEL_MAX) {
        return ERR_DENIED;
    }
    enum err err = decrypt(content->open, content->master, session, wrapped, key);
    if (err == OK) {
        memcpy(out_key, key, sizeof(key));
    }
    bytes_wipe(key, sizeof(key));
    return err;
}

static enum err seal(struct content *content, EVP_CIPHER_CTX *c, struct bytes label,
                     struct bytes plain, struct buffer *out)
{
    buffer_clear(out);
    if (plain.size > out->cap || out->cap - plain.size < CONTENT_OVERHEAD) {
        return ERR_LIMIT;
    }
    uint8_t *at = buffer_reserve(out, plain.size + CONTENT_OVERHEAD);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = encrypt(content, c, label, plain, at);
    if (err == OK) {
        buffer_commit(out, plain.size + CONTENT_OVERHEAD);
    }
    return err;
}

enum err content_seal(struct content *content, const uint8_t key[CONTENT_KEY_SIZE],
                      const uint8_t hash[STORE_HASH_SIZE], struct bytes canonical,
                      struct buffer *out)
{
    return key_use(content, key)
               ? seal(content, content->seal, bytes_of(hash, STORE_HASH_SIZE), canonical, out)
               : ERR_INTERNAL;
}

enum err content_open(struct content *content, const uint8_t key[CONTENT_KEY_SIZE],
                      const uint8_t hash[STORE_HASH_SIZE], struct bytes sealed, struct arena *arena,
                      struct bytes *out)
{
    if (sealed.size < CONTENT_OVERHEAD) {
        return ERR_DENIED;
    }
    size_t size = sealed.size - CONTENT_OVERHEAD;
    uint8_t *at = arena_alloc(arena, size + 1); /* of nothing, too, there is a place */
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = decrypt(content->open, key, bytes_of(hash, STORE_HASH_SIZE), sealed, at);
    if (err == OK) {
        *out = bytes_of(at, size);
    }
    return err;
}

/* ---- marks ------------------------------------------------------------------------------------
 */

enum err content_seal_marks(struct content *content, int64_t place, struct bytes marks,
                            struct buffer *out)
{
    const uint64_t label = htobe64((uint64_t)place);
    return seal(content, content->seal_marks, bytes_of(&label, sizeof(label)), marks, out);
}

enum err content_open_marks(struct content *content, int64_t place, struct bytes sealed,
                            struct buffer *out)
{
    const uint64_t label = htobe64((uint64_t)place);
    if (sealed.size < CONTENT_OVERHEAD) {
        return ERR_DENIED;
    }
    buffer_clear(out);
    size_t size = sealed.size - CONTENT_OVERHEAD;
    uint8_t *at = size > out->cap ? NULL : buffer_reserve(out, size + 1);
    if (at == NULL) {
        return size > out->cap ? ERR_DENIED : ERR_NO_MEMORY;
    }
    enum err err = decrypt(content->open_marks, NULL, bytes_of(&label, sizeof(label)), sealed, at);
    if (err == OK) {
        buffer_commit(out, size);
    }
    return err;
}
