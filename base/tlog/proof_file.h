/* Proofs in a file of their own, .tlog-proof (https://c2sp.org/tlog-proof): a record's place in a
 * log, the way from it to the root, and the checkpoint with that root. Whoever has the record, such
 * a file and the public keys needs nothing else. */
#ifndef CHAPERONE_BASE_TLOG_PROOF_FILE_H
#define CHAPERONE_BASE_TLOG_PROOF_FILE_H

#include "base/tlog/checkpoint.h"

enum {
    /* The data that goes along: as much as the largest entry of a log. */
    TLOG_PROOF_EXTRA_MAX = 64 * 1024,
    /* The note, the extra data in base64, TLOG_PROOF_MAX lines of 45 bytes, and the rest. */
    TLOG_PROOF_FILE_MAX = TLOG_NOTE_SIZE_MAX + (TLOG_PROOF_EXTRA_MAX / 3 + 1) * 4 + 4096,
};

/* A plain value. */
struct tlog_proof_file {
    uint64_t index; /* of the leaf, from 0; below TLOG_SIZE_MAX */
    struct tlog_proof proof;
    struct bytes note; /* borrows: the checkpoint, signed */
};

/* Reads its form; nothing is verified. ERR_INVALID or ERR_LIMIT with a sentence. `out` borrows from
 * the file. The extra data, which nothing vouches for, is appended to `out_extra` (may be NULL, its
 * cap holds). */
enum err tlog_proof_file_parse(struct bytes file, struct tlog_proof_file *out,
                               struct buffer *out_extra, struct err_text *why) MUST_USE;

/* Appends the file. No extra bytes: no such line. ERR_LIMIT above the caps. The note is taken as it
 * is, and may be checked with tlog_proof_file_check. */
enum err tlog_proof_file_format(const struct tlog_proof_file *proof, struct bytes extra,
                                struct buffer *out) MUST_USE;

/* Whether it proves that `record` is in the log: the checkpoint is believed (tlog_checkpoint_open),
 * and the record is its leaf `index`. ERR_DENIED with a sentence when it does not, ERR_INVALID when
 * it is not of the form. The outputs may be NULL. */
enum err tlog_proof_file_check(struct bytes file, struct bytes record,
                               const struct tlog_trust *trust, uint64_t *out_index,
                               struct tlog_checkpoint *out_checkpoint,
                               struct err_text *why) MUST_USE;

#endif
