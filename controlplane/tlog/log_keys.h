/* Under which name and with which keys the log is signed.
 *
 *   log.key            the Ed25519 key that signs (0600), made at the first start
 *   log.key.previous   the one before it, which signs beside it for a while after a rotation
 *   log.yaml           the origin, every public key that ever signed, and logs that were ended
 *
 * all in the data directory. The origin never changes while a log goes on. Commands change these
 * files beside a running server, which reads them again before it signs. Not thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_TLOG_LOG_KEYS_H
#define CHAPERONE_CONTROLPLANE_TLOG_LOG_KEYS_H

#include "base/clock.h"
#include "base/tlog/checkpoint.h"

struct log_keys;

enum {
    LOG_KEYS_MAX = 16,   /* public keys that are known; a rotation a year for as many years */
    LOG_SIGNERS_MAX = 2, /* the key and the one before it */
    LOG_FORMER_MAX = 64, /* logs that were ended */
    LOG_ORIGIN_BASE_MAX = TLOG_ORIGIN_MAX - 8, /* leaves room for "/2" */
};

struct log_keys_options {
    const char *data;   /* directory */
    const char *origin; /* NULL: what was fixed before, or `fallback` at the first start */
    const char *fallback;
    int64_t overlap_ns; /* how long a replaced key goes on signing */
    struct clock clock;
};

/* Makes what is missing. ERR_INVALID: `origin` is another one than the log has, or a file is
 * wrong; ERR_DENIED: a key that others can read. Returns owned. */
enum err log_keys_open(const struct log_keys_options *options, struct log_keys **out,
                       struct err_text *why) MUST_USE;
void log_keys_close(struct log_keys *keys); /* takes NULL; wipes the keys */

/* Reads the files again where they were changed. On failure all stays as it was. */
enum err log_keys_refresh(struct log_keys *keys, bool *out_changed, struct err_text *why) MUST_USE;

/* All of these are valid until the next refresh. */
const char *log_keys_origin(const struct log_keys *keys);
/* The one that signs now first. */
const struct tlog_verifier *log_keys_known(const struct log_keys *keys, size_t *out_count);
/* Who signs at this time: 1 or 2. */
size_t log_keys_signers(const struct log_keys *keys, int64_t now_ns,
                        struct tlog_signer out[LOG_SIGNERS_MAX]);
/* Whether a log of this origin was ended here. */
bool log_keys_is_former(const struct log_keys *keys, struct bytes origin);

/* One process at a time keeps a log: two would overwrite each other's tiles. The lock ends with the
 * file descriptor, and with the process. ERR_EXISTS: another one has it. */
enum err log_keys_lock(const char *data, int *out_fd, struct err_text *why) MUST_USE;

/* ---- for the commands: offline, or beside a running server -------------------------------------
 */

/* A new key signs from now on, the old one beside it until the overlap has passed. `out_key` gets
 * the new verifier key's text. ERR_EXISTS: a rotation is still within its overlap, whose key would
 * be lost. */
enum err log_keys_rotate(const struct log_keys_options *options, struct buffer *out_key,
                         struct err_text *why) MUST_USE;
/* The next log: another origin, the same key. `out_origin` gets it. */
enum err log_keys_restart(const struct log_keys_options *options, struct buffer *out_origin,
                          struct err_text *why) MUST_USE;

#endif
