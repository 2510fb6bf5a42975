/* Between the files of the masker. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_INTERNAL_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_INTERNAL_H

#include "sidecar/masking/detector.h"
#include "sidecar/masking/masker.h"
#include "sidecar/masking/redactor.h"

enum { MASKER_DETECTORS_MAX = DETECTOR_BUILT_IN + DETECTOR_CUSTOM_MAX };

/* A compiled set; counted references. */
struct masker_set;

/* What the rules ask for, before it is compiled. */
struct masker_wanted {
    uint32_t built_in;
    struct detector_custom custom[DETECTOR_CUSTOM_MAX]; /* their texts are borrowed */
    size_t custom_count;
};

/* From the cache, or compiled; `cache` may be NULL. `*out` is owned: masker_set_release. */
enum err masker_set_get(struct masker_cache *cache, const struct masker_wanted *wanted,
                        struct masker_set **out, struct err_text *why) MUST_USE;
void masker_set_release(struct masker_set *set); /* takes NULL */
const struct detector *masker_set_detector(const struct masker_set *set);

struct masker {
    struct redactor *redactors[MASKER_RULES_MAX]; /* of each rule, owned */
    enum policy_redaction redactions[MASKER_RULES_MAX];
    enum policy_unknown unknown_origins[MASKER_RULES_MAX];
    const struct policy_mask *masks[MASKER_RULES_MAX]; /* held; of http_rules only */
    uint64_t http_rules;                               /* that name anything of HTTP */
    uint64_t field_rules;                              /* of them: what is in bodies and queries */
    uint64_t content_rules;                            /* that look for anything */
    size_t rule_count;

    struct masker_set *set; /* NULL: there are no detectors */
    struct detector_stream *stream;
    bool has_custom;
    struct redactor *by_detector[MASKER_DETECTORS_MAX]; /* borrows; NULL: nothing is to stay */
    uint8_t owners[MASKER_DETECTORS_MAX];               /* the rule that is counted */

    struct buffer value;   /* what a value became */
    struct buffer text;    /* a binary value as text, a bytea's bytes */
    struct buffer json;    /* the second look at a text */
    struct buffer element; /* of an array: as it was, without its quotes */
    struct buffer piece;   /* the same, masked */

    struct masker_count *counts;
    size_t count_count, count_capacity;
    size_t count_next; /* where the next one is likely found */
};

enum masker_outcome { MASKER_SAME, MASKER_CHANGED, MASKER_TO_NULL };

/* What a value that is not NULL becomes. With MASKER_CHANGED that is in m->value, valid until the
 * next call of masker. Counts what it did. */
enum err masker_apply(struct masker *m, const struct masker_column *column, size_t index,
                      struct bytes value, enum masker_outcome *out) MUST_USE;

static inline bool masker_is_plain(const struct masker *m, const struct masker_column *column)
{
    return column->action == MASKER_PASS && m->set == NULL;
}

enum err masker_count_one(struct masker *m, uint8_t rule, size_t column, bool by_content) MUST_USE;

/* What the detectors make of a value; appends it to `out` when it changed. The rules whose
 * detectors found something are added to `io_rules`. */
enum err masker_scan(struct masker *m, uint32_t type, bool is_binary, struct bytes value,
                     struct buffer *out, enum masker_outcome *outcome, uint64_t *io_rules) MUST_USE;
/* Of an array, element by element. ERR_INVALID: not an array as the server sends it. */
enum err masker_scan_array(struct masker *m, uint32_t element_type, bool is_binary,
                           struct bytes value, struct buffer *out, enum masker_outcome *outcome,
                           uint64_t *io_rules) MUST_USE;

#endif
