#include "controlplane/blobs/blobs.h"

#include "base/crypto/crypto.h"
#include "controlplane/blobs/backend.h"

_Static_assert((int)BLOBS_NAME_SIZE == (int)CRYPTO_SHA256_SIZE, "the name is the hash");

void blobs_destroy(struct blobs *blobs)
{
    if (blobs != NULL) {
        blobs->backend->destroy(blobs);
    }
}

void blobs_name_of(struct bytes content, uint8_t out[BLOBS_NAME_SIZE])
{
    crypto_sha256_of(content, out);
}

void blobs_name_text(const uint8_t name[BLOBS_NAME_SIZE], char out[BLOBS_NAME_TEXT_SIZE])
{
    crypto_hex_encode(bytes_of(name, BLOBS_NAME_SIZE), out);
}

static bool is_named(const uint8_t name[BLOBS_NAME_SIZE], struct bytes content)
{
    uint8_t hash[BLOBS_NAME_SIZE];
    blobs_name_of(content, hash);
    return memcmp(hash, name, sizeof(hash)) == 0;
}

enum err blobs_put(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct bytes content,
                   struct err_text *why)
{
    if (content.size > BLOBS_SIZE_MAX) {
        return err_set(why, ERR_LIMIT, "a blob has at most %d bytes", BLOBS_SIZE_MAX);
    }
    if (!is_named(name, content)) {
        return err_set(why, ERR_INVALID, "the name of a blob is not the hash of its bytes");
    }
    return blobs->backend->put(blobs, name, content, why);
}

enum err blobs_get(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct buffer *out,
                   struct err_text *why)
{
    char text[BLOBS_NAME_TEXT_SIZE];
    struct buffer content;
    buffer_init(&content, BLOBS_SIZE_MAX);
    enum err e = blobs->backend->get(blobs, name, &content, why);
    if (e == ERR_LIMIT || (e == OK && !is_named(name, buffer_bytes(&content)))) {
        blobs_name_text(name, text);
        e = err_set(why, ERR_DENIED, "the blob %s is not what its name says", text);
    }
    if (e == OK) {
        buffer_clear(out);
        e = buffer_append(out, buffer_bytes(&content));
    }
    buffer_finish(&content);
    return e;
}

enum err blobs_delete(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                      struct err_text *why)
{
    return blobs->backend->remove(blobs, name, why);
}
