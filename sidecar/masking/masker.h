/* Masks what goes to an agent: rows, COPY data and texts, by the rules of a policy.
 *
 * A masker belongs to one session and one revision of the policy; it copies what it needs of the
 * rules. Pure: bytes in, bytes out. Where it cannot mask, it fails; the caller refuses. Nothing of
 * a value is passed on because it was not understood. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_H

#include "base/bytes.h"
#include "policies/policy.h"

enum {
    MASKER_RULES_MAX = 63,
    MASKER_COLUMNS_MAX = 1664, /* of a result: the server's MaxTupleAttributeNumber */
    /* A row is held whole while it is masked; a larger one fails. */
    MASKER_ROW_MAX = 16 << 20,
};

struct masker;

/* Compiled sets of detectors, kept for the next masker that asks for the same ones: to compile one
 * takes tens of milliseconds. For one thread; a loop has one for all of its sessions. */
struct masker_cache;
/* Returns owned; NULL when memory is short. */
struct masker_cache *masker_cache_create(void) MUST_USE;
void masker_cache_destroy(struct masker_cache *c); /* takes NULL; before or after its maskers */

/* `rules` as policy_masks gave them: those that name anything of HTTP are held (policy_mask_hold),
 * all else is copied. `key` (32 bytes) is the deployment's, from which each rule that hashes takes
 * its own: the same for rules whose `hash_key` name is the same. Returns owned. ERR_INVALID,
 * ERR_LIMIT with `why`. */
enum err masker_create(const struct policy_mask *const *rules, size_t count, struct bytes key,
                       struct masker **out, struct err_text *why) MUST_USE;
/* The same, with detectors from the cache; borrows it only for the call. */
enum err masker_create_cached(struct masker_cache *cache, const struct policy_mask *const *rules,
                              size_t count, struct bytes key, struct masker **out,
                              struct err_text *why) MUST_USE;
void masker_destroy(struct masker *m); /* takes NULL; wipes the keys */
bool masker_has_detectors(const struct masker *m);

/* ---- rows ---------------------------------------------------------------------------------- */

enum masker_action {
    MASKER_PASS, /* only detectors look at it */
    MASKER_REDACT,
    MASKER_NULL,
};

struct masker_column {
    enum masker_action action;
    uint8_t rule; /* of REDACT and NULL: who asked, for the receipt */
    bool is_binary;
    uint32_t type; /* oid */
};

/* How often each rule changed a value: one count for each column and rule, for the receipt. Rows
 * count once for each column. */
struct masker_count {
    uint8_t rule;
    uint16_t column;
    bool by_content;
    uint64_t rows;
};

/* The counts since the last reset; valid until the next call of masker. */
size_t masker_counts(const struct masker *m, const struct masker_count **out);
void masker_counts_reset(struct masker *m);

/* Appends the masked body of a DataRow (protocol v3, section 55.7) to `out`. ERR_INVALID: not a row
 * of so many columns. ERR_LIMIT: a value that cannot be held. `out` is as before on failure. */
enum err masker_row(struct masker *m, const struct masker_column *columns, size_t count,
                    struct bytes body, struct buffer *out) MUST_USE;

/* The same for a body that may be written to: as long as each value keeps its length, it is masked
 * where it stands. `*out_moved`: the masked body was appended to `out`, and `body` holds anything;
 * otherwise it is in `body`. On failure `body` holds anything. */
enum err masker_row_in_place(struct masker *m, const struct masker_column *columns, size_t count,
                             uint8_t *body, size_t size, struct buffer *out,
                             bool *out_moved) MUST_USE;

/* ---- texts: messages of errors and notices, payloads ----------------------------------------- */

/* Appends the text with everything that the detectors find redacted. */
enum err masker_text(struct masker *m, struct bytes text, struct buffer *out) MUST_USE;

/* ---- COPY TO STDOUT ------------------------------------------------------------------------ */

enum masker_copy_format { MASKER_COPY_TEXT, MASKER_COPY_CSV, MASKER_COPY_BINARY };

struct masker_copy_options {
    enum masker_copy_format format;
    char delimiter, quote, escape;
    struct bytes null_text; /* borrows until masker_copy_create returns */
    bool has_header;
    const struct masker_column *columns; /* copied; is_binary as the format says; types are known by
                                            the caller or 0: then REDACT becomes NULL in binary, and
                                            text in the other two */
    size_t count;
};

struct masker_copy;
/* Borrows the masker. Returns owned; NULL when memory is short. */
struct masker_copy *masker_copy_create(struct masker *m,
                                       const struct masker_copy_options *o) MUST_USE;
void masker_copy_destroy(struct masker_copy *c); /* takes NULL */
/* The payload of one CopyData message. What is complete of it is appended to `out`, masked; a row
 * that is not complete is held (MASKER_ROW_MAX). ERR_INVALID: not of the format. */
enum err masker_copy_feed(struct masker_copy *c, struct bytes payload, struct buffer *out) MUST_USE;
/* The data's end: ERR_INVALID when it is not at the end of a row. */
enum err masker_copy_finish(struct masker_copy *c) MUST_USE;

#endif
