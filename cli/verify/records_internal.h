/* What the parts of records.c share. */
#ifndef CHAPERONE_CLI_VERIFY_RECORDS_INTERNAL_H
#define CHAPERONE_CLI_VERIFY_RECORDS_INTERNAL_H

#include "base/crypto/crypto.h"
#include "cli/verify/records.h"

struct beat {
    size_t record;
    uint8_t key_hash[CRYPTO_SHA256_SIZE];
    bool is_signed; /* by the key that it names */
};

struct loss {
    uint32_t stream;
    uint64_t first, last;
};

struct records {
    struct report *report;
    struct record_fact *items;
    size_t count, capacity;
    struct beat *beats;
    size_t beat_count, beat_capacity;
    struct loss *losses;
    size_t loss_count, loss_capacity;
    struct name_table *streams, *sessions, *policies;
    struct name_table *erasures; /* sessions of which a record says that they were erased */
    uint32_t *order;             /* of records_check */
    uint8_t *bad;                /* a flag for each record: its bytes are not the logged ones */
};

/* " (session 0192..., operation 4)", for a sentence about a record. */
enum { RECORDS_WHO_SIZE = 160 };
const char *records_who(const struct records *r, const struct record_fact *f,
                        char out[RECORDS_WHO_SIZE]);

/* Each sorts `order` for itself. */
void records_check_places(struct records *r, const struct records_expectation *expectation,
                          const struct known_tiles *tiles);
void records_check_streams(struct records *r, const struct records_expectation *expectation,
                           struct records_summary *out);
void records_check_sessions(struct records *r, struct records_summary *out);
/* records_erased.c. Takes what an action (api/audit.proto) says of it. */
enum err records_take_action(struct records *r, struct bytes event) MUST_USE;
/* What is erased was recorded as such before: where all records are there, somebody who only hides
 * content under that name is found. */
void records_check_erased(struct records *r, const struct records_expectation *expectation);

#endif
