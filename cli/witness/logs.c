#include "cli/witness/logs.h"

#include <stdlib.h>

#include "cli/text_file.h"

void witness_logs_finish(struct witness_logs *logs)
{
    for (size_t i = 0; i < logs->count; i++) {
        (void)pthread_mutex_destroy(&logs->items[i]->lock);
        free(logs->items[i]);
    }
    free(logs->items);
    *logs = (struct witness_logs){.count = 0};
}

struct witness_log *witness_logs_find(const struct witness_logs *logs, struct bytes origin)
{
    for (size_t i = 0; i < logs->count; i++) {
        if (bytes_equal_string(origin, logs->items[i]->origin)) {
            return logs->items[i];
        }
    }
    return NULL;
}

static enum err make(struct witness_logs *logs, struct bytes origin, struct witness_log **out,
                     struct err_text *why)
{
    if (logs->count == WITNESS_LOGS_MAX) {
        return err_set(why, ERR_LIMIT, "more than %d logs", (int)WITNESS_LOGS_MAX);
    }
    struct witness_log **items =
        realloc(logs->items, (logs->count + 1) * sizeof(struct witness_log *));
    if (items != NULL) {
        logs->items = items;
    }
    struct witness_log *log = items == NULL ? NULL : calloc(1, sizeof(*log));
    if (log == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    memcpy(log->origin, origin.data, origin.size);
    (void)pthread_mutex_init(&log->lock, NULL);
    witness_seen_nothing(&log->seen);
    items[logs->count++] = log;
    *out = log;
    return OK;
}

static enum err add_key(struct witness_log *log, const struct tlog_verifier *key,
                        struct err_text *why)
{
    for (size_t i = 0; i < log->key_count; i++) {
        if (log->keys[i].id == key->id && strcmp(log->keys[i].name, key->name) == 0) {
            return OK;
        }
    }
    if (log->key_count == WITNESS_LOG_KEYS_MAX) {
        return err_set(why, ERR_LIMIT, "the log %.200s has more than %d keys", log->origin,
                       (int)WITNESS_LOG_KEYS_MAX);
    }
    log->keys[log->key_count++] = *key;
    return OK;
}

enum err witness_logs_add(struct witness_logs *logs, struct bytes line, struct err_text *why)
{
    struct tlog_verifier key;
    const uint8_t *space = line.size == 0 ? NULL : memchr(line.data, ' ', line.size);
    struct bytes text = space == NULL ? line : bytes_of(line.data, (size_t)(space - line.data));
    enum err e = tlog_verifier_parse(text, &key, why);
    if (e != OK) {
        return e;
    }
    if (key.type != TLOG_KEY_ED25519) {
        return err_set(why, ERR_INVALID, "the key of %.200s is a witness's, not a log's", key.name);
    }
    struct bytes origin =
        space == NULL ? bytes_of_string(key.name) : bytes_of(space + 1, line.size - text.size - 1);
    if (origin.size == 0 || origin.size > TLOG_ORIGIN_MAX ||
        memchr(origin.data, '\0', origin.size) != NULL) {
        return err_set(why, ERR_INVALID, "an origin has 1 to %d bytes", (int)TLOG_ORIGIN_MAX);
    }
    struct witness_log *log = witness_logs_find(logs, origin);
    if (log == NULL) {
        e = make(logs, origin, &log, why);
    }
    return e == OK ? add_key(log, &key, why) : e;
}

static enum err add_lines(struct witness_logs *logs, struct bytes rest, const char *path,
                          struct err_text *why)
{
    enum err e = OK;
    for (size_t number = 1; e == OK && rest.data != NULL && rest.size > 0; number++) {
        struct err_text reason = {.text = ""};
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        size_t size = end == NULL ? rest.size : (size_t)(end - rest.data);
        struct bytes line = bytes_of(rest.data, size);
        rest = bytes_of(rest.data + size, rest.size - size);
        if (end != NULL) {
            rest = bytes_of(rest.data + 1, rest.size - 1);
        }
        if (line.size == 0 || line.data[0] == '#') {
            continue;
        }
        e = witness_logs_add(logs, line, &reason);
        if (e != OK) {
            e = err_set(why, e, "%.200s:%zu: %.250s", path, number, reason.text);
        }
    }
    return e;
}

enum err witness_logs_read(struct witness_logs *logs, const char *path, struct err_text *why)
{
    struct buffer file;
    struct err_text reason = {.text = ""};
    enum err e = text_file_read(path, WITNESS_LOGS_FILE_MAX, &file, &reason);
    if (e == ERR_NOT_FOUND) {
        e = OK;
    } else if (e != OK) {
        e = err_set(why, e, "%.400s", reason.text);
    } else {
        e = add_lines(logs, buffer_bytes(&file), path, why);
    }
    buffer_finish(&file);
    return e;
}
