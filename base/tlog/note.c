#include "base/tlog/note.h"

#include "base/cursor.h"
#include "base/tlog/text.h"
#include "base/writer.h"

#define EM_DASH "\xe2\x80\x94"
#define COSIGNATURE_HEADER "cosignature/v1\n"

enum {
    KEY_ID_SIZE = 4,
    /* "time " and 19 digits and a newline. */
    COSIGNATURE_ROOM = sizeof(COSIGNATURE_HEADER) + 32,
};

/* The last empty line ends the text (signed-note, "Format"). */
static bool note_split(struct bytes note, struct bytes *out_text, struct bytes *out_lines)
{
    for (size_t i = note.size; i >= 2; i--) {
        if (note.data[i - 1] == '\n' && note.data[i - 2] == '\n') {
            *out_text = bytes_of(note.data, i - 1);
            *out_lines = bytes_of(note.data + i, note.size - i);
            return true;
        }
    }
    return false;
}

/* "— name base64": `decoded` is scratch. */
static enum err line_parse(struct bytes line, struct buffer *decoded,
                           struct tlog_note_signature *out, struct err_text *why)
{
    static const char start[] = EM_DASH " ";
    struct bytes name = {0};
    const uint8_t *space = NULL;
    if (text_has_prefix(line, start)) {
        line = bytes_of(line.data + sizeof(start) - 1, line.size - (sizeof(start) - 1));
        space = line.size == 0 ? NULL : memchr(line.data, ' ', line.size);
    }
    if (space != NULL) {
        name = bytes_of(line.data, (size_t)(space - line.data));
        line = bytes_of(space + 1, line.size - name.size - 1);
    }
    if (!text_is_name(name, TLOG_NAME_MAX)) {
        return err_set(why, ERR_INVALID,
                       "a signature line is not of the form \"" EM_DASH " name base64\"");
    }
    buffer_clear(decoded);
    enum err e = crypto_base64_decode(line, decoded);
    struct bytes value = buffer_bytes(decoded);
    if (e == OK && (value.data == NULL || value.size <= KEY_ID_SIZE)) {
        e = ERR_INVALID;
    }
    if (e != OK) {
        return err_set(why, e, "a signature is not base64 of a key id and a signature");
    }
    struct cursor c = cursor_of(value);
    out->name = name;
    out->id = cursor_read_u32(&c);
    out->size = c.remaining <= TLOG_SIGNATURE_VALUE_MAX ? c.remaining : 0;
    memcpy(out->value, c.at, out->size);
    return OK;
}

static enum err lines_parse(struct bytes lines, struct tlog_note *note, struct err_text *why)
{
    struct buffer decoded;
    struct bytes line;
    buffer_init(&decoded, TLOG_NOTE_SIZE_MAX);
    enum err e = OK;
    while (e == OK && lines.size > 0) {
        if (!text_take_line(&lines, &line)) {
            e = err_set(why, ERR_INVALID, "the note does not end with a newline");
        } else if (note->count == TLOG_NOTE_SIGNATURES_MAX) {
            e = err_set(why, ERR_LIMIT, "the note has more than %d signatures",
                        (int)TLOG_NOTE_SIGNATURES_MAX);
        } else {
            e = line_parse(line, &decoded, &note->signatures[note->count], why);
            note->count++;
        }
    }
    buffer_finish(&decoded);
    return e;
}

enum err tlog_note_parse(struct bytes note, struct tlog_note *out, struct err_text *why)
{
    struct tlog_note parsed = {.count = 0};
    struct bytes lines;
    if (note.size > TLOG_NOTE_SIZE_MAX) {
        return err_set(why, ERR_LIMIT, "the note has more than %d bytes", (int)TLOG_NOTE_SIZE_MAX);
    }
    if (!text_is_clean(note)) {
        return err_set(why, ERR_INVALID, "the note is not UTF-8, or has control characters");
    }
    if (!note_split(note, &parsed.text, &lines) || lines.size == 0) {
        return err_set(why, ERR_INVALID, "the note has no signatures after an empty line");
    }
    enum err e = lines_parse(lines, &parsed, why);
    if (e == OK) {
        *out = parsed;
    }
    return e;
}

/* The message of a cosignature (tlog-cosignature, "Ed25519 signed message"). */
static enum err cosignature_message(struct bytes text, uint64_t time, struct buffer *out)
{
    enum err e =
        buffer_append_format(out, COSIGNATURE_HEADER "time %llu\n", (unsigned long long)time);
    return e == OK ? buffer_append(out, text) : e;
}

static enum err cosignature_is_good(const struct tlog_note *note,
                                    const struct tlog_note_signature *signature,
                                    const struct tlog_verifier *verifier, bool *out_good,
                                    uint64_t *out_time)
{
    struct cursor c = cursor_of(bytes_of(signature->value, signature->size));
    uint64_t time = cursor_read_u64(&c);
    if (c.failed || c.remaining != CRYPTO_ED25519_SIGNATURE_SIZE || time > TLOG_TIME_MAX) {
        *out_good = false;
        return OK;
    }
    struct buffer message;
    buffer_init(&message, note->text.size + COSIGNATURE_ROOM);
    enum err e = cosignature_message(note->text, time, &message);
    if (e == OK) {
        *out_good =
            crypto_ed25519_verify(bytes_of(verifier->public_key, sizeof(verifier->public_key)),
                                  buffer_bytes(&message), bytes_of(c.at, c.remaining));
        *out_time = time;
    }
    buffer_finish(&message);
    return e;
}

enum err tlog_note_check(const struct tlog_note *note, const struct tlog_verifier *verifier,
                         enum tlog_signature_state *out_state, uint64_t *out_time)
{
    enum tlog_signature_state state = TLOG_SIGNATURE_ABSENT;
    uint64_t latest = 0;
    for (size_t i = 0; i < note->count && state != TLOG_SIGNATURE_WRONG; i++) {
        const struct tlog_note_signature *signature = &note->signatures[i];
        bool good = false;
        uint64_t time = 0;
        if (signature->id != verifier->id || !bytes_equal_string(signature->name, verifier->name)) {
            continue;
        }
        if (verifier->type == TLOG_KEY_COSIGNATURE) {
            enum err e = cosignature_is_good(note, signature, verifier, &good, &time);
            if (e != OK) {
                return e;
            }
        } else if (verifier->type == TLOG_KEY_ED25519) {
            good =
                crypto_ed25519_verify(bytes_of(verifier->public_key, sizeof(verifier->public_key)),
                                      note->text, bytes_of(signature->value, signature->size));
        }
        state = good ? TLOG_SIGNATURE_GOOD : TLOG_SIGNATURE_WRONG;
        latest = time > latest ? time : latest;
    }
    *out_state = state;
    if (state == TLOG_SIGNATURE_GOOD && out_time != NULL) {
        *out_time = latest;
    }
    return OK;
}

enum err tlog_note_verify(const struct tlog_note *note, const struct tlog_verifier *known,
                          size_t count, bool *out_good, struct err_text *why)
{
    bool good[TLOG_NOTE_SIGNATURES_MAX];
    size_t sum = 0;
    if (count > TLOG_NOTE_SIGNATURES_MAX) {
        return err_set(why, ERR_LIMIT, "more than %d keys are known",
                       (int)TLOG_NOTE_SIGNATURES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        enum tlog_signature_state state;
        enum err e = tlog_note_check(note, &known[i], &state, NULL);
        if (e == OK && state == TLOG_SIGNATURE_WRONG) {
            e = ERR_DENIED;
        }
        if (e != OK) {
            return err_set(why, e, "the signature of %s %s", known[i].name,
                           e == ERR_DENIED ? "is wrong" : "could not be checked");
        }
        good[i] = state == TLOG_SIGNATURE_GOOD;
        sum += good[i];
    }
    if (sum == 0) {
        return err_set(why, ERR_DENIED, "none of the known keys signed it");
    }
    if (out_good != NULL) {
        memcpy(out_good, good, count * sizeof(good[0]));
    }
    return OK;
}

static bool text_may_be_signed(struct bytes text, const struct tlog_signer *signer)
{
    /* A key of both kinds would otherwise make a cosignature of a text that looks like one. */
    bool is_disguised =
        signer->verifier.type == TLOG_KEY_ED25519 && text_has_prefix(text, COSIGNATURE_HEADER);
    return text.size > 0 && text.size < TLOG_NOTE_SIZE_MAX && text.data[text.size - 1] == '\n' &&
           text_is_clean(text) && !is_disguised;
}

/* Key id, time where there is one, signature. */
static enum err signature_make(struct bytes text, const struct tlog_signer *signer, uint64_t time,
                               struct buffer *out)
{
    struct buffer message;
    buffer_init(&message, text.size + COSIGNATURE_ROOM);
    struct writer w = writer_start(out);
    uint8_t value[CRYPTO_ED25519_SIGNATURE_SIZE];
    struct bytes signed_bytes = text;
    enum err e = OK;
    writer_put_u32(&w, signer->verifier.id);
    if (signer->verifier.type == TLOG_KEY_COSIGNATURE) {
        writer_put_u32(&w, (uint32_t)(time >> 32));
        writer_put_u32(&w, (uint32_t)time);
        e = cosignature_message(text, time, &message);
        signed_bytes = buffer_bytes(&message);
    }
    if (e == OK) {
        e = crypto_ed25519_sign(signer->key, signed_bytes, value);
    }
    if (e == OK) {
        writer_put_bytes(&w, bytes_of(value, sizeof(value)));
        e = writer_finish(&w);
    }
    buffer_finish(&message);
    return e;
}

enum err tlog_note_sign_line(struct bytes text, const struct tlog_signer *signer, uint64_t time,
                             struct buffer *out)
{
    bool is_known =
        signer->verifier.type == TLOG_KEY_ED25519 || signer->verifier.type == TLOG_KEY_COSIGNATURE;
    if (!is_known || !text_may_be_signed(text, signer) || time > TLOG_TIME_MAX) {
        return ERR_INVALID;
    }
    struct buffer signature;
    buffer_init(&signature, KEY_ID_SIZE + TLOG_SIGNATURE_VALUE_MAX);
    size_t before = buffer_size(out);
    enum err e = signature_make(text, signer, time, &signature);
    if (e == OK) {
        e = buffer_append_format(out, EM_DASH " %s ", signer->verifier.name);
    }
    if (e == OK) {
        e = crypto_base64_encode(buffer_bytes(&signature), out);
    }
    if (e == OK) {
        e = buffer_append_string(out, "\n");
    }
    if (e != OK) {
        text_take_back(out, before);
    }
    buffer_finish(&signature);
    return e;
}

enum err tlog_note_sign(struct bytes text, const struct tlog_signer *signers, size_t count,
                        uint64_t time, struct buffer *out)
{
    if (count == 0 || count > TLOG_NOTE_SIGNATURES_MAX) {
        return ERR_INVALID;
    }
    size_t before = buffer_size(out);
    enum err e = buffer_append(out, text);
    if (e == OK) {
        e = buffer_append_string(out, "\n");
    }
    for (size_t i = 0; i < count && e == OK; i++) {
        e = tlog_note_sign_line(text, &signers[i], time, out);
    }
    if (e != OK) {
        text_take_back(out, before);
    }
    return e;
}
