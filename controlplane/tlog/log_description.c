#include "controlplane/tlog/log_description.h"

#include <stdio.h>

#include "base/conf/conf.h"
#include "base/file.h"
#include "controlplane/files/files.h"

enum { DOCUMENT_MAX = 256 << 10 };

enum err log_description_set_origin(struct log_description *d, struct err_text *why)
{
    int n = d->number == 1
                ? snprintf(d->origin, sizeof(d->origin), "%s", d->base)
                : snprintf(d->origin, sizeof(d->origin), "%s/%lld", d->base, (long long)d->number);
    struct tlog_verifier unused;
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE] = {0};
    bool fits =
        n > 0 && (size_t)n < sizeof(d->origin) &&
        tlog_verifier_init(bytes_of_string(d->origin), TLOG_KEY_ED25519, key, &unused) == OK;
    return fits ? OK
                : err_set(why, ERR_INVALID,
                          "\"%.64s\" cannot be the origin of a log: expected 1 to %d bytes without "
                          "spaces and plus signs",
                          d->base, LOG_ORIGIN_BASE_MAX);
}

static enum err read_key(const struct conf_node *item, struct log_description *d,
                         struct err_text *why)
{
    static const char *const names[] = {"key", "until", NULL};
    const char *text = NULL;
    if (d->known_count == LOG_KEYS_MAX) {
        return conf_fail(item, why, "expected at most %d keys", LOG_KEYS_MAX);
    }
    struct log_known *k = &d->known[d->known_count];
    enum err e = conf_check_keys(item, names, why);
    if (e == OK) {
        e = conf_require(item, "key", why);
    }
    if (e == OK) {
        e = conf_read_string(item, "key", &text, why);
    }
    if (e == OK) {
        e = tlog_verifier_parse(bytes_of_string(text), &k->verifier, why);
    }
    if (e == OK) {
        e = conf_read_integer(item, "until", "a time in nanoseconds", 0, INT64_MAX, &k->until_ns,
                              why);
    }
    d->known_count += e == OK ? 1 : 0;
    return e;
}

static enum err read_document(const struct conf_node *root, struct log_description *out,
                              struct err_text *why)
{
    static const char *const names[] = {"origin", "number", "keys", NULL};
    struct log_description d = {.number = 1};
    const struct conf_node *list = NULL;
    const char *base = NULL;
    enum err e = conf_check_keys(root, names, why);
    if (e == OK) {
        e = conf_require(root, "origin", why);
    }
    if (e == OK) {
        e = conf_read_string(root, "origin", &base, why);
    }
    if (e == OK) {
        e = conf_read_integer(root, "number", "the number of the log", 1, LOG_FORMER_MAX + 1,
                              &d.number, why);
    }
    if (e == OK) {
        e = conf_read_list(root, "keys", &list, why);
    }
    for (const struct conf_node *n = list == NULL ? NULL : conf_first(list); e == OK && n != NULL;
         n = conf_next(n)) {
        e = read_key(n, &d, why);
    }
    if (e == OK && strlen(base) > LOG_ORIGIN_BASE_MAX) {
        e = conf_fail(root, why, "expected an origin of at most %d bytes", LOG_ORIGIN_BASE_MAX);
    }
    if (e == OK) {
        (void)snprintf(d.base, sizeof(d.base), "%s", base);
        e = log_description_set_origin(&d, why);
    }
    if (e == OK) {
        *out = d;
    }
    return e;
}

enum err log_description_load(const char *path, struct log_description *out, struct err_text *why)
{
    struct buffer text;
    struct conf *conf = NULL;
    buffer_init(&text, DOCUMENT_MAX);
    enum err e = files_read(path, &text, why);
    if (e == OK) {
        e = conf_load_text(path, buffer_bytes(&text), &conf, why);
    }
    if (e == OK) {
        e = read_document(conf_root(conf), out, why);
    }
    conf_destroy(conf);
    buffer_finish(&text);
    return e;
}

/* Origins and keys have neither quotes nor spaces (tlog_verifier_init), but may have a backslash,
 * which single quotes leave alone. */
enum err log_description_store(const char *path, const struct log_description *d,
                               struct err_text *why)
{
    struct buffer text, key;
    buffer_init(&text, DOCUMENT_MAX);
    buffer_init(&key, TLOG_VERIFIER_TEXT_MAX + 1);
    enum err e = buffer_append_format(&text,
                                      "# The audit log's name and public keys; written by the "
                                      "control plane.\norigin: '%s'\nnumber: %lld\nkeys:\n",
                                      d->base, (long long)d->number);
    for (size_t i = 0; e == OK && i < d->known_count; i++) {
        buffer_clear(&key);
        e = tlog_verifier_format(&d->known[i].verifier, &key);
        if (e == OK) {
            struct bytes b = buffer_bytes(&key);
            e = buffer_append_format(&text, "  - {key: '%.*s', until: %lld}\n", (int)b.size,
                                     (const char *)b.data, (long long)d->known[i].until_ns);
        }
    }
    if (e == OK) {
        e = file_replace(path, 0644, buffer_bytes(&text), why);
    }
    buffer_finish(&text);
    buffer_finish(&key);
    return e;
}
