/* Finds what must not be seen by what it looks like: personal data and secrets within text.
 *
 * A set of detectors is compiled once (Hyperscan) and is immutable; each user scans
 * with a stream of its own, which takes a value in pieces of any size and in bounded memory. Where
 * a piece ends makes no difference to what is found. An expression only proposes; a checksum, a
 * range or the surroundings then decide (checks.h, detector_find.h). */
#ifndef CHAPERONE_SIDECAR_MASKING_DETECTOR_H
#define CHAPERONE_SIDECAR_MASKING_DETECTOR_H

#include "base/bytes.h"

enum detector_id {
    DETECTOR_EMAIL,
    DETECTOR_CARD,
    DETECTOR_IBAN,
    DETECTOR_SSN,
    DETECTOR_DNI,
    DETECTOR_CODICE_FISCALE,
    DETECTOR_STEUER_ID,
    DETECTOR_AHV,
    DETECTOR_PHONE,
    DETECTOR_PRIVATE_KEY,
    DETECTOR_JWT,
    DETECTOR_API_KEY,
    DETECTOR_BUILT_IN, /* how many; the custom ones follow, in their order */
};

enum {
    DETECTOR_CUSTOM_MAX = 128,
    DETECTOR_PATTERN_MAX = 512, /* bytes of an expression */
    DETECTOR_WIDTH_MAX = 1024,  /* bytes that a custom expression may match: bounds the memory */
    DETECTOR_REPEAT_MAX =
        4096, /* product of an expression's repeat counts: bounds its compilation */
    DETECTOR_SPANS_MAX = 256,
    DETECTOR_OPEN_MAX = 1024, /* of a text without end: those that may still change */
};

/* "email", "api_key"; NULL for a custom one. Static. */
const char *detector_name(unsigned id);

struct detector_custom {
    const char *name;
    const char *pattern; /* PCRE as Hyperscan understands it; must match something, and at most
                            WIDTH_MAX bytes */
    bool is_caseless;
};

struct detector_config {
    uint32_t built_in;                    /* bits: 1 << DETECTOR_EMAIL and so on */
    const struct detector_custom *custom; /* borrows, until create returns */
    size_t custom_count;
};

struct detector;
/* Returns owned. ERR_INVALID (with the name of the expression in `why`) for one that does not
 * compile, ERR_LIMIT for one that costs too much. */
enum err detector_create(const struct detector_config *config, struct detector **out,
                         struct err_text *why) MUST_USE;
void detector_destroy(struct detector *d); /* takes NULL; after its streams */

/* Offsets of the text as it was given, escapes and all. */
struct detector_span {
    size_t start, end;
    unsigned id;
};

struct detector_stream;
/* Returns owned; borrows `d`. For one thread. */
enum err detector_stream_create(const struct detector *d, struct detector_stream **out) MUST_USE;
void detector_stream_destroy(struct detector_stream *s); /* takes NULL; wipes what it held */

/* Begins a value. `is_json`: the escapes of JSON strings are read (json_unescape.h). */
enum err detector_stream_start(struct detector_stream *s, bool is_json) MUST_USE;
enum err detector_stream_feed(struct detector_stream *s, struct bytes piece) MUST_USE;

struct detector_result {
    const struct detector_span *spans; /* by start; valid until the stream's next start */
    size_t count;
    bool is_overflowed; /* there are more: the whole value has to be masked */
};

/* Ends a value. Nothing was found to be harmless unless this and every feed returned OK. */
enum err detector_stream_finish(struct detector_stream *s, struct detector_result *out) MUST_USE;

/* Begins a text without end, of which the finds are taken while it goes on. */
enum err detector_stream_start_endless(struct detector_stream *s, bool is_json) MUST_USE;
/* Moves the finds to `out` that nothing that follows can change, in no order. `*out_safe`: there
 * are no others before this offset, which lies in none and never goes back. With built-in detectors
 * only, all up to the last line's end is safe, for nothing but a private key goes on beyond it;
 * else as much is held back as the longest find needs. What is left comes with `finish`. ERR_LIMIT:
 * more than OPEN_MAX may still change. */
enum err detector_stream_take(struct detector_stream *s,
                              struct detector_span out[DETECTOR_OPEN_MAX], size_t *out_count,
                              size_t *out_safe) MUST_USE;

/* A value that is there whole: start, feed, finish. */
enum err detector_scan(struct detector_stream *s, struct bytes value, bool is_json,
                       struct detector_result *out) MUST_USE;
/* Begins, after white space, with one of { [ " */
bool detector_looks_like_json(struct bytes value);

#endif
