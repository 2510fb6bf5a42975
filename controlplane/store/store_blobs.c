#include "controlplane/store/store_blobs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/crypto/crypto.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "controlplane/blobs/blobs.h"
#include "controlplane/store/content.h"

_Static_assert((int)STORE_HASH_SIZE == (int)BLOBS_NAME_SIZE, "a name is a hash");

enum {
    THREADS_MAX = 8, /* a store at the end of a network is slow, and does several at a time */
    REFERENCE_VERSION = 1,
    REFERENCE_SIZE = 1 + BLOBS_NAME_SIZE + CONTENT_KEY_SIZE + 4,
    /* Of a record in a blob: four times what a sidecar may write. What is larger stays in its row.
     */
    CANONICAL_MAX = 4 << 20,
    COMPRESSION_LEVEL = 3,
    SWEEP_ARENA_CAP = 1 << 20,
};

/* One blob that is put or read. */
struct job {
    uint8_t name[BLOBS_NAME_SIZE];
    struct buffer bytes;
    enum err err;
    struct err_text why;
};

typedef enum err job_fn(struct blobs *blobs, struct job *job);

static enum err job_put(struct blobs *blobs, struct job *job)
{
    return blobs_put(blobs, job->name, buffer_bytes(&job->bytes), &job->why);
}

static enum err job_get(struct blobs *blobs, struct job *job)
{
    return blobs_get(blobs, job->name, &job->bytes, &job->why);
}

static void jobs_destroy(struct job *jobs, size_t count)
{
    for (size_t i = 0; jobs != NULL && i < count; i++) {
        buffer_finish(&jobs[i].bytes);
    }
    free(jobs);
}

/* ---- several at a time ----------------------------------------------------------------------- */

struct crew {
    struct blobs *blobs;
    job_fn *work;
    struct job *jobs;
    size_t count;
    atomic_size_t next;
    atomic_bool has_failed; /* the rest is not begun */
};

static void *crew_work(void *context)
{
    struct crew *crew = context;
    for (;;) {
        size_t at = atomic_fetch_add(&crew->next, 1);
        if (at >= crew->count || atomic_load(&crew->has_failed)) {
            return NULL;
        }
        struct job *job = &crew->jobs[at];
        job->err = crew->work(crew->blobs, job);
        /* What is missing is told of each: it may have been erased. */
        if (job->err != OK && job->err != ERR_NOT_FOUND) {
            atomic_store(&crew->has_failed, true);
        }
    }
}

/* Each job gets its `err`. Gives the first failure that is not ERR_NOT_FOUND. */
static enum err jobs_do(struct blobs *blobs, job_fn *work, struct job *jobs, size_t count,
                        struct err_text *why)
{
    struct crew crew = {.blobs = blobs, .work = work, .jobs = jobs, .count = count};
    pthread_t threads[THREADS_MAX];
    size_t started = 0;
    /* This thread is one of them: also when no other can be made, all is done. */
    while (started + 1 < count && started + 1 < THREADS_MAX &&
           pthread_create(&threads[started], NULL, crew_work, &crew) == 0) {
        started++;
    }
    (void)crew_work(&crew);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].err != OK && jobs[i].err != ERR_NOT_FOUND) {
            return err_set(why, jobs[i].err, "%s",
                           jobs[i].why.text[0] == '\0' ? err_name(jobs[i].err) : jobs[i].why.text);
        }
    }
    return OK;
}

/* ---- into a blob ----------------------------------------------------------------------------- */

static bool is_large(const struct store *store, const struct store_audit_record *r)
{
    /* The text of a statement stays beside the index in any case: it is not what a blob takes away.
     * What the control plane writes about a session is not encrypted, and small. */
    size_t text = r->index.text.size < r->canonical.size ? r->index.text.size : 0;
    return store->blobs != NULL && r->canonical.size - text > store->blob_threshold &&
           r->canonical.size <= CANONICAL_MAX && r->index.session.size > 0 &&
           r->index.about == NULL;
}

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
    buffer_init(&reference, REFERENCE_SIZE);
    struct writer w = writer_start(&reference);
    writer_put_u8(&w, REFERENCE_VERSION);
    writer_put_bytes(&w, bytes_of(name, BLOBS_NAME_SIZE));
    writer_put_bytes(&w, bytes_of(key, CONTENT_KEY_SIZE));
    writer_put_u32(&w, (uint32_t)size);
    enum err err = writer_finish(&w);
    if (err == OK) {
        memcpy(out, buffer_bytes(&reference).data, REFERENCE_SIZE);
    }
    buffer_wipe(&reference);
    return err;
}

/* A blob of the record, and the reference to it. */
static enum err blob_make(struct content *content, const struct store_audit_record *r,
                          struct job *job, uint8_t out_reference[REFERENCE_SIZE])
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

/* A batch whose large records became references. */
struct moved {
    struct store_audit_record *records; /* owned */
    struct job *jobs;                   /* owned, one for each that was moved */
    uint8_t (*references)[REFERENCE_SIZE];
    uint8_t (*names)[STORE_HASH_SIZE];
    size_t count;
};

static void moved_finish(struct moved *m)
{
    if (m->references != NULL) {
        bytes_wipe(m->references, m->count * REFERENCE_SIZE);
    }
    free(m->references);
    free(m->names);
    jobs_destroy(m->jobs, m->count);
    free(m->records);
}

static enum err moved_make(struct store *store, const struct store_audit_record *records,
                           size_t count, uint64_t last_sequence, struct moved *out)
{
    struct content *content = NULL;
    size_t large = 0;
    for (size_t i = 0; i < count; i++) {
        large += is_large(store, &records[i]) && records[i].sequence > last_sequence ? 1 : 0;
    }
    out->records = malloc((count + 1) * sizeof(*records));
    out->jobs = calloc(large + 1, sizeof(*out->jobs));
    out->references = calloc(large + 1, sizeof(*out->references));
    out->names = calloc(large + 1, sizeof(*out->names));
    if (out->records == NULL || out->jobs == NULL || out->references == NULL ||
        out->names == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(out->records, records, count * sizeof(*records));
    enum err err = content_create((struct bytes){0}, &content);
    for (size_t i = 0; err == OK && i < count; i++) {
        struct store_audit_record *r = &out->records[i];
        if (!is_large(store, r) || r->sequence <= last_sequence) {
            continue;
        }
        size_t at = out->count++;
        buffer_init(&out->jobs[at].bytes, BLOBS_SIZE_MAX);
        err = blob_make(content, r, &out->jobs[at], out->references[at]);
        memcpy(out->names[at], out->jobs[at].name, STORE_HASH_SIZE);
        r->canonical = bytes_of(out->references[at], REFERENCE_SIZE);
        r->blob = out->names[at];
    }
    content_destroy(content);
    return err;
}

/* The names are in the store before there are blobs, so that one without a row is found again. */
static enum err moved_put(struct store *store, struct moved *m, int64_t now_ns,
                          struct err_text *why)
{
    if (m->count == 0) {
        return OK;
    }
    enum err err = store->backend->blob_add(store, m->names, m->count, now_ns);
    if (err != OK) {
        return err_set(why, err, "the database does not take a write now");
    }
    err = jobs_do(store->blobs, job_put, m->jobs, m->count, why);
    /* What is wrong with the place of blobs is not wrong with the records. */
    return err == OK || err == ERR_FULL || err == ERR_NO_MEMORY ? err : ERR_UNAVAILABLE;
}

enum err store_blobs_append(struct store *store, const char *sidecar,
                            const struct store_audit_record *records, size_t count,
                            int64_t received_ns, struct store_audit_appended *out,
                            uint64_t *out_refused, struct err_text *why)
{
    struct store_audit_last last = {.sequence = 0};
    struct moved moved = {.count = 0};
    bool any = false;
    for (size_t i = 0; !any && i < count; i++) {
        any = is_large(store, &records[i]);
    }
    if (!any) {
        return store->backend->audit_append(store, sidecar, records, count, received_ns, out,
                                            out_refused, why);
    }
    /* A sidecar that did not hear the answer sends again: those that are there need no blob. */
    enum err err = store->backend->audit_last(store, sidecar, &last);
    if (err == OK) {
        err = moved_make(store, records, count, last.sequence, &moved);
    }
    if (err != OK) {
        (void)err_set(why, err, "large records cannot be put into blobs: %s", err_name(err));
    } else {
        err = moved_put(store, &moved, received_ns, why);
    }
    if (err == OK) {
        err = store->backend->audit_append(store, sidecar, moved.records, count, received_ns, out,
                                           out_refused, why);
    }
    if (err != OK && moved.count > 0) {
        /* Those that a row names are left alone: a commit may have come through all the same. Where
         * this fails, too, a later sweep finds them. */
        (void)store->backend->blob_drop(store, moved.names, moved.count);
    }
    moved_finish(&moved);
    return err;
}

/* ---- out of a blob --------------------------------------------------------------------------- */

struct reference {
    struct bytes name, key;
    size_t size;
};

static bool reference_read(struct bytes from, struct reference *out)
{
    struct cursor c = cursor_of(from);
    bool is_known = cursor_read_u8(&c) == REFERENCE_VERSION;
    out->name = cursor_read_bytes(&c, BLOBS_NAME_SIZE);
    out->key = cursor_read_bytes(&c, CONTENT_KEY_SIZE);
    out->size = cursor_read_u32(&c);
    return cursor_is_complete(&c) && is_known && out->size <= CANONICAL_MAX;
}

static enum err damaged(const struct store_audit_entry *e, const char *what, struct err_text *why)
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

static enum err blob_open(struct content *content, const struct job *job, struct arena *arena,
                          struct store_audit_entry *e, struct err_text *why)
{
    struct reference reference;
    struct bytes packed, canonical;
    struct arena *scratch = arena_create(64 << 10, 2 * BLOBS_SIZE_MAX);
    bool is_one = reference_read(e->canonical, &reference);
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
    return err == ERR_DENIED ? damaged(e, "was changed: its blob is not what was put", why) : err;
}

/* It may have been erased since its row was read. */
static enum err missing(struct store *store, struct store_audit_entry *e, struct arena *arena,
                        struct err_text *why)
{
    struct store_audit_entry now;
    enum err err = store->backend->audit_at(store, e->position, arena, &now);
    if (err == OK && now.is_erased) {
        *e = now;
        return OK;
    }
    return damaged(e, "is missing: its blob is not there", why);
}

/* How many fit, as a backend counts; of those `*out_blobs` are references. */
static enum err fit(const struct store_audit_entry *entries, size_t *count, size_t max_bytes,
                    size_t *out_blobs, struct err_text *why)
{
    size_t bytes = 0, blobs = 0;
    for (size_t i = 0; i < *count; i++) {
        struct reference reference = {.size = entries[i].canonical.size};
        if (i > 0 && bytes >= max_bytes) {
            *count = i;
            break;
        }
        if (entries[i].is_in_blob && !reference_read(entries[i].canonical, &reference)) {
            return damaged(&entries[i], "was changed in the database", why);
        }
        blobs += entries[i].is_in_blob ? 1 : 0;
        bytes += reference.size;
    }
    *out_blobs = blobs;
    return OK;
}

static enum err blobs_read(struct store *store, struct store_audit_entry *entries, size_t count,
                           struct job *jobs, size_t job_count, struct err_text *why)
{
    struct err_text reason = {.text = ""};
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        struct reference reference;
        if (entries[i].is_in_blob && reference_read(entries[i].canonical, &reference)) {
            buffer_init(&jobs[at].bytes, BLOBS_SIZE_MAX);
            memcpy(jobs[at++].name, reference.name.data, BLOBS_NAME_SIZE);
        }
    }
    enum err err = jobs_do(store->blobs, job_get, jobs, job_count, &reason);
    for (size_t i = 0, n = 0; err != OK && i < count; i++) {
        if (entries[i].is_in_blob && jobs[n++].err == err) {
            return err == ERR_DENIED
                       ? damaged(&entries[i], "was changed: its blob is not what was put", why)
                       : err_set(why, err, "the content of the record at position %llu: %.300s",
                                 (unsigned long long)entries[i].position, reason.text);
        }
    }
    return err;
}

static enum err blobs_open_all(struct store *store, struct store_audit_entry *entries, size_t count,
                               const struct job *jobs, struct arena *arena, struct err_text *why)
{
    struct content *content = NULL;
    enum err err = content_create((struct bytes){0}, &content);
    for (size_t i = 0, n = 0; err == OK && i < count; i++) {
        if (entries[i].is_in_blob) {
            const struct job *job = &jobs[n++];
            err = job->err == ERR_NOT_FOUND ? missing(store, &entries[i], arena, why)
                                            : blob_open(content, job, arena, &entries[i], why);
        }
    }
    content_destroy(content);
    return err;
}

enum err store_blobs_resolve(struct store *store, struct store_audit_entry *entries, size_t *count,
                             size_t max_bytes, struct arena *arena, struct err_text *why)
{
    size_t blobs = 0, fitting = *count;
    enum err err = fit(entries, &fitting, max_bytes, &blobs, why);
    if (err != OK || blobs == 0) {
        *count = err == OK ? fitting : *count;
        return err;
    }
    if (store->blobs == NULL) {
        return err_set(why, ERR_IO, "records are in blobs, and the configuration has no `blobs`");
    }
    struct job *jobs = calloc(blobs, sizeof(*jobs));
    err = jobs == NULL ? ERR_NO_MEMORY : blobs_read(store, entries, fitting, jobs, blobs, why);
    if (err == OK) {
        err = blobs_open_all(store, entries, fitting, jobs, arena, why);
    }
    jobs_destroy(jobs, blobs);
    if (err == OK) {
        *count = fitting;
    }
    return err;
}

/* ---- sweeping -------------------------------------------------------------------------------- */

void store_blobs_use(struct store *store, struct blobs *blobs, size_t threshold)
{
    store->blobs = blobs;
    store->blob_threshold = threshold;
}

enum err store_blobs_sweep(struct store *store, int64_t put_before_ns, size_t max,
                           size_t *out_count, struct err_text *why)
{
    uint8_t(*names)[STORE_HASH_SIZE] = NULL;
    size_t count = 0, done = 0;
    *out_count = 0;
    if (store->blobs == NULL) {
        return OK;
    }
    if (max == 0 || max > STORE_BATCH_MAX) {
        return ERR_INVALID;
    }
    struct arena *arena = arena_create(64 << 10, SWEEP_ARENA_CAP);
    enum err err = arena == NULL ? ERR_NO_MEMORY
                                 : store->backend->blob_claim(store, put_before_ns, max, arena,
                                                              &names, &count);
    enum err deleting = OK;
    while (err == OK && deleting == OK && done < count) {
        deleting = blobs_delete(store->blobs, names[done], why);
        done += deleting == OK ? 1 : 0;
    }
    if (err == OK && done > 0) {
        err = store->backend->blob_forget(store, names, done);
    }
    arena_destroy(arena);
    if (err == OK) {
        *out_count = done;
    }
    return err == OK ? deleting : err;
}
