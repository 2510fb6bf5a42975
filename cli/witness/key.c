#include "cli/witness/key.h"

#include <stdlib.h>

#include "base/file.h"
#include "cli/text_file.h"
#include "cli/witness/memory.h"

#define KEY_FILE "key.pem"
#define PUBLIC_FILE "witness.pub"

static struct bytes without_newline(struct bytes text)
{
    bool has_one = text.data != NULL && text.size > 0 && text.data[text.size - 1] == '\n';
    return bytes_of(text.data, text.size - (has_one ? 1 : 0));
}

static enum err public_read(const char *path, struct tlog_verifier *out, struct err_text *why)
{
    struct err_text reason = {.text = ""};
    struct buffer file;
    enum err e = text_file_read(path, TLOG_VERIFIER_TEXT_MAX + 1, &file, why);
    if (e == OK && tlog_verifier_parse(without_newline(buffer_bytes(&file)), out, &reason) != OK) {
        e = err_set(why, ERR_DENIED, "%.200s is damaged: %.200s", path, reason.text);
    }
    buffer_finish(&file);
    return e;
}

enum err witness_key_show(const char *directory, struct tlog_verifier *out, struct err_text *why)
{
    char *path = memory_path(directory, PUBLIC_FILE);
    enum err e =
        path == NULL ? err_set(why, ERR_NO_MEMORY, "memory is short") : public_read(path, out, why);
    free(path);
    return e;
}

static enum err public_write(const char *path, const struct tlog_verifier *verifier,
                             struct err_text *why)
{
    struct buffer text;
    buffer_init(&text, TLOG_VERIFIER_TEXT_MAX + 1);
    enum err e = tlog_verifier_format(verifier, &text);
    if (e == OK) {
        e = buffer_append_string(&text, "\n");
    }
    e = e == OK ? file_replace(path, 0644, buffer_bytes(&text), why)
                : err_set(why, e, "memory is short");
    buffer_finish(&text);
    return e;
}

/* A first start, or one that goes on with a first one that was ended in its middle. */
static enum err make(const char *key_path, const char *public_path, const char *name,
                     struct witness_key *out, struct err_text *why)
{
    if (name == NULL) {
        return err_set(why, ERR_INVALID,
                       "--name NAME is needed at the first start: it is the witness's for good");
    }
    enum err e = crypto_ed25519_load_or_make(key_path, &out->key, why);
    if (e == OK && tlog_signer_init(bytes_of_string(name), TLOG_KEY_COSIGNATURE, out->key,
                                    &out->signer) != OK) {
        e = err_set(why, ERR_INVALID,
                    "--name: expected 1 to %d bytes without spaces and plus, such as "
                    "witness.example/w1",
                    (int)TLOG_NAME_MAX);
    }
    return e == OK ? public_write(public_path, &out->signer.verifier, why) : e;
}

static enum err load(const char *key_path, const struct tlog_verifier *known, const char *name,
                     struct witness_key *out, struct err_text *why)
{
    if (name != NULL && strcmp(name, known->name) != 0) {
        return err_set(why, ERR_INVALID,
                       "this witness has the name %.200s; another name needs another directory",
                       known->name);
    }
    enum err e = crypto_ed25519_load(key_path, &out->key, why);
    if (e == OK) {
        e = tlog_signer_init(bytes_of_string(known->name), TLOG_KEY_COSIGNATURE, out->key,
                             &out->signer);
    }
    if (e == OK && (known->type != TLOG_KEY_COSIGNATURE ||
                    memcmp(known->public_key, out->signer.verifier.public_key,
                           sizeof(known->public_key)) != 0)) {
        e = err_set(why, ERR_DENIED, "%s is not the key of " PUBLIC_FILE " beside it", key_path);
    }
    return e;
}

enum err witness_key_open(const char *directory, const char *name, struct witness_key *out,
                          struct err_text *why)
{
    struct witness_key opened = {.key = NULL};
    struct tlog_verifier known;
    char *key_path = memory_path(directory, KEY_FILE);
    char *public_path = memory_path(directory, PUBLIC_FILE);
    enum err e = key_path == NULL || public_path == NULL
                     ? err_set(why, ERR_NO_MEMORY, "memory is short")
                     : public_read(public_path, &known, why);
    if (e == ERR_NOT_FOUND) {
        e = make(key_path, public_path, name, &opened, why);
    } else if (e == OK) {
        e = load(key_path, &known, name, &opened, why);
    }
    if (e == OK) {
        *out = opened;
    } else {
        witness_key_finish(&opened);
    }
    free(key_path);
    free(public_path);
    return e;
}

void witness_key_finish(struct witness_key *key)
{
    crypto_ed25519_destroy(key->key);
    key->key = NULL;
}
