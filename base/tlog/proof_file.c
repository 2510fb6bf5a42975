#include "base/tlog/proof_file.h"

#include "base/tlog/text.h"

#define FIRST_LINE "c2sp.org/tlog-proof@v1"

static struct bytes line_after(struct bytes line, const char *prefix)
{
    size_t size = strlen(prefix);
    return bytes_of(line.data + size, line.size - size);
}

static enum err extra_parse(struct bytes base64, struct buffer *out, struct err_text *why)
{
    struct buffer extra;
    buffer_init(&extra, TLOG_PROOF_EXTRA_MAX);
    /* No data has one spelling: no line. */
    enum err e = base64.size == 0 ? ERR_INVALID : crypto_base64_decode(base64, &extra);
    if (e != OK) {
        e = err_set(why, e, "the extra data is not base64 of 1 to %d bytes",
                    (int)TLOG_PROOF_EXTRA_MAX);
    } else if (out != NULL && (e = buffer_append(out, buffer_bytes(&extra))) != OK) {
        e = err_set(why, e, "the extra data does not fit");
    }
    buffer_finish(&extra);
    return e;
}

enum err tlog_proof_file_parse(struct bytes file, struct tlog_proof_file *out,
                               struct buffer *out_extra, struct err_text *why)
{
    struct tlog_proof_file parsed;
    struct bytes rest = file, line, extra = {0};
    bool has_extra = false;
    if (file.size > TLOG_PROOF_FILE_MAX) {
        return err_set(why, ERR_LIMIT, "the proof has more than %d bytes",
                       (int)TLOG_PROOF_FILE_MAX);
    }
    if (!text_take_line(&rest, &line) || !bytes_equal_string(line, FIRST_LINE)) {
        return err_set(why, ERR_INVALID, "the first line is not " FIRST_LINE);
    }
    bool more = text_take_line(&rest, &line);
    if (more && text_has_prefix(line, "extra ")) {
        has_extra = true;
        extra = line_after(line, "extra ");
        more = text_take_line(&rest, &line);
    }
    if (!more || !text_has_prefix(line, "index ") ||
        !text_to_number(line_after(line, "index "), TLOG_SIZE_MAX - 1, &parsed.index)) {
        return err_set(why, ERR_INVALID, "there is no line \"index\" with a number below 2^%d",
                       (int)TLOG_LEVELS);
    }
    enum err e = text_take_proof(&rest, "proof", &parsed.proof, why);
    if (e == OK && (rest.size == 0 || rest.size > TLOG_NOTE_SIZE_MAX)) {
        e = err_set(why, ERR_INVALID, "the proof's checkpoint has no bytes or more than %d",
                    (int)TLOG_NOTE_SIZE_MAX);
    }
    if (e == OK && has_extra) {
        e = extra_parse(extra, out_extra, why);
    }
    if (e == OK) {
        parsed.note = rest;
        *out = parsed;
    }
    return e;
}

static enum err extra_format(struct bytes extra, struct buffer *out)
{
    enum err e = buffer_append_string(out, "extra ");
    if (e == OK) {
        e = crypto_base64_encode(extra, out);
    }
    return e == OK ? buffer_append_string(out, "\n") : e;
}

enum err tlog_proof_file_format(const struct tlog_proof_file *proof, struct bytes extra,
                                struct buffer *out)
{
    if (proof->proof.count > TLOG_PROOF_MAX || proof->index >= TLOG_SIZE_MAX ||
        extra.size > TLOG_PROOF_EXTRA_MAX || proof->note.size == 0 ||
        proof->note.size > TLOG_NOTE_SIZE_MAX) {
        return ERR_LIMIT;
    }
    size_t before = buffer_size(out);
    enum err e = buffer_append_string(out, FIRST_LINE "\n");
    if (e == OK && extra.size > 0) {
        e = extra_format(extra, out);
    }
    if (e == OK) {
        e = buffer_append_format(out, "index %llu\n", (unsigned long long)proof->index);
    }
    for (size_t i = 0; i < proof->proof.count && e == OK; i++) {
        e = text_put_hash(out, &proof->proof.hashes[i]);
    }
    if (e == OK) {
        e = buffer_append_string(out, "\n");
    }
    if (e == OK) {
        e = buffer_append(out, proof->note);
    }
    if (e != OK) {
        text_take_back(out, before);
    }
    return e;
}

enum err tlog_proof_file_check(struct bytes file, struct bytes record,
                               const struct tlog_trust *trust, uint64_t *out_index,
                               struct tlog_checkpoint *out_checkpoint, struct err_text *why)
{
    struct tlog_proof_file proof = {.index = 0};
    struct tlog_checkpoint checkpoint = {.size = 0};
    struct tlog_hash leaf;
    enum err e = tlog_proof_file_parse(file, &proof, NULL, why);
    if (e == OK) {
        e = tlog_checkpoint_open(proof.note, trust, &checkpoint, NULL, why);
    }
    if (e != OK) {
        return e;
    }
    tlog_hash_leaf(record, &leaf);
    if (!tlog_tree_check_inclusion(&proof.proof, checkpoint.size, proof.index, &leaf,
                                   &checkpoint.root)) {
        return err_set(why, ERR_DENIED,
                       "the record is not entry %llu of the tree of %llu that was signed",
                       (unsigned long long)proof.index, (unsigned long long)checkpoint.size);
    }
    if (out_index != NULL) {
        *out_index = proof.index;
    }
    if (out_checkpoint != NULL) {
        *out_checkpoint = checkpoint;
    }
    return OK;
}
