/* What a log sends to a witness and what it gets back (https://c2sp.org/tlog-witness,
 * add-checkpoint): the bodies, read and written.
 *
 * A request is the size that the witness is thought to have seen last, a proof from there, and the
 * checkpoint:
 *
 *     old 20852014
 *     PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
 *
 *     example.com/behind-the-sofa
 *     20852163
 *     ...
 *
 * Pure. Nothing is verified but a cosignature that is taken out of an answer. */
#ifndef CHAPERONE_BASE_TLOG_WITNESS_REQUEST_H
#define CHAPERONE_BASE_TLOG_WITNESS_REQUEST_H

#include "base/tlog/note.h"
#include "base/tlog/tree.h"

enum {
    /* The size line, TLOG_PROOF_MAX lines of 45 bytes, an empty line, and the note. */
    TLOG_WITNESS_REQUEST_MAX = 32 + TLOG_PROOF_MAX * 45 + 1 + TLOG_NOTE_SIZE_MAX,
    /* Signature lines: as many as a note may have of our kinds. */
    TLOG_WITNESS_ANSWER_MAX = 64 * 1024,
};

/* Of the answer 409, with the size of the tree that the witness saw last. */
#define TLOG_WITNESS_SIZE_TYPE "text/x.tlog.size"

/* A plain value. */
struct tlog_witness_request {
    uint64_t old_size; /* at most TLOG_SIZE_MAX; it may be larger than the checkpoint's */
    struct tlog_proof proof;
    struct bytes note; /* borrows: the checkpoint, signed; at least one byte */
};

/* Reads its form; the note is not looked into. ERR_INVALID or ERR_LIMIT with a sentence. */
enum err tlog_witness_request_parse(struct bytes body, struct tlog_witness_request *out,
                                    struct err_text *why) MUST_USE;
/* Appends the body. ERR_LIMIT above the caps. The note is taken as it is. */
enum err tlog_witness_request_format(const struct tlog_witness_request *request,
                                     struct buffer *out) MUST_USE;

/* The body of an answer 409: a decimal number and a newline. ERR_INVALID. */
enum err tlog_witness_size_parse(struct bytes body, uint64_t *out) MUST_USE;
enum err tlog_witness_size_format(uint64_t size, struct buffer *out) MUST_USE;

/* The body of an answer 200, signature lines: finds the witness's own for the note's text, verifies
 * it, and appends that line with its newline. Lines of unknown keys are passed over. `out_time` is
 * the time it names, seconds since 1970. ERR_DENIED with a sentence: it is not there, or not right;
 * ERR_INVALID: the body is no such thing. */
enum err tlog_witness_answer_take(struct bytes body, struct bytes note,
                                  const struct tlog_verifier *witness, struct buffer *out_line,
                                  uint64_t *out_time, struct err_text *why) MUST_USE;

#endif
