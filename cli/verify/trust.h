/* Whom a checkpoint is believed: the keys of the log and of witnesses, and how many of these. */
#ifndef CHAPERONE_CLI_VERIFY_TRUST_H
#define CHAPERONE_CLI_VERIFY_TRUST_H

#include "base/tlog/checkpoint.h"
#include "base/tlog/tile.h"
#include "cli/verify/report.h"

enum { TRUST_KEYS_MAX = 64 };

/* A plain value. */
struct trust {
    struct tlog_verifier logs[TRUST_KEYS_MAX], witnesses[TRUST_KEYS_MAX];
    size_t log_count, witness_count;
    size_t quorum;
    bool has_quorum; /* else: every witness that is known */
};

/* Verifier keys from a text: separated by white space or commas, lines that begin with # left out.
 * ERR_INVALID with a sentence: not a key, of the wrong type, or more than TRUST_KEYS_MAX. */
enum err trust_add_logs(struct trust *t, struct bytes text, struct err_text *why) MUST_USE;
enum err trust_add_witnesses(struct trust *t, struct bytes text, struct err_text *why) MUST_USE;

/* What is known of a checkpoint that was opened. */
struct trust_checkpoint {
    uint64_t size;
    struct tlog_hash root;
    char origin[TLOG_ORIGIN_MAX + 1];
    size_t witnesses;  /* that cosigned */
    uint64_t earliest; /* seconds since 1970; 0: none did */
};

/* Opens a checkpoint, and reports why it is not to be believed; `what` names it. The origin is that
 * of the first key of the log, unless `origin` says it. OK, or ERR_DENIED after reporting; `out` is
 * set also then where the text could be read. */
enum err trust_open(const struct trust *t, const char *what, struct bytes note, const char *origin,
                    struct trust_checkpoint *out, struct report *report) MUST_USE;

/* Whether the log that `newer` is of goes on from `kept`; both are believed. Reports a fork, or
 * that `newer` is the older one; or that it cannot be found out, because `source` has not the
 * tiles. */
void trust_compare(const struct trust_checkpoint *kept, const struct trust_checkpoint *newer,
                   struct tlog_tile_source source, struct report *report);

/* keys.json: log_keys, witness_keys, origin. Reports what is wrong with it. */
enum err trust_read_keys(struct bytes json, struct trust *out, char *out_origin,
                         struct report *report) MUST_USE;

#endif
