/* The logs that a witness signs for: by origin, each with the keys that it is believed by.
 *
 * A line is a verifier key (Ed25519), and behind a space the origin of the log where that is not
 * the key's name. Lines of one origin are keys of one log: while it changes its key it has two. In
 * a file, empty lines and lines that begin with # are passed over. */
#ifndef CHAPERONE_CLI_WITNESS_LOGS_H
#define CHAPERONE_CLI_WITNESS_LOGS_H

#include <pthread.h>

#include "cli/witness/judge.h"

enum {
    WITNESS_LOG_KEYS_MAX = 8,
    /* They are looked through for each request. */
    WITNESS_LOGS_MAX = 4096,
    WITNESS_LOGS_FILE_MAX = 4 << 20,
};

struct witness_log {
    char origin[TLOG_ORIGIN_MAX + 1];
    size_t key_count;
    struct tlog_verifier keys[WITNESS_LOG_KEYS_MAX];
    /* While it is held, what was seen is judged, written and signed: never two trees of one size.
     */
    pthread_mutex_t lock;
    struct witness_seen seen;
    int64_t warned_ns; /* when it was complained of last; 0: not yet */
};

struct witness_logs {
    size_t count;
    struct witness_log **items; /* owned */
};

void witness_logs_finish(struct witness_logs *logs); /* usable again, as {0} is */

/* ERR_INVALID with a sentence; ERR_LIMIT above the caps. A key that is there already is passed
 * over. */
enum err witness_logs_add(struct witness_logs *logs, struct bytes line,
                          struct err_text *why) MUST_USE;
/* The sentence names the file and the line. A file that is missing has no logs. */
enum err witness_logs_read(struct witness_logs *logs, const char *path,
                           struct err_text *why) MUST_USE;

/* NULL: unknown. */
struct witness_log *witness_logs_find(const struct witness_logs *logs, struct bytes origin);

#endif
