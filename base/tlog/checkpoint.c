#include "base/tlog/checkpoint.h"

#include "base/tlog/text.h"

static bool origin_is_good(struct bytes origin)
{
    return origin.size > 0 && origin.size <= TLOG_ORIGIN_MAX && text_is_clean(origin) &&
           memchr(origin.data, '\n', origin.size) == NULL;
}

static bool extensions_are_good(struct bytes extensions)
{
    struct bytes line;
    if (!text_is_clean(extensions)) {
        return false;
    }
    while (extensions.size > 0) {
        if (!text_take_line(&extensions, &line) || line.size == 0) {
            return false;
        }
    }
    return true;
}

enum err tlog_checkpoint_parse(struct bytes text, struct tlog_checkpoint *out, struct err_text *why)
{
    struct tlog_checkpoint parsed;
    struct bytes rest = text, size, root;
    if (!text_take_line(&rest, &parsed.origin) || !text_take_line(&rest, &size) ||
        !text_take_line(&rest, &root)) {
        return err_set(why, ERR_INVALID,
                       "a checkpoint has an origin, a size and a root, each on its line");
    }
    if (!origin_is_good(parsed.origin)) {
        return err_set(why, ERR_INVALID, "the checkpoint's origin is empty, too long or not text");
    }
    if (!text_to_number(size, TLOG_SIZE_MAX, &parsed.size)) {
        return err_set(why, ERR_INVALID,
                       "the checkpoint's size is not a decimal number of at most 2^%d",
                       (int)TLOG_LEVELS);
    }
    enum err e = text_to_hash(root, &parsed.root);
    if (e != OK) {
        return err_set(why, e, "the checkpoint's root is not base64 of 32 bytes");
    }
    if (!extensions_are_good(rest)) {
        return err_set(why, ERR_INVALID, "the checkpoint has an empty or unfinished line");
    }
    parsed.extensions = rest;
    *out = parsed;
    return OK;
}

enum err tlog_checkpoint_format(const struct tlog_checkpoint *checkpoint, struct buffer *out)
{
    if (!origin_is_good(checkpoint->origin) || checkpoint->size > TLOG_SIZE_MAX ||
        !extensions_are_good(checkpoint->extensions)) {
        return ERR_INVALID;
    }
    size_t before = buffer_size(out);
    enum err e = buffer_append(out, checkpoint->origin);
    if (e == OK) {
        e = buffer_append_format(out, "\n%llu\n", (unsigned long long)checkpoint->size);
    }
    if (e == OK) {
        e = text_put_hash(out, &checkpoint->root);
    }
    if (e == OK) {
        e = buffer_append(out, checkpoint->extensions);
    }
    if (e != OK) {
        text_take_back(out, before);
    }
    return e;
}

static bool is_same_party(const struct tlog_verifier *a, const struct tlog_verifier *b)
{
    return strcmp(a->name, b->name) == 0 ||
           memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0;
}

/* Whether witness `i` is one that was there before, or the log itself. */
static bool witness_is_double(const struct tlog_trust *trust, const bool *counted, size_t i)
{
    const struct tlog_verifier *witness = &trust->witnesses[i];
    for (size_t j = 0; j < i; j++) {
        if (counted[j] && is_same_party(witness, &trust->witnesses[j])) {
            return true;
        }
    }
    for (size_t j = 0; j < trust->log_count; j++) {
        if (memcmp(witness->public_key, trust->logs[j].public_key, sizeof(witness->public_key)) ==
            0) {
            return true;
        }
    }
    return false;
}

static bool keys_are_of(const struct tlog_verifier *keys, size_t count, enum tlog_key_type type)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].type != type) {
            return false;
        }
    }
    return true;
}

static enum err trust_check(const struct tlog_trust *trust, struct err_text *why)
{
    if (trust->origin == NULL || trust->log_count == 0 || trust->quorum > trust->witness_count ||
        trust->log_count > TLOG_NOTE_SIGNATURES_MAX ||
        trust->witness_count > TLOG_NOTE_SIGNATURES_MAX ||
        !keys_are_of(trust->logs, trust->log_count, TLOG_KEY_ED25519) ||
        !keys_are_of(trust->witnesses, trust->witness_count, TLOG_KEY_COSIGNATURE)) {
        return err_set(why, ERR_INVALID,
                       "the trusted keys are not an origin, keys of the log (type 1), and at least "
                       "as many keys of witnesses (type 4) as have to sign");
    }
    return OK;
}

static enum err seal_check(const struct tlog_note *note, const struct tlog_trust *trust,
                           struct tlog_checkpoint_seal *out, struct err_text *why)
{
    bool counted[TLOG_NOTE_SIGNATURES_MAX] = {false};
    struct tlog_checkpoint_seal seal = {.witnesses = 0};
    for (size_t i = 0; i < trust->witness_count; i++) {
        enum tlog_signature_state state;
        uint64_t time = 0;
        enum err e = tlog_note_check(note, &trust->witnesses[i], &state, &time);
        if (e == OK && state == TLOG_SIGNATURE_WRONG) {
            e = ERR_DENIED;
        }
        if (e != OK) {
            return err_set(why, e, "the cosignature of %s %s", trust->witnesses[i].name,
                           e == ERR_DENIED ? "is wrong" : "could not be checked");
        }
        if (state == TLOG_SIGNATURE_GOOD && !witness_is_double(trust, counted, i)) {
            counted[i] = true;
            seal.earliest = seal.witnesses == 0 || time < seal.earliest ? time : seal.earliest;
            seal.witnesses++;
        }
    }
    if (seal.witnesses < trust->quorum) {
        return err_set(why, ERR_DENIED, "%zu of the trusted witnesses signed it; expected %zu",
                       seal.witnesses, trust->quorum);
    }
    *out = seal;
    return OK;
}

enum err tlog_checkpoint_open(struct bytes note, const struct tlog_trust *trust,
                              struct tlog_checkpoint *out, struct tlog_checkpoint_seal *out_seal,
                              struct err_text *why)
{
    struct tlog_note parsed = {.count = 0};
    struct tlog_checkpoint checkpoint = {.size = 0};
    struct tlog_checkpoint_seal seal = {.witnesses = 0};
    enum err e = trust_check(trust, why);
    if (e == OK) {
        e = tlog_note_parse(note, &parsed, why);
    }
    if (e == OK) {
        e = tlog_note_verify(&parsed, trust->logs, trust->log_count, NULL, why);
    }
    if (e == OK) {
        e = seal_check(&parsed, trust, &seal, why);
    }
    if (e == OK) {
        e = tlog_checkpoint_parse(parsed.text, &checkpoint, why);
    }
    /* A key may sign for more than one log. */
    if (e == OK && !bytes_equal_string(checkpoint.origin, trust->origin)) {
        e = err_set(why, ERR_DENIED, "the checkpoint is of another log than %s", trust->origin);
    }
    if (e == OK) {
        *out = checkpoint;
        if (out_seal != NULL) {
            *out_seal = seal;
        }
    }
    return e;
}
