/* What is put into blobs, read from them, and swept. */
#include <stdlib.h>

#include "controlplane/store/store_blobs_internal.h"

_Static_assert((int)STORE_HASH_SIZE == (int)BLOBS_NAME_SIZE, "a name is a hash");

enum { SWEEP_ARENA_CAP = 1 << 20 };

void store_blobs_use(struct store *store, struct blobs *blobs, size_t threshold)
{
    store->blobs = blobs;
    store->blob_threshold = threshold;
}

/* ---- into blobs ------------------------------------------------------------------------------ */

static bool is_large(const struct store *store, const struct store_audit_record *r)
{
    /* The text of a statement stays beside the index in any case: it is not what a blob takes away.
     * What the control plane writes about a session is not encrypted, and small. */
    size_t text = r->index.text.size < r->canonical.size ? r->index.text.size : 0;
    return store->blobs != NULL && r->canonical.size - text > store->blob_threshold &&
           r->canonical.size <= BLOB_CANONICAL_MAX && r->index.session.size > 0 &&
           r->index.about == NULL;
}

/* A batch whose large records became references. */
struct moved {
    struct store_audit_record *records; /* owned */
    struct blob_job *jobs;              /* owned, one for each that was moved */
    uint8_t (*references)[BLOB_REFERENCE_SIZE];
    uint8_t (*names)[STORE_HASH_SIZE];
    size_t count;
};

static void moved_finish(struct moved *m)
{
    if (m->references != NULL) {
        bytes_wipe(m->references, m->count * BLOB_REFERENCE_SIZE);
    }
    free(m->references);
    free(m->names);
    blob_jobs_destroy(m->jobs, m->count);
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
        r->canonical = bytes_of(out->references[at], BLOB_REFERENCE_SIZE);
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
    err = blob_jobs_do(store->blobs, blob_job_put, m->jobs, m->count, why);
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

/* ---- out of blobs ---------------------------------------------------------------------------- */

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
    return blob_damaged(e, "is missing: its blob is not there", why);
}

/* How many fit, as a backend counts; of those `*out_blobs` are references. */
static enum err fit(const struct store_audit_entry *entries, size_t *count, size_t max_bytes,
                    size_t *out_blobs, struct err_text *why)
{
    size_t bytes = 0, blobs = 0;
    for (size_t i = 0; i < *count; i++) {
        struct blob_reference reference = {.size = entries[i].canonical.size};
        if (i > 0 && bytes >= max_bytes) {
            *count = i;
            break;
        }
        if (entries[i].is_in_blob && !blob_reference_read(entries[i].canonical, &reference)) {
            return blob_damaged(&entries[i], "was changed in the database", why);
        }
        blobs += entries[i].is_in_blob ? 1 : 0;
        bytes += reference.size;
    }
    *out_blobs = blobs;
    return OK;
}

static enum err blobs_read(struct store *store, struct store_audit_entry *entries, size_t count,
                           struct blob_job *jobs, size_t job_count, struct err_text *why)
{
    struct err_text reason = {.text = ""};
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        struct blob_reference reference;
        if (entries[i].is_in_blob && blob_reference_read(entries[i].canonical, &reference)) {
            buffer_init(&jobs[at].bytes, BLOBS_SIZE_MAX);
            memcpy(jobs[at++].name, reference.name.data, BLOBS_NAME_SIZE);
        }
    }
    enum err err = blob_jobs_do(store->blobs, blob_job_get, jobs, job_count, &reason);
    for (size_t i = 0, n = 0; err != OK && i < count; i++) {
        if (entries[i].is_in_blob && jobs[n++].err == err) {
            return err == ERR_DENIED
                       ? blob_damaged(&entries[i], "was changed: its blob is not what was put", why)
                       : err_set(why, err, "the content of the record at position %llu: %.300s",
                                 (unsigned long long)entries[i].position, reason.text);
        }
    }
    return err;
}

static enum err blobs_open_all(struct store *store, struct store_audit_entry *entries, size_t count,
                               const struct blob_job *jobs, struct arena *arena,
                               struct err_text *why)
{
    struct content *content = NULL;
    enum err err = content_create((struct bytes){0}, &content);
    for (size_t i = 0, n = 0; err == OK && i < count; i++) {
        if (entries[i].is_in_blob) {
            const struct blob_job *job = &jobs[n++];
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
    struct blob_job *jobs = calloc(blobs, sizeof(*jobs));
    err = jobs == NULL ? ERR_NO_MEMORY : blobs_read(store, entries, fitting, jobs, blobs, why);
    if (err == OK) {
        err = blobs_open_all(store, entries, fitting, jobs, arena, why);
    }
    blob_jobs_destroy(jobs, blobs);
    if (err == OK) {
        *count = fitting;
    }
    return err;
}

/* ---- sweeping -------------------------------------------------------------------------------- */

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
