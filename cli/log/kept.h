/* What is kept of a control plane's audit log, so that a later answer cannot contradict an earlier
 * one: the log's keys as they were first seen, and the newest checkpoint.
 *
 * Two files, replaced atomically: PATH has the checkpoint, PATH.keys the verifier keys, one a line.
 * Those of a server are below XDG_STATE_HOME/chaperone/logs (~/.local/state). */
#ifndef CHAPERONE_CLI_LOG_KEPT_H
#define CHAPERONE_CLI_LOG_KEPT_H

#include "base/tlog/checkpoint.h"

enum { KEPT_KEYS_MAX = 32 };

struct kept_log {
    struct tlog_verifier keys[KEPT_KEYS_MAX];
    size_t key_count;
    struct buffer note; /* none: it was never seen */
};

void kept_log_init(struct kept_log *k);
void kept_log_finish(struct kept_log *k);

/* The path for a server; owned. ERR_NOT_FOUND: neither XDG_STATE_HOME nor HOME is set. Makes the
 * directory. */
enum err kept_log_path(const char *server, char **out, struct err_text *why) MUST_USE;
/* OK with nothing in it where the files are not there. ERR_INVALID: they are not what was kept. */
enum err kept_log_read(const char *path, struct kept_log *out, struct err_text *why) MUST_USE;
/* The keys first: a checkpoint without them could not be believed. */
enum err kept_log_write(const char *path, const struct kept_log *k, struct err_text *why) MUST_USE;

/* ERR_INVALID; ERR_LIMIT. One that is there already is not added again. */
enum err kept_log_add_key(struct kept_log *k, const char *text, struct err_text *why) MUST_USE;

#endif
