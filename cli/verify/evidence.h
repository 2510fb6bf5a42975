/* Reading an evidence package, and checking what was read. */
#ifndef CHAPERONE_CLI_VERIFY_EVIDENCE_H
#define CHAPERONE_CLI_VERIFY_EVIDENCE_H

#include "cli/verify/context.h"
#include "cli/verify/listing.h"
#include "cli/verify/manifest.h"
#include "cli/verify/pack.h"
#include "cli/verify/verify.h"

/* A file that was there. */
struct evidence_file {
    char *name; /* owned */
    uint64_t size;
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    bool is_listed;
};

/* What the bytes of the file that is being read are for. */
enum evidence_use {
    EVIDENCE_ONLY_HASHED,
    EVIDENCE_KEPT,
    EVIDENCE_TILE,
    EVIDENCE_RECORDS,
    EVIDENCE_LISTING,
};

struct evidence {
    const struct verify_options *options;
    struct report *report;
    struct verify_result *result;
    struct records *records;
    struct known_tiles *tiles;
    struct kept kept;
    struct evidence_file *files;
    size_t file_count, file_capacity;
    uint64_t approvals, record_files, listed_json, listed_csv;
    uint64_t *sampled; /* positions in sample.csv, owned */
    size_t sampled_count;
    char folder[PACK_NAME_MAX + 1];

    /* the file that is being read */
    enum evidence_use use;
    struct crypto_sha256 hash;
    struct rec_reader rec;
    struct listing listing;
    struct buffer tile;
    struct tlog_tile tile_name;
    uint64_t *listed; /* counts the lines of the listing; NULL: of sample.csv */
    bool is_broken;   /* reported; the rest is only hashed */

    bool is_everything; /* not a package: all records of the log, as the control plane sent them */
};

/* To be finished also after an error. */
enum err evidence_init(struct evidence *e, const struct verify_options *options,
                       struct report *report, struct verify_result *result) MUST_USE;
void evidence_finish(struct evidence *e);

/* A visitor of pack_read. */
struct pack_visitor evidence_visitor(struct evidence *e);
/* After all files were read. */
enum err evidence_check(struct evidence *e, struct err_text *why) MUST_USE;
/* The same without a manifest. */
enum err evidence_check_unlisted(struct evidence *e, struct err_text *why) MUST_USE;

#endif
