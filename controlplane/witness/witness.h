/* Asks a witness to cosign a checkpoint: a client of C2SP tlog-witness (add-checkpoint, over
 * HTTPS).
 *
 * A witness remembers the last tree of a log that it saw, and signs only what extends it. So it
 * also knows when a log that was restored from a backup is about to sign something else. Calls
 * block; one at a time for a client. */
#ifndef CHAPERONE_CONTROLPLANE_WITNESS_WITNESS_H
#define CHAPERONE_CONTROLPLANE_WITNESS_WITNESS_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/tlog/key.h"
#include "base/tlog/tree.h"

struct witness_options {
    const char *url; /* prefix: "https://witness.example/"; http to this machine only */
    const struct tlog_verifier *verifier; /* TLOG_KEY_COSIGNATURE */
    const char *ca_file;                  /* NULL: the system's roots */
    int64_t timeout_ns;                   /* of one request */
    struct clock clock;                   /* all NULL: the system's */
};

struct witness;

/* Copies what it needs. Returns owned. ERR_INVALID with a sentence. */
enum err witness_create(const struct witness_options *options, struct witness **out,
                        struct err_text *why) MUST_USE;
void witness_destroy(struct witness *witness); /* takes NULL */

/* `note` is the signed checkpoint of `size` records; `reader` gives the hashes of that tree. The
 * size that the witness saw last is remembered, and asked for where it is not known (409). Appends
 * the witness's signature line ("— name base64\n", verified) to `out_line`.
 *   ERR_UNAVAILABLE  it does not answer, or says that it cannot now
 *   ERR_DENIED       it does not know this log, what it answered is not its signature on this
 *                    checkpoint, is of the future, or makes no sense
 *   ERR_EXISTS       it has seen a larger tree of this log than this one: *out_seen is its size
 *   ERR_INVALID      it has seen another tree: the proof from *out_seen does not fit what it saw
 * The latter two are a witness's word and nothing more: it can always refuse. Other errors are of
 * `reader` or of this machine. */
enum err witness_cosign(struct witness *witness, struct bytes note, uint64_t size,
                        const struct tlog_reader *reader, struct buffer *out_line,
                        uint64_t *out_seen, struct err_text *why) MUST_USE;

#endif
