/* The inside of store_blobs.h, shared by its files: store_blobs.c (what is put, read and swept),
 * store_blobs_form.c (one record as a blob and a reference, and back), store_blobs_jobs.c (several
 * blobs at a time). */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_BLOBS_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_BLOBS_INTERNAL_H

#include "controlplane/blobs/blobs.h"
#include "controlplane/store/content.h"
#include "controlplane/store/store_blobs.h"

enum {
    BLOB_REFERENCE_SIZE = 1 + BLOBS_NAME_SIZE + CONTENT_KEY_SIZE + 4,
    /* Of a record in a blob: four times what a sidecar may write. What is larger stays in its row.
     */
    BLOB_CANONICAL_MAX = 4 << 20,
};

/* One blob that is put or read. */
struct blob_job {
    uint8_t name[BLOBS_NAME_SIZE];
    struct buffer bytes;
    enum err err;
    struct err_text why;
};

/* store_blobs_jobs.c */
typedef enum err blob_job_fn(struct blobs *blobs, struct blob_job *job);
enum err blob_job_put(struct blobs *blobs, struct blob_job *job) MUST_USE;
enum err blob_job_get(struct blobs *blobs, struct blob_job *job) MUST_USE;
/* Each job gets its `err`. Gives the first failure that is not ERR_NOT_FOUND. */
enum err blob_jobs_do(struct blobs *blobs, blob_job_fn *work, struct blob_job *jobs, size_t count,
                      struct err_text *why) MUST_USE;
void blob_jobs_destroy(struct blob_job *jobs, size_t count); /* takes NULL */

/* store_blobs_form.c */
/* A blob of the record, and the reference to it. `job->bytes` is initialised. */
enum err blob_make(struct content *content, const struct store_audit_record *r,
                   struct blob_job *job, uint8_t out_reference[BLOB_REFERENCE_SIZE]) MUST_USE;

struct blob_reference {
    struct bytes name, key;
    size_t size;
};
/* False: it is none. The bytes are valid as long as `from`. */
bool blob_reference_read(struct bytes from, struct blob_reference *out) MUST_USE;
/* Puts the record's bytes, from `arena`, in the place of the reference. ERR_IO: the blob was
 * changed. */
enum err blob_open(struct content *content, const struct blob_job *job, struct arena *arena,
                   struct store_audit_entry *e, struct err_text *why) MUST_USE;
/* ERR_IO, and `why`: the content of the record at its position `what`. */
enum err blob_damaged(const struct store_audit_entry *e, const char *what,
                      struct err_text *why) MUST_USE;

#endif
