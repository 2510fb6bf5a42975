/* What the control plane sent for an export, until it is put in order: entries and what explains
 * them are on the disk (spool.h), in memory is where they are: 16 bytes an entry and some 200 for
 * each session. Everything that comes is checked for what the package says of it. */
#ifndef CHAPERONE_CLI_EVIDENCE_COLLECTION_H
#define CHAPERONE_CLI_EVIDENCE_COLLECTION_H

#include "api/log.pb-c.h"
#include "cli/evidence/sample.h"
#include "cli/evidence/tiles.h"

enum { COLLECTION_HASH_SIZE = 32, COLLECTION_NO_SESSION = -1 };

struct collection;

struct collection_options {
    const char *directory; /* for temporary files */
    uint32_t sample;       /* how many are drawn; 0: none */
    const char *seed;      /* borrowed, as `sample_of` */
    const char *sample_of; /* a kind */
};

struct collection_session {
    const char *id;
    const char *identity, *on_behalf_of, *resource, *protocol;
    int64_t first_ns, last_ns; /* of its records here */
    uint32_t entries, intents, refused, masked, erased;
    const char *close_reason; /* "": its end is not here */
};

/* Columns that a rule masked, over all outcomes. */
struct collection_masked {
    const char *resource, *rule, *column;
    bool by_content;
    uint64_t rows, outcomes;
};

/* An agent, as its tokens said: `json` is an object without the numbers. */
struct collection_identity {
    const char *json;
    uint64_t sessions;
    int64_t first_ns, last_ns;
};

/* Entries by their number that a table is made of. */
enum collection_list {
    COLLECTION_REFUSALS, /* intents and sessions with the verdict deny */
    COLLECTION_ACTIONS,  /* of people, and findings */
    COLLECTION_RECEIPTS, /* outcomes with a masking receipt */
    COLLECTION_LISTS,
};

enum collection_kind {
    COLLECTION_APPROVAL,
    COLLECTION_POLICY,
    COLLECTION_SIDECAR,
    COLLECTION_ISSUER_KEY,
    COLLECTION_KINDS,
};

/* Returns owned. */
enum err collection_create(const struct collection_options *options, struct collection **out,
                           struct err_text *why) MUST_USE;
void collection_destroy(struct collection *c); /* takes NULL */

/* The next part. ERR_INVALID with a sentence: it is not as api/log.proto says, or a record is not
 * what its hash says. ERR_FULL, ERR_IO: the disk. */
enum err collection_add(struct collection *c, const Chaperone__V1__ExportPart *part,
                        struct err_text *why) MUST_USE;
/* After the last part. ERR_INVALID with a sentence: it is not whole. */
enum err collection_finish(struct collection *c, struct err_text *why) MUST_USE;

/* NULL before it came. Borrowed, as all below. */
const Chaperone__V1__ExportHeader *collection_header(const struct collection *c);
struct tiles *collection_tiles(struct collection *c);
struct sample *collection_sample(struct collection *c); /* NULL: none is drawn */

uint32_t collection_count(const struct collection *c); /* entries */
uint64_t collection_erased(const struct collection *c);
/* How many of a kind ("intent"), for each n below collection_kinds(). */
size_t collection_kinds(const struct collection *c);
const char *collection_kind_name(const struct collection *c, size_t n, uint64_t *out_count);
/* Unpacks an entry; owned by the caller (chaperone__v1__entry__free_unpacked). */
enum err collection_entry(struct collection *c, uint32_t number,
                          Chaperone__V1__Entry **out) MUST_USE;

size_t collection_session_count(const struct collection *c);
const struct collection_session *collection_session(const struct collection *c, size_t n);
/* Its entries' numbers, in order; valid after collection_finish. */
const uint32_t *collection_session_entries(const struct collection *c, size_t n);

const uint32_t *collection_list(const struct collection *c, enum collection_list list,
                                size_t *out_count);
size_t collection_masked_count(const struct collection *c);
const struct collection_masked *collection_masked(const struct collection *c, size_t n);
size_t collection_identity_count(const struct collection *c);
const struct collection_identity *collection_identity(const struct collection *c, size_t n);

/* What explains the entries: packed messages, one of a kind at a time. */
size_t collection_item_count(const struct collection *c, enum collection_kind kind);
/* Valid until the next call. */
enum err collection_item(struct collection *c, enum collection_kind kind, size_t n,
                         struct bytes *out) MUST_USE;

#endif
