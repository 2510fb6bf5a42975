#include "controlplane/tlog/log_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/files/files.h"
#include "controlplane/tlog/log_description.h"

struct log_keys {
    char *key_path, *previous_path, *document_path; /* owned */
    int64_t overlap_ns;
    struct clock clock;
    struct log_description is;
    struct tlog_verifier ordered[LOG_KEYS_MAX]; /* the one that signs now first */
    struct crypto_ed25519 *key, *previous;      /* owned; previous may be NULL */
    struct timespec changed[3];
};

/* --- the keys ----------------------------------------------------------------------------------
 */

static enum err make_verifier(const struct log_description *d, const struct crypto_ed25519 *key,
                              struct tlog_verifier *out)
{
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE];
    crypto_ed25519_public(key, public_key);
    return tlog_verifier_init(bytes_of_string(d->origin), TLOG_KEY_ED25519, public_key, out);
}

static struct log_known *find_known(struct log_description *d, const struct tlog_verifier *v)
{
    for (size_t i = 0; i < d->known_count; i++) {
        if (d->known[i].verifier.id == v->id &&
            memcmp(d->known[i].verifier.public_key, v->public_key, sizeof(v->public_key)) == 0 &&
            strcmp(d->known[i].verifier.name, v->name) == 0) {
            return &d->known[i];
        }
    }
    return NULL;
}

/* A key that is not in the list yet is new: those before it have their time left. */
static enum err add_known(struct log_description *d, const struct crypto_ed25519 *key,
                          int64_t until_ns, bool *out_added, struct err_text *why)
{
    struct tlog_verifier v;
    enum err e = make_verifier(d, key, &v);
    if (e != OK || find_known(d, &v) != NULL) {
        return e;
    }
    if (d->known_count == LOG_KEYS_MAX) {
        return err_set(why, ERR_LIMIT, "the log knows %d keys; no more can be added", LOG_KEYS_MAX);
    }
    for (size_t i = 0; i < d->known_count; i++) {
        d->known[i].until_ns = d->known[i].until_ns == 0 ? until_ns : d->known[i].until_ns;
    }
    d->known[d->known_count++] = (struct log_known){.verifier = v};
    *out_added = true;
    return OK;
}

static void put_in_order(struct log_keys *k)
{
    struct tlog_verifier now = {.name = ""};
    size_t n = 0;
    memset(k->ordered, 0, sizeof(k->ordered));
    if (make_verifier(&k->is, k->key, &now) == OK) {
        k->ordered[n++] = now;
    }
    for (size_t i = k->is.known_count; i > 0; i--) {
        const struct tlog_verifier *v = &k->is.known[i - 1].verifier;
        bool is_now = memcmp(v->public_key, now.public_key, sizeof(now.public_key)) == 0;
        /* Keys of a log that was ended have its name: they are not this one's. */
        if (!is_now && strcmp(v->name, k->is.origin) == 0 && n < LOG_KEYS_MAX) {
            k->ordered[n++] = *v;
        }
    }
}

/* --- reading all of it -------------------------------------------------------------------------
 */

static void read_changes(const struct log_keys *k, struct timespec out[3])
{
    const char *const paths[] = {k->key_path, k->previous_path, k->document_path};
    for (size_t i = 0; i < 3; i++) {
        struct stat s;
        out[i] = stat(paths[i], &s) == 0 ? s.st_mtim : (struct timespec){.tv_sec = 0};
    }
}

static enum err load_description(const struct log_keys *k, const struct log_keys_options *options,
                                 struct log_description *out, bool *out_is_new,
                                 struct err_text *why)
{
    enum err e = log_description_load(k->document_path, out, why);
    *out_is_new = e == ERR_NOT_FOUND;
    if (e != ERR_NOT_FOUND) {
        return e;
    }
    const char *base = options->origin == NULL ? options->fallback : options->origin;
    *out = (struct log_description){.number = 1};
    if (strlen(base) > LOG_ORIGIN_BASE_MAX || strchr(base, '\'') != NULL) {
        return err_set(why, ERR_INVALID, "\"%.64s\" cannot be the origin of a log", base);
    }
    (void)snprintf(out->base, sizeof(out->base), "%s", base);
    return log_description_set_origin(out, why);
}

static enum err load_all(struct log_keys *k, const struct log_keys_options *options,
                         struct err_text *why)
{
    struct log_description d;
    struct crypto_ed25519 *key = NULL, *previous = NULL;
    bool changed = false;
    struct timespec changes[3];
    read_changes(k, changes);
    enum err e = load_description(k, options, &d, &changed, why);
    if (e == OK && options->origin != NULL && strcmp(options->origin, d.base) != 0) {
        e = err_set(why, ERR_INVALID,
                    "the audit log's origin is \"%s\" since it began and cannot become \"%.64s\"",
                    d.base, options->origin);
    }
    if (e == OK) {
        e = crypto_ed25519_load_or_make(k->key_path, &key, why);
    }
    if (e == OK) {
        e = crypto_ed25519_load(k->previous_path, &previous, why);
        e = e == ERR_NOT_FOUND ? OK : e;
    }
    if (e == OK) {
        e = add_known(&d, key, clock_wall(&k->clock) + k->overlap_ns, &changed, why);
    }
    if (e == OK && changed) {
        e = log_description_store(k->document_path, &d, why);
        read_changes(k, changes);
    }
    if (e != OK) {
        crypto_ed25519_destroy(key);
        crypto_ed25519_destroy(previous);
        return e;
    }
    crypto_ed25519_destroy(k->key);
    crypto_ed25519_destroy(k->previous);
    k->key = key;
    k->previous = previous;
    k->is = d;
    memcpy(k->changed, changes, sizeof(changes));
    put_in_order(k);
    return OK;
}

enum err log_keys_open(const struct log_keys_options *options, struct log_keys **out,
                       struct err_text *why)
{
    struct log_keys *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return ERR_NO_MEMORY;
    }
    k->key_path = files_join(options->data, "log.key");
    k->previous_path = files_join(options->data, "log.key.previous");
    k->document_path = files_join(options->data, "log.yaml");
    k->overlap_ns = options->overlap_ns;
    k->clock = options->clock;
    bool fits = k->key_path != NULL && k->previous_path != NULL && k->document_path != NULL;
    enum err e = fits ? load_all(k, options, why) : ERR_NO_MEMORY;
    if (e != OK) {
        log_keys_close(k);
        return e;
    }
    *out = k;
    return OK;
}

void log_keys_close(struct log_keys *keys)
{
    if (keys != NULL) {
        crypto_ed25519_destroy(keys->key);
        crypto_ed25519_destroy(keys->previous);
        free(keys->key_path);
        free(keys->previous_path);
        free(keys->document_path);
        free(keys);
    }
}

enum err log_keys_refresh(struct log_keys *keys, bool *out_changed, struct err_text *why)
{
    struct timespec now[3];
    read_changes(keys, now);
    bool changed = memcmp(now, keys->changed, sizeof(now)) != 0;
    char base[LOG_ORIGIN_BASE_MAX + 1];
    memcpy(base, keys->is.base, sizeof(base));
    const struct log_keys_options options = {.origin = base};
    enum err e = changed ? load_all(keys, &options, why) : OK;
    if (e == OK) {
        *out_changed = changed;
    }
    return e;
}

/* --- what is known -----------------------------------------------------------------------------
 */

const char *log_keys_origin(const struct log_keys *keys)
{
    return keys->is.origin;
}

const struct tlog_verifier *log_keys_known(const struct log_keys *keys, size_t *out_count)
{
    size_t n = 0;
    while (n < LOG_KEYS_MAX && keys->ordered[n].name[0] != '\0') {
        n++;
    }
    *out_count = n;
    return keys->ordered;
}

size_t log_keys_signers(const struct log_keys *keys, int64_t now_ns,
                        struct tlog_signer out[LOG_SIGNERS_MAX])
{
    struct bytes name = bytes_of_string(keys->is.origin);
    size_t n = 0;
    n += tlog_signer_init(name, TLOG_KEY_ED25519, keys->key, &out[n]) == OK ? 1 : 0;
    if (keys->previous == NULL || n == 0 ||
        tlog_signer_init(name, TLOG_KEY_ED25519, keys->previous, &out[n]) != OK) {
        return n;
    }
    struct log_description *d = (struct log_description *)(uintptr_t)&keys->is;
    const struct log_known *k = find_known(d, &out[n].verifier);
    return k != NULL && k->until_ns > now_ns && out[n].verifier.id != out[0].verifier.id ? n + 1
                                                                                         : n;
}

bool log_keys_is_former(const struct log_keys *keys, struct bytes origin)
{
    struct log_description d = keys->is;
    for (d.number = 1; d.number < keys->is.number; d.number++) {
        if (log_description_set_origin(&d, NULL) == OK && bytes_equal_string(origin, d.origin)) {
            return true;
        }
    }
    return false;
}

enum err log_keys_lock(const char *data, int *out_fd, struct err_text *why)
{
    char *path = files_join(data, "log.lock");
    if (path == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        e = err_set(why, ERR_IO, "%s cannot be opened: %s", path, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        e = err_set(why, ERR_EXISTS,
                    "another control plane is running on %s, and its audit log has one keeper",
                    data);
        (void)close(fd);
    } else {
        *out_fd = fd;
    }
    free(path);
    return e;
}

/* --- commands ----------------------------------------------------------------------------------
 */

enum err log_keys_rotate(const struct log_keys_options *options, struct buffer *out_key,
                         struct err_text *why)
{
    struct log_keys *k = NULL;
    struct crypto_ed25519 *next = NULL;
    struct tlog_signer signers[LOG_SIGNERS_MAX];
    bool added = false;
    int64_t now = clock_wall(&options->clock);
    enum err e = log_keys_open(options, &k, why);
    if (e == OK && log_keys_signers(k, now, signers) > 1) {
        e = err_set(why, ERR_EXISTS,
                    "the key before this one still signs; wait until its overlap has passed");
    }
    if (e == OK) {
        e = crypto_ed25519_generate(&next);
    }
    /* Whenever this ends in between, the key that is in place is known and signs. */
    if (e == OK) {
        e = crypto_ed25519_store(k->key, k->previous_path, why);
    }
    if (e == OK) {
        e = add_known(&k->is, next, now + options->overlap_ns, &added, why);
    }
    if (e == OK) {
        e = crypto_ed25519_store(next, k->key_path, why);
    }
    if (e == OK) {
        e = log_description_store(k->document_path, &k->is, why);
    }
    if (e == OK) {
        e = tlog_verifier_format(&k->is.known[k->is.known_count - 1].verifier, out_key);
    }
    crypto_ed25519_destroy(next);
    log_keys_close(k);
    return e;
}

enum err log_keys_restart(const struct log_keys_options *options, struct buffer *out_origin,
                          struct err_text *why)
{
    struct log_keys *k = NULL;
    bool added = false;
    enum err e = log_keys_open(options, &k, why);
    if (e == OK && k->is.number > LOG_FORMER_MAX) {
        e = err_set(why, ERR_LIMIT, "%d logs were ended here; no more can be", LOG_FORMER_MAX);
    }
    if (e == OK) {
        k->is.number++;
        e = log_description_set_origin(&k->is, why);
    }
    if (e == OK) {
        e = add_known(&k->is, k->key, clock_wall(&options->clock), &added, why);
    }
    if (e == OK) {
        e = log_description_store(k->document_path, &k->is, why);
    }
    if (e == OK) {
        e = buffer_append_string(out_origin, k->is.origin);
    }
    log_keys_close(k);
    return e;
}
