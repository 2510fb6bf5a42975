/* Checkpoints of a log (https://c2sp.org/tlog-checkpoint): origin, size and root as the text of a
 * signed note, and the decision whether one is to be believed.
 *
 * Whoever believes a checkpoint keeps it, and asks for a consistency proof (tree.h) from it to the
 * next: a signature alone does not show that the log is the same one. */
#ifndef CHAPERONE_BASE_TLOG_CHECKPOINT_H
#define CHAPERONE_BASE_TLOG_CHECKPOINT_H

#include "base/tlog/note.h"
#include "base/tlog/tree.h"

enum { TLOG_ORIGIN_MAX = TLOG_NAME_MAX };

/* A plain value; texts are borrowed. */
struct tlog_checkpoint {
    struct bytes origin; /* clean UTF-8, 1 to TLOG_ORIGIN_MAX bytes, one line */
    uint64_t size;       /* at most TLOG_SIZE_MAX */
    struct tlog_hash root;
    struct bytes extensions; /* whole lines with their newlines, none empty; usually no bytes */
};

/* Reads the text of a note. ERR_INVALID with a sentence. */
enum err tlog_checkpoint_parse(struct bytes text, struct tlog_checkpoint *out,
                               struct err_text *why) MUST_USE;
/* Appends the text, for tlog_note_sign. ERR_INVALID when a part is not as said above. */
enum err tlog_checkpoint_format(const struct tlog_checkpoint *checkpoint,
                                struct buffer *out) MUST_USE;

/* Whom a checkpoint is believed. A plain value; borrows. */
struct tlog_trust {
    const char *origin;
    /* TLOG_KEY_ED25519. One suffices: while keys are rotated, the old and the new one are known. */
    const struct tlog_verifier *logs;
    size_t log_count;
    const struct tlog_verifier *witnesses; /* TLOG_KEY_COSIGNATURE */
    size_t witness_count;
    size_t quorum; /* witnesses that must have signed; 0: none need to */
};

/* What was found out beside. */
struct tlog_checkpoint_seal {
    size_t witnesses;  /* that signed, each counted once */
    uint64_t earliest; /* and the time of the one that signed first, seconds since 1970; 0: none */
};

/* Parses the note and verifies it: of the origin, signed by a key of the log, and cosigned by at
 * least `quorum` witnesses. Two keys count as one witness when they have the same name or are the
 * same key, and the log's own key is no witness. ERR_DENIED with a sentence when it is not to be
 * believed, a wrong signature of any key in `trust` included; ERR_INVALID when it is no checkpoint,
 * or when `trust` has no key of the log, a key of the wrong type or a quorum that it cannot reach.
 * `out` borrows from the note; `out_seal` may be NULL. */
enum err tlog_checkpoint_open(struct bytes note, const struct tlog_trust *trust,
                              struct tlog_checkpoint *out, struct tlog_checkpoint_seal *out_seal,
                              struct err_text *why) MUST_USE;

#endif
