/* records.jsonl, records.csv and sample.csv of a package: which record each line is about.
 *
 * Only a line's position and hash are read, the same way for a million lines as for one; whether
 * the rest of a line says what its record says is checked by readable.h. Pure but for the callback.
 */
#ifndef CHAPERONE_CLI_VERIFY_LISTING_H
#define CHAPERONE_CLI_VERIFY_LISTING_H

#include "base/bytes.h"

enum listing_format { LISTING_JSON, LISTING_CSV };

/* Statements of 1 MiB, escaped. */
enum { LISTING_LINE_MAX = 64 << 20, LISTING_HASH_SIZE = 32 };

struct listing_line {
    uint64_t number; /* from 1, the header of CSV not counted */
    uint64_t position;
    uint8_t hash[LISTING_HASH_SIZE];
    struct bytes text; /* with its end; valid during the call */
};

typedef enum err listing_fn(void *context, const struct listing_line *line);

struct listing {
    enum listing_format format;
    struct buffer pending; /* a line that is not yet whole */
    size_t quotes;         /* in it; CSV: odd is inside of a cell */
    size_t scanned;        /* of it */
    uint64_t count;
    bool has_header;
    listing_fn *on_line;
    void *context;
    enum err failed; /* stays */
};

void listing_init(struct listing *l, enum listing_format format, listing_fn *on_line,
                  void *context);
void listing_finish(struct listing *l);
/* ERR_INVALID: a line is not of the form; ERR_LIMIT: it is too long; else what the callback said.
 */
enum err listing_feed(struct listing *l, struct bytes more) MUST_USE;
enum err listing_end(struct listing *l) MUST_USE; /* ERR_INVALID: it ends in the middle of a line */

#endif
