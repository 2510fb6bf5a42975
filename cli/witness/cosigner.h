/* A witness: answers add-checkpoint (https://c2sp.org/tlog-witness) for the logs that it knows.
 *
 * **What it signs, it has written down before; and it never signs two trees of one size of a log,
 * nor a smaller one after a larger one, whenever it is killed.** cosigner_answer may be called by
 * several threads. */
#ifndef CHAPERONE_CLI_WITNESS_COSIGNER_H
#define CHAPERONE_CLI_WITNESS_COSIGNER_H

#include "base/clock.h"
#include "base/log.h"
#include "base/tlog/key.h"

struct cosigner_options {
    const char *directory;
    const char *name;        /* NULL: as before */
    const char *const *logs; /* lines of logs.h, beside those of the file DIRECTORY/logs */
    size_t log_count;
    struct clock clock;
    const struct log *log; /* borrows; NULL: none */
};

struct cosigner;

/* Takes the directory until destroy. ERR_INVALID, ERR_DENIED, ERR_EXISTS (another process has it),
 * ERR_IO with a sentence; so when what it signed for a known log cannot be read. Copies what it
 * needs. Returns owned. */
enum err cosigner_create(const struct cosigner_options *options, struct cosigner **out,
                         struct err_text *why) MUST_USE;
void cosigner_destroy(struct cosigner *cosigner); /* takes NULL; no call may be under way */

/* Reads DIRECTORY/logs again. On failure nothing has changed. Waits for calls under way. */
enum err cosigner_reload(struct cosigner *cosigner, struct err_text *why) MUST_USE;

/* Valid until destroy. */
const struct tlog_verifier *cosigner_verifier(const struct cosigner *cosigner);
size_t cosigner_log_count(struct cosigner *cosigner);

/* An HTTP answer. */
struct cosigner_answer {
    unsigned status;
    const char *type;   /* static */
    struct buffer body; /* the caller's to finish */
};

/* Answers a request's body. Initialises `out`. */
void cosigner_answer(struct cosigner *cosigner, struct bytes body, struct cosigner_answer *out);

#endif
