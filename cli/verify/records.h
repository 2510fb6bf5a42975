/* The records of a package or a log: what is kept of each (some 150 bytes), and whether they are
 * those that were logged, whole and in order. */
#ifndef CHAPERONE_CLI_VERIFY_RECORDS_H
#define CHAPERONE_CLI_VERIFY_RECORDS_H

#include "base/tlog/tree.h"
#include "cli/verify/known_tiles.h"
#include "cli/verify/name_table.h"
#include "cli/verify/rec.h"
#include "cli/verify/report.h"
#include "cli/verify/shown.h"

/* A plain value. */
struct record_fact {
    uint64_t position;
    struct tlog_hash hash, previous;
    uint64_t sequence;
    int64_t time_ns;
    uint64_t operation;
    uint32_t stream, session, policy; /* numbers of names; 0: none */
    enum scan_kind kind;              /* of an erased one SCAN_UNKNOWN, until it is declared */
    bool is_erased;
    bool has_shown;
    uint8_t shown[SHOWN_SIZE]; /* what records.jsonl must say of it */
};

/* Comparing the lines of more than these takes longer than all the rest. */
enum { RECORDS_SHOWN_MAX = 100000 };

struct records;

/* Borrows the report. Returns owned; NULL when memory is short. */
struct records *records_create(struct report *report) MUST_USE;
void records_destroy(struct records *r); /* takes NULL */

/* The next one, in the order of the file. A record that cannot be read is reported, and counts as
 * one of its position. ERR_NO_MEMORY, ERR_LIMIT. */
enum err records_add(struct records *r, const struct rec_item *item) MUST_USE;

size_t records_count(const struct records *r);
/* In the order of the file; valid until the next call of records_add. */
const struct record_fact *records_at(const struct records *r, size_t n);
/* What erased records say only outside of their content: which kind it was, of which session. */
void records_declare(struct records *r, size_t n, enum scan_kind kind, uint32_t session);
struct name_table *records_sessions(struct records *r); /* borrows */

/* What a package is a part of. */
struct records_expectation {
    uint64_t size; /* of the tree */
    bool is_whole; /* all records of the tree must be there */
    /* All records of a time are there, of all streams: nothing may be missing between two. */
    bool is_contiguous;
    int64_t since_ns, until_ns; /* each record's time is in it; 0: no limit */
    /* hash of a policy -> is it in the package; NULL: not asked for */
    bool (*has_policy)(void *context, const char *hash);
    /* Whether this key signs the stream's heartbeats; NULL: any, but one and the same. */
    bool (*has_key)(void *context, const char *stream, const uint8_t key_hash[32], bool *out_known);
    void *context;
};

struct records_summary {
    uint64_t records, erased, streams, sessions, operations, unanswered;
    uint64_t links, heartbeats;
    uint64_t kinds[SCAN_KINDS];
};

/* Checks all. `tiles` were checked; NULL where there is nothing to prove the records with. */
enum err records_check(struct records *r, const struct records_expectation *expectation,
                       const struct known_tiles *tiles, struct records_summary *out) MUST_USE;

#endif
