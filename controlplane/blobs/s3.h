/* Blobs in an S3-compatible store: objects PREFIXab/abcd... of one bucket, by the first byte of the
 * name. Requests are signed with AWS Signature Version 4, their bodies too.
 *
 * What fails on the way, and the answers 429 and 5xx, are tried again a few times, later each time.
 * The user of the keys needs s3:PutObject, s3:GetObject and s3:DeleteObject. Without s3:ListBucket
 * a store says 403 for what is missing: that reads as ERR_UNAVAILABLE. */
#ifndef CHAPERONE_CONTROLPLANE_BLOBS_S3_H
#define CHAPERONE_CONTROLPLANE_BLOBS_S3_H

#include "controlplane/blobs/blobs.h"

struct blobs_s3_options {
    const char *endpoint; /* https://HOST[:PORT], or http:// to this machine itself */
    const char *bucket, *region;
    const char *prefix;              /* "" or NULL: none */
    bool is_virtual_host;            /* https://BUCKET.HOST/..., else https://HOST/BUCKET/... */
    const char *ca_file;             /* NULL: the system's roots */
    int64_t timeout_ns;              /* of one try; at least 1 ms */
    struct bytes key_id, secret_key; /* copied; wiped by destroy */
};

/* Does not connect. Returns owned. ERR_INVALID with a sentence; it never has a key in it. */
enum err blobs_open_s3(const struct blobs_s3_options *options, struct blobs **out,
                       struct err_text *why) MUST_USE;

#endif
