/* Signed notes (https://c2sp.org/signed-note) with Ed25519, and cosignatures with a time
 * (https://c2sp.org/tlog-cosignature, cosignature/v1): read, verified, signed.
 *
 * Stricter than the specification in one place: base64 has one spelling here. A note's text means
 * nothing until tlog_note_verify said OK for a key that is trusted. */
#ifndef CHAPERONE_BASE_TLOG_NOTE_H
#define CHAPERONE_BASE_TLOG_NOTE_H

#include "base/tlog/key.h"

enum {
    /* Room for a few hundred signatures of our kinds, or 16 of the largest others (5 kB each). */
    TLOG_NOTE_SIZE_MAX = 256 * 1024,
    /* The specification asks for at least 16. */
    TLOG_NOTE_SIGNATURES_MAX = 64,
    /* A time of 8 bytes and an Ed25519 signature. */
    TLOG_SIGNATURE_VALUE_MAX = 8 + CRYPTO_ED25519_SIGNATURE_SIZE,
};

/* The latest time of a cosignature (tlog-cosignature: "MUST NOT exceed 2^63 - 1"). */
#define TLOG_TIME_MAX INT64_MAX

struct tlog_note_signature {
    struct bytes name; /* borrows from the note */
    uint32_t id;
    size_t size; /* of the value; 0 where it is longer than those of the kinds known here */
    uint8_t value[TLOG_SIGNATURE_VALUE_MAX];
};

struct tlog_note {
    struct bytes text; /* borrows from the note; ends with a newline */
    size_t count;
    struct tlog_note_signature signatures[TLOG_NOTE_SIGNATURES_MAX];
};

/* Reads its form; nothing is verified. ERR_INVALID with a sentence, ERR_LIMIT above the caps. */
enum err tlog_note_parse(struct bytes note, struct tlog_note *out, struct err_text *why) MUST_USE;

enum tlog_signature_state {
    TLOG_SIGNATURE_ABSENT, /* no signature by this name and id */
    TLOG_SIGNATURE_GOOD,   /* all by this name and id verify */
    TLOG_SIGNATURE_WRONG,  /* one by this name and id does not */
};

/* What this one key says of the note. `out_time` (may be NULL) is set with GOOD: seconds since
 * 1970, the latest one where the key signed more than once; 0 for TLOG_KEY_ED25519. ERR_NO_MEMORY.
 */
enum err tlog_note_check(const struct tlog_note *note, const struct tlog_verifier *verifier,
                         enum tlog_signature_state *out_state, uint64_t *out_time) MUST_USE;

/* OK when at least one of the `count` known keys signed, and no signature of a known key is wrong;
 * signatures of others are ignored. Else ERR_DENIED. `out_good` (may be NULL, else `count` values)
 * says which did. */
enum err tlog_note_verify(const struct tlog_note *note, const struct tlog_verifier *known,
                          size_t count, bool *out_good, struct err_text *why) MUST_USE;

/* Appends one line: the signature over a text that ends with a newline. `time` is used by
 * TLOG_KEY_COSIGNATURE only, which the caller gives checkpoints only. ERR_INVALID when the text may
 * not be in a note, or is one that would be a cosignature's own message. */
enum err tlog_note_sign_line(struct bytes text, const struct tlog_signer *signer, uint64_t time,
                             struct buffer *out) MUST_USE;

/* Appends a whole note: the text, an empty line, one signature by each of `count` signers (at least
 * one, at most TLOG_NOTE_SIGNATURES_MAX). More lines may be appended later. */
enum err tlog_note_sign(struct bytes text, const struct tlog_signer *signers, size_t count,
                        uint64_t time, struct buffer *out) MUST_USE;

#endif
