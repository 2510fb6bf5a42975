/* One record as a blob and the reference to it, and back. */
#include <zstd.h>

#include "base/crypto/crypto.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "controlplane/store/store_blobs_internal.h"

enum {
    REFERENCE_VERSION = 1,
    COMPRESSION_LEVEL = 3,
};

/* ---- into a blob ----------------------------------------------------------------------------- */

static enum err compress(struct bytes canonical, struct buffer *out)
{
    size_t room = ZSTD_compressBound(canonical.size);
    buffer_init(out, room);
    uint8_t *at = buffer_reserve(out, room);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t size = ZSTD_compress(at, room, canonical.data, canonical.size, COMPRESSION_LEVEL);
    if (ZSTD_isError(size)) {
        return ERR_INTERNAL;
    }
    buffer_commit(out, size);
    return OK;
}

static enum err reference_write(const uint8_t *name, const uint8_t *key, size_t size, uint8_t *out)
{
    struct buffer reference;
    buffer_init(&reference, BLOB_REFERENCE_SIZE);
    struct writer w = writer_start(&reference);
    writer_put_u8(&w, REFERENCE_VERSION);
    writer_put_bytes(&w, bytes_of(name, BLOBS_NAME_SIZE));
    writer_put_bytes(&w, bytes_of(key, CONTENT_KEY_SIZE));
    writer_put_u32(&w, (uint32_t)size);
    enum err err = writer_finish(&w);
    if (err == OK) {
        memcpy(out, buffer_bytes(&reference).data, BLOB_REFERENCE_SIZE);
    }
    buffer_wipe(&reference);
    return err;
}

enum err blob_make(struct content *content, const struct store_audit_record *r,
                   struct blob_job *job, uint8_t out_reference[BLOB_REFERENCE_SIZE])
{
    const struct crypto_random random = crypto_random_system();
    uint8_t key[CONTENT_KEY_SIZE];
    struct buffer packed;
    enum err err = compress(r->canonical, &packed);
    if (err == OK) {
        err = crypto_random_fill(&random, key, sizeof(key));
    }
    if (err == OK) {
        err = content_seal(content, key, r->hash, buffer_bytes(&packed), &job->bytes);
    }
    if (err == OK) {
        blobs_name_of(buffer_bytes(&job->bytes), job->name);
        err = reference_write(job->name, key, r->canonical.size, out_reference);
    }
    bytes_wipe(key, sizeof(key));
    buffer_wipe(&packed);
    return err;
}

/* ---- out of a blob --------------------------------------------------------------------------- */

bool blob_reference_read(struct bytes from, struct blob_reference *out)
{
    struct cursor c = cursor_of(from);
    bool is_known = cursor_read_u8(&c) == REFERENCE_VERSION;
    out->name = cursor_read_bytes(&c, BLOBS_NAME_SIZE);
    out->key = cursor_read_bytes(&c, CONTENT_KEY_SIZE);
    out->size = cursor_read_u32(&c);
    return cursor_is_complete(&c) && is_known && out->size <= BLOB_CANONICAL_MAX;
}

enum err blob_damaged(const struct store_audit_entry *e, const char *what, struct err_text *why)
{
    return err_set(why, ERR_IO, "the content of the record at position %llu %s",
                   (unsigned long long)e->position, what);
}

static enum err decompress(struct bytes packed, size_t size, struct arena *arena, struct bytes *out)
{
    uint8_t *at = arena_alloc(arena, size + 1);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    /* Never more than the size that the reference says. */
    if (ZSTD_getFrameContentSize(packed.data, packed.size) != size ||
        ZSTD_decompress(at, size, packed.data, packed.size) != size) {
        return ERR_DENIED;
    }
    *out = bytes_of(at, size);
    return OK;
}

enum err blob_open(struct content *content, const struct blob_job *job, struct arena *arena,
                   struct store_audit_entry *e, struct err_text *why)
{
    struct blob_reference reference;
    struct bytes packed, canonical;
    struct arena *scratch = arena_create(64 << 10, 2 * BLOBS_SIZE_MAX);
    bool is_one = blob_reference_read(e->canonical, &reference);
    enum err err = scratch == NULL ? ERR_NO_MEMORY : is_one ? OK : ERR_DENIED;
    if (err == OK) {
        err = content_open(content, reference.key.data, e->hash, buffer_bytes(&job->bytes), scratch,
                           &packed);
    }
    if (err == OK) {
        err = decompress(packed, reference.size, arena, &canonical);
    }
    if (err == OK) {
        bytes_wipe((void *)(uintptr_t)e->canonical.data, e->canonical.size);
        e->canonical = canonical;
        e->is_in_blob = false;
    }
    arena_destroy(scratch);
    return err == ERR_DENIED ? blob_damaged(e, "was changed: its blob is not what was put", why)
                             : err;
}
