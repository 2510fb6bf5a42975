/* manifest.json of an evidence package (docs/evidence.md): what it says is in the package.
 *
 * Read strictly: a key that is not known, is there twice or is missing makes it malformed, so that
 * nothing in it goes unseen. What it says is believed of nothing: it is compared. */
#ifndef CHAPERONE_CLI_VERIFY_MANIFEST_H
#define CHAPERONE_CLI_VERIFY_MANIFEST_H

#include "base/bytes.h"
#include "base/crypto/crypto.h"
#include "cli/verify/scan.h"

/* Some 200 bytes a file, and three files for each session. */
enum { MANIFEST_SIZE_MAX = 256 << 20 };

struct manifest_file {
    const char *name;
    uint64_t size;
    uint8_t sha256[CRYPTO_SHA256_SIZE];
};

struct manifest_sample {
    const char *seed;
    enum scan_kind of;
    uint64_t population;
    const uint64_t *positions;
    size_t count;
};

/* A plain value that borrows from the manifest. */
struct manifest_view {
    /* NULL: not asked for */
    const char *identity, *resource, *session;
    int64_t since_ns, until_ns; /* 0: not asked for */
    uint64_t entries, erased, sessions, approvals, policies, sidecars, issuer_keys, tiles;
    uint64_t kinds[SCAN_KINDS];
    const char *origin;
    uint64_t size;
    uint8_t root[CRYPTO_SHA256_SIZE];
    const struct manifest_sample *sample; /* NULL: none */
    const struct manifest_file *files;    /* in the order of their names */
    size_t file_count;
};

struct manifest;

/* ERR_INVALID with a sentence; ERR_LIMIT: larger than MANIFEST_SIZE_MAX. Returns owned. */
enum err manifest_parse(struct bytes json, struct manifest **out, struct err_text *why) MUST_USE;
void manifest_destroy(struct manifest *m); /* takes NULL */
const struct manifest_view *manifest_view(const struct manifest *m);
/* NULL: it names no such file. */
const struct manifest_file *manifest_find(const struct manifest *m, const char *name);

#endif
