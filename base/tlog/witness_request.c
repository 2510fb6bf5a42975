#include "base/tlog/witness_request.h"

#include "base/tlog/text.h"

#define OLD "old "

enum err tlog_witness_request_parse(struct bytes body, struct tlog_witness_request *out,
                                    struct err_text *why)
{
    struct tlog_witness_request parsed;
    struct bytes rest = body, line = {0};
    size_t start = strlen(OLD);
    if (body.size > TLOG_WITNESS_REQUEST_MAX) {
        return err_set(why, ERR_LIMIT, "the request has more than %d bytes",
                       (int)TLOG_WITNESS_REQUEST_MAX);
    }
    if (!text_take_line(&rest, &line) || !text_has_prefix(line, OLD) ||
        !text_to_number(bytes_of(line.data + start, line.size - start), TLOG_SIZE_MAX,
                        &parsed.old_size)) {
        return err_set(why, ERR_INVALID,
                       "the first line is not \"old\" and a tree's size of at most 2^%d",
                       (int)TLOG_LEVELS);
    }
    enum err e = text_take_proof(&rest, "request", &parsed.proof, why);
    if (e == OK && (rest.size == 0 || rest.size > TLOG_NOTE_SIZE_MAX)) {
        e = err_set(why, ERR_INVALID, "the checkpoint has no bytes or more than %d",
                    (int)TLOG_NOTE_SIZE_MAX);
    }
    if (e == OK) {
        parsed.note = rest;
        *out = parsed;
    }
    return e;
}

enum err tlog_witness_request_format(const struct tlog_witness_request *request, struct buffer *out)
{
    if (request->old_size > TLOG_SIZE_MAX || request->proof.count > TLOG_PROOF_MAX ||
        request->note.size == 0 || request->note.size > TLOG_NOTE_SIZE_MAX) {
        return ERR_LIMIT;
    }
    size_t before = buffer_size(out);
    enum err e = buffer_append_format(out, OLD "%llu\n", (unsigned long long)request->old_size);
    for (size_t i = 0; i < request->proof.count && e == OK; i++) {
        e = text_put_hash(out, &request->proof.hashes[i]);
    }
    if (e == OK) {
        e = buffer_append_string(out, "\n");
    }
    if (e == OK) {
        e = buffer_append(out, request->note);
    }
    if (e != OK) {
        text_take_back(out, before);
    }
    return e;
}

enum err tlog_witness_size_parse(struct bytes body, uint64_t *out)
{
    struct bytes rest = body, line;
    bool good =
        text_take_line(&rest, &line) && rest.size == 0 && text_to_number(line, TLOG_SIZE_MAX, out);
    return good ? OK : ERR_INVALID;
}

enum err tlog_witness_size_format(uint64_t size, struct buffer *out)
{
    return size > TLOG_SIZE_MAX ? ERR_LIMIT
                                : buffer_append_format(out, "%llu\n", (unsigned long long)size);
}

/* The text with only the answer's lines below it. */
static enum err answer_join(struct bytes body, struct bytes text, struct buffer *out,
                            struct err_text *why)
{
    enum err e = buffer_append(out, text);
    if (e == OK) {
        e = buffer_append_string(out, "\n");
    }
    if (e == OK) {
        e = buffer_append(out, body);
    }
    return e == OK ? OK : err_set(why, e, "the answer does not fit");
}

/* The line of the key, with its newline: `joined` is what the note was read from. */
static struct bytes line_of(const struct tlog_note *note, struct bytes joined,
                            const struct tlog_verifier *witness)
{
    for (size_t i = 0; i < note->count; i++) {
        const struct tlog_note_signature *s = &note->signatures[i];
        if (s->id == witness->id && bytes_equal_string(s->name, witness->name)) {
            const uint8_t *start = s->name.data - strlen("\xe2\x80\x94 ");
            struct bytes rest = bytes_of(start, joined.size - (size_t)(start - joined.data)), line;
            return text_take_line(&rest, &line) ? bytes_of(start, line.size + 1)
                                                : (struct bytes){0};
        }
    }
    return (struct bytes){0};
}

static enum err answer_check(struct bytes joined, struct bytes text,
                             const struct tlog_verifier *witness, struct bytes *out_line,
                             uint64_t *out_time, struct err_text *why)
{
    struct tlog_note parsed = {.count = 0};
    enum tlog_signature_state state = TLOG_SIGNATURE_ABSENT;
    uint64_t time = 0;
    enum err e = tlog_note_parse(joined, &parsed, why);
    if (e != OK) {
        return e;
    }
    /* An empty line in the answer would make what is above it a part of the text. */
    if (!bytes_equal(parsed.text, text)) {
        return err_set(why, ERR_INVALID, "the answer has more than signature lines");
    }
    e = tlog_note_check(&parsed, witness, &state, &time);
    if (e != OK) {
        return err_set(why, e, "the cosignature could not be checked");
    }
    if (state != TLOG_SIGNATURE_GOOD) {
        return err_set(why, ERR_DENIED, "the answer has %s of %s on this checkpoint",
                       state == TLOG_SIGNATURE_WRONG ? "a wrong signature" : "no signature",
                       witness->name);
    }
    *out_line = line_of(&parsed, joined, witness);
    *out_time = time;
    return OK;
}

enum err tlog_witness_answer_take(struct bytes body, struct bytes note,
                                  const struct tlog_verifier *witness, struct buffer *out_line,
                                  uint64_t *out_time, struct err_text *why)
{
    struct tlog_note submitted = {.count = 0};
    struct buffer joined;
    struct bytes line = {0};
    uint64_t time = 0;
    if (body.size == 0 || body.size > TLOG_WITNESS_ANSWER_MAX) {
        return err_set(why, ERR_INVALID, "the answer has no bytes or more than %d",
                       (int)TLOG_WITNESS_ANSWER_MAX);
    }
    buffer_init(&joined, TLOG_NOTE_SIZE_MAX);
    enum err e = tlog_note_parse(note, &submitted, why);
    if (e == OK) {
        e = answer_join(body, submitted.text, &joined, why);
    }
    if (e == OK) {
        e = answer_check(buffer_bytes(&joined), submitted.text, witness, &line, &time, why);
    }
    if (e == OK && (e = buffer_append(out_line, line)) != OK) {
        e = err_set(why, e, "the answer does not fit");
    }
    if (e == OK) {
        *out_time = time;
    }
    buffer_finish(&joined);
    return e;
}
