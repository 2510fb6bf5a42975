#include "cli/reconcile/log_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_SIZE = 1 << 20, BACKEND_SIZE = 40 };

/* What a connection executed last, by its hash. */
struct backend {
    char id[BACKEND_SIZE];
    uint64_t text;
    enum statement_kind kind;
};

struct log_reader {
    FILE *file;
    struct server_log *parser;
    enum server_log_format format;
    struct buffer input, room;
    size_t taken; /* of the input, by the record that was handed out */
    bool is_end;
    uint64_t records;
    int64_t time_ns;
    void *backends; /* tsearch: struct backend */
    size_t backend_count;
};

static int compare_backends(const void *a, const void *b)
{
    return strcmp(a, b);
}

static uint64_t hash_of(struct bytes text)
{
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < text.size; i++) {
        hash = (hash ^ text.data[i]) * 1099511628211U;
    }
    return hash;
}

static enum err find_backend(struct log_reader *r, struct bytes id, struct backend **out)
{
    struct backend key = {0};
    memcpy(key.id, id.data, id.size < BACKEND_SIZE ? id.size : BACKEND_SIZE - 1);
    void **found = tfind(&key, &r->backends, compare_backends);
    if (found == NULL) {
        if (r->backend_count == LOG_READER_BACKENDS_MAX) {
            tdestroy(r->backends, free);
            r->backends = NULL;
            r->backend_count = 0;
        }
        struct backend *made = malloc(sizeof(*made));
        if (made == NULL) {
            return ERR_NO_MEMORY;
        }
        *made = key;
        found = tsearch(made, &r->backends, compare_backends);
        if (found == NULL) {
            free(made);
            return ERR_NO_MEMORY;
        }
        r->backend_count++;
    }
    *out = *found;
    return OK;
}

/* A line about what a line before it has named already. */
static enum err is_repeated(struct log_reader *r, const struct server_log_line *line,
                            const struct statement *s, bool *out)
{
    struct backend *b = NULL;
    *out = false;
    if (line->backend.size == 0) {
        return OK;
    }
    enum err e = find_backend(r, line->backend, &b);
    if (e != OK) {
        return e;
    }
    uint64_t text = hash_of(s->text);
    bool is_same = b->kind != STATEMENT_NONE && b->text == text;
    *out = is_same && (s->kind == STATEMENT_FAILED ||
                       (s->kind == STATEMENT_PGAUDIT && b->kind != STATEMENT_PGAUDIT) ||
                       (s->kind == STATEMENT_TIMED && b->kind == STATEMENT_PGAUDIT));
    if (s->kind != STATEMENT_FAILED && !*out) {
        b->text = text;
        b->kind = s->kind;
    } else if (*out && s->kind == STATEMENT_TIMED) {
        b->kind = STATEMENT_NONE;
    }
    return OK;
}

static enum err read_more(struct log_reader *r, struct err_text *why)
{
    uint8_t *to = buffer_reserve(&r->input, CHUNK_SIZE);
    if (to == NULL) {
        return err_set(why, ERR_LIMIT, "record %" PRIu64 " of the log has no end", r->records + 1);
    }
    size_t n = fread(to, 1, CHUNK_SIZE, r->file);
    buffer_commit(&r->input, n);
    r->is_end = n == 0;
    return ferror(r->file) == 0 ? OK : err_set(why, ERR_IO, "the log cannot be read");
}

/* The next record; `*out_cut` when it ends with the file, not with its line. */
static enum err next_record(struct log_reader *r, struct bytes *out, bool *out_cut,
                            struct err_text *why)
{
    buffer_consume(&r->input, r->taken);
    r->taken = 0;
    for (;;) {
        struct bytes input = buffer_bytes(&r->input);
        size_t size = server_log_split(r->format, input, r->is_end);
        if (size > 0 && input.data != NULL) {
            r->taken = size;
            r->records++;
            *out = bytes_of(input.data, size);
            *out_cut = input.data[size - 1] != '\n';
            return OK;
        }
        if (r->is_end) {
            return ERR_NOT_FOUND;
        }
        enum err e = read_more(r, why);
        if (e != OK) {
            return e;
        }
    }
}

enum err log_reader_next(struct log_reader *r, struct server_log_line *out_line,
                         struct statement *out, struct err_text *why)
{
    for (;;) {
        struct bytes record;
        bool is_cut = false, repeats = false;
        struct err_text reason = {0};
        enum err e = next_record(r, &record, &is_cut, why);
        if (e != OK) {
            return e;
        }
        e = server_log_parse(r->parser, record, out_line, &reason);
        if (e == ERR_INVALID) {
            return is_cut ? ERR_NOT_FOUND
                          : err_set(why, e, "record %" PRIu64 " of the log: %s", r->records,
                                    reason.text);
        }
        if (e == ERR_NOT_FOUND) {
            continue;
        }
        if (e != OK) {
            return e;
        }
        r->time_ns = out_line->time_ns;
        statement_read(out_line, &r->room, out);
        if (out->kind == STATEMENT_NONE) {
            continue;
        }
        e = is_repeated(r, out_line, out, &repeats);
        if (e != OK || !repeats) {
            return e;
        }
    }
}

int64_t log_reader_time(const struct log_reader *r)
{
    return r->time_ns;
}

enum err log_reader_open(const char *path, struct log_reader **out, struct err_text *why)
{
    struct log_reader *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    buffer_init(&r->input, SERVER_LOG_RECORD_MAX + CHUNK_SIZE);
    buffer_init(&r->room, SERVER_LOG_RECORD_MAX + 1);
    r->file = fopen(path, "re");
    enum err e = r->file == NULL ? err_set(why, ERR_NOT_FOUND, "%s: %s", path, strerror(errno))
                                 : read_more(r, why);
    r->is_end = false;
    r->format = server_log_detect(buffer_bytes(&r->input));
    r->parser = e == OK ? server_log_create(r->format) : NULL;
    if (e == OK && r->parser == NULL) {
        e = err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    if (e != OK) {
        log_reader_close(r);
        return e;
    }
    *out = r;
    return OK;
}

void log_reader_close(struct log_reader *r)
{
    if (r == NULL) {
        return;
    }
    if (r->file != NULL) {
        (void)fclose(r->file);
    }
    server_log_destroy(r->parser);
    buffer_finish(&r->input);
    buffer_finish(&r->room);
    tdestroy(r->backends, free);
    free(r);
}
