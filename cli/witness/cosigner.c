#include "cli/witness/cosigner.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/witness/key.h"
#include "cli/witness/logs.h"
#include "cli/witness/memory.h"

static const int64_t ns_of_s = 1000000000;
/* A log that misbehaves must not fill the disk with complaints of it. */
static const int64_t warn_every_ns = 60 * INT64_C(1000000000);

struct cosigner {
    struct memory *memory; /* owned */
    struct witness_key key;
    char *logs_path; /* owned */
    char **lines;    /* owned; of the options */
    size_t line_count;
    struct clock clock;
    const struct log *log;
    pthread_rwlock_t lock; /* of the table: a reload replaces it */
    struct witness_logs logs;
};

/* ---- life ------------------------------------------------------------------------------------ */

static enum err logs_load(const struct cosigner *c, struct witness_logs *out, struct err_text *why)
{
    struct witness_logs logs = {.count = 0};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < c->line_count; i++) {
        struct err_text reason = {.text = ""};
        e = witness_logs_add(&logs, bytes_of_string(c->lines[i]), &reason);
        if (e != OK) {
            (void)err_set(why, e, "--log: %.400s", reason.text);
        }
    }
    if (e == OK) {
        e = witness_logs_read(&logs, c->logs_path, why);
    }
    for (size_t i = 0; e == OK && i < logs.count; i++) {
        e = memory_load(c->memory, logs.items[i]->origin, &c->key.signer.verifier,
                        &logs.items[i]->seen, why);
    }
    if (e == OK) {
        *out = logs;
    } else {
        witness_logs_finish(&logs);
    }
    return e;
}

static enum err copy_lines(struct cosigner *c, const struct cosigner_options *o,
                           struct err_text *why)
{
    c->lines = calloc(o->log_count + 1, sizeof(char *));
    c->logs_path = memory_path(o->directory, "logs");
    bool ok = c->lines != NULL && c->logs_path != NULL;
    for (size_t i = 0; ok && i < o->log_count; i++) {
        c->lines[i] = strdup(o->logs[i]);
        ok = c->lines[i] != NULL;
        c->line_count++;
    }
    return ok ? OK : err_set(why, ERR_NO_MEMORY, "memory is short");
}

enum err cosigner_create(const struct cosigner_options *options, struct cosigner **out,
                         struct err_text *why)
{
    struct cosigner *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    c->clock = options->clock;
    c->log = options->log;
    (void)pthread_rwlock_init(&c->lock, NULL);
    enum err e = copy_lines(c, options, why);
    if (e == OK) {
        e = memory_create(options->directory, &c->memory, why);
    }
    if (e == OK) {
        e = witness_key_open(options->directory, options->name, &c->key, why);
    }
    if (e == OK) {
        e = logs_load(c, &c->logs, why);
    }
    if (e != OK) {
        cosigner_destroy(c);
        return e;
    }
    *out = c;
    return OK;
}

void cosigner_destroy(struct cosigner *cosigner)
{
    if (cosigner != NULL) {
        witness_logs_finish(&cosigner->logs);
        witness_key_finish(&cosigner->key);
        memory_destroy(cosigner->memory);
        for (size_t i = 0; i < cosigner->line_count; i++) {
            free(cosigner->lines[i]);
        }
        free(cosigner->lines);
        free(cosigner->logs_path);
        (void)pthread_rwlock_destroy(&cosigner->lock);
        free(cosigner);
    }
}

enum err cosigner_reload(struct cosigner *cosigner, struct err_text *why)
{
    struct witness_logs logs;
    /* Before what was seen is read: it must not change any more. */
    (void)pthread_rwlock_wrlock(&cosigner->lock);
    enum err e = logs_load(cosigner, &logs, why);
    if (e == OK) {
        witness_logs_finish(&cosigner->logs);
        cosigner->logs = logs;
    }
    (void)pthread_rwlock_unlock(&cosigner->lock);
    return e;
}

const struct tlog_verifier *cosigner_verifier(const struct cosigner *cosigner)
{
    return &cosigner->key.signer.verifier;
}

size_t cosigner_log_count(struct cosigner *cosigner)
{
    (void)pthread_rwlock_rdlock(&cosigner->lock);
    size_t count = cosigner->logs.count;
    (void)pthread_rwlock_unlock(&cosigner->lock);
    return count;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* A sentence for a person. Where memory is short, the status alone says it. */
static void refuse(struct cosigner_answer *out, unsigned status, const char *sentence)
{
    out->status = status;
    out->type = "text/plain; charset=utf-8";
    buffer_clear(&out->body);
    (void)!buffer_append_format(&out->body, "%s\n", sentence);
}

static void refuse_size(struct cosigner_answer *out, uint64_t size)
{
    out->status = 409;
    out->type = TLOG_WITNESS_SIZE_TYPE;
    buffer_clear(&out->body);
    if (tlog_witness_size_format(size, &out->body) != OK) {
        refuse(out, 500, "memory is short");
    }
}

static void report(const struct cosigner *c, enum log_level level, const char *event,
                   const struct witness_log *log, uint64_t size, const char *why)
{
    if (c->log != NULL) {
        log_event(c->log, level, event, log_text("log", log->origin),
                  log_number("size", (int64_t)size), log_number("seen", (int64_t)log->seen.size),
                  log_text("why", why));
    }
}

/* What the log itself can bring about, as often as it likes. */
static void warn(const struct cosigner *c, const char *event, struct witness_log *log,
                 uint64_t size, const char *why)
{
    int64_t now = clock_monotonic(&c->clock);
    if (log->warned_ns == 0 || now - log->warned_ns >= warn_every_ns) {
        log->warned_ns = now;
        report(c, LOG_WARN, event, log, size, why);
    }
}

/* ---- signing --------------------------------------------------------------------------------- */

/* One request, once it is known to be of a log. */
struct candidate {
    struct tlog_witness_request request;
    struct tlog_note note;
    struct tlog_checkpoint checkpoint;
};

/* Appends the first line that a key of the log signed: with it, what is kept is the log's word. */
static enum err put_log_line(const struct witness_log *log, const struct candidate *x,
                             struct buffer *out)
{
    for (size_t i = 0; i < x->note.count; i++) {
        const struct tlog_note_signature *s = &x->note.signatures[i];
        for (size_t k = 0; k < log->key_count; k++) {
            if (s->id == log->keys[k].id && bytes_equal_string(s->name, log->keys[k].name)) {
                const uint8_t *start = s->name.data - strlen("\xe2\x80\x94 ");
                const uint8_t *note_end = x->request.note.data + x->request.note.size;
                const uint8_t *end = memchr(start, '\n', (size_t)(note_end - start));
                return end == NULL ? ERR_INTERNAL
                                   : buffer_append(out, bytes_of(start, (size_t)(end + 1 - start)));
            }
        }
    }
    return ERR_INTERNAL; /* one of them was verified */
}

/* The text, our line, the log's line. */
static enum err put_kept(const struct witness_log *log, const struct candidate *x,
                         struct bytes line, struct buffer *out)
{
    enum err e = buffer_append(out, x->note.text);
    if (e == OK) {
        e = buffer_append_string(out, "\n");
    }
    if (e == OK) {
        e = buffer_append(out, line);
    }
    return e == OK ? put_log_line(log, x, out) : e;
}

/* On the disk first; the signature is in `out` only when that was done. */
static enum err sign(struct cosigner *c, struct witness_log *log, const struct candidate *x,
                     struct cosigner_answer *out, struct err_text *why)
{
    int64_t now = clock_wall(&c->clock) / ns_of_s;
    struct buffer line, kept;
    buffer_init(&line, TLOG_WITNESS_ANSWER_MAX);
    buffer_init(&kept, TLOG_NOTE_SIZE_MAX);
    enum err e = now <= 0 ? err_set(why, ERR_INTERNAL, "the clock stands before 1970")
                          : tlog_note_sign_line(x->note.text, &c->key.signer, (uint64_t)now, &line);
    if (e == OK) {
        e = put_kept(log, x, buffer_bytes(&line), &kept);
    }
    /* The same tree again needs no write. */
    if (e == OK && (x->checkpoint.size != log->seen.size || log->seen.size == 0)) {
        e = memory_keep(c->memory, log->origin, buffer_bytes(&kept), why);
    }
    if (e == OK) {
        log->seen = (struct witness_seen){.size = x->checkpoint.size, .root = x->checkpoint.root};
        e = buffer_append(&out->body, buffer_bytes(&line));
    }
    buffer_finish(&line);
    buffer_finish(&kept);
    return e;
}

static void answer_fork(struct cosigner *c, struct witness_log *log, const struct candidate *x,
                        struct cosigner_answer *out)
{
    struct err_text why = {.text = "it signed two trees of one size"};
    struct buffer kept;
    buffer_init(&kept, TLOG_NOTE_SIZE_MAX);
    /* Whether it can be kept or not, the answer is the same: `why` says it. */
    if (put_kept(log, x, (struct bytes){0}, &kept) == OK) {
        (void)!memory_keep_fork(c->memory, buffer_bytes(&kept), &why);
    }
    warn(c, "fork", log, x->checkpoint.size, why.text);
    buffer_finish(&kept);
    refuse_size(out, log->seen.size);
}

/* With the log's lock. */
static void decide(struct cosigner *c, struct witness_log *log, const struct candidate *x,
                   struct cosigner_answer *out)
{
    struct err_text why = {.text = ""};
    switch (witness_judge(&log->seen, &x->request, &x->checkpoint)) {
    case WITNESS_IMPOSSIBLE:
        refuse(out, 400, "the old size is larger than the checkpoint's");
        return;
    case WITNESS_CONFLICT: refuse_size(out, log->seen.size); return;
    case WITNESS_FORK: answer_fork(c, log, x, out); return;
    case WITNESS_UNPROVED:
        warn(c, "unproved", log, x->checkpoint.size, "the proof does not fit");
        refuse(out, 422, "the proof does not lead from the tree that was seen last to this one");
        return;
    case WITNESS_SIGNS: break;
    }
    uint64_t before = log->seen.size;
    enum err e = sign(c, log, x, out, &why);
    if (e == OK) {
        out->status = 200;
        out->type = "text/plain; charset=utf-8";
        report(c, before == x->checkpoint.size ? LOG_DEBUG : LOG_INFO, "cosigned", log,
               x->checkpoint.size, "");
    } else {
        report(c, LOG_ERROR, "not_signed", log, x->checkpoint.size,
               why.text[0] == '\0' ? err_name(e) : why.text);
        refuse(out, 500, "the witness cannot sign now");
    }
}

/* Whether a key of the log signed it. False: `out` says why not. */
static bool is_of_log(const struct witness_log *log, const struct candidate *x,
                      struct cosigner_answer *out)
{
    struct err_text why = {.text = ""};
    enum err e = tlog_note_verify(&x->note, log->keys, log->key_count, NULL, &why);
    if (e != OK) {
        refuse(out, e == ERR_NO_MEMORY ? 500 : 403, why.text);
    }
    return e == OK;
}

void cosigner_answer(struct cosigner *cosigner, struct bytes body, struct cosigner_answer *out)
{
    struct candidate x;
    struct err_text why = {.text = ""};
    *out = (struct cosigner_answer){.status = 500};
    buffer_init(&out->body, TLOG_WITNESS_ANSWER_MAX);
    enum err e = tlog_witness_request_parse(body, &x.request, &why);
    if (e == OK) {
        e = tlog_note_parse(x.request.note, &x.note, &why);
    }
    if (e == OK) {
        e = tlog_checkpoint_parse(x.note.text, &x.checkpoint, &why);
    }
    if (e != OK) {
        refuse(out, e == ERR_NO_MEMORY ? 500 : 400, why.text);
        return;
    }
    (void)pthread_rwlock_rdlock(&cosigner->lock);
    struct witness_log *log = witness_logs_find(&cosigner->logs, x.checkpoint.origin);
    if (log == NULL) {
        refuse(out, 404, "this witness does not know this log");
    } else if (is_of_log(log, &x, out)) {
        (void)pthread_mutex_lock(&log->lock);
        decide(cosigner, log, &x, out);
        (void)pthread_mutex_unlock(&log->lock);
    }
    (void)pthread_rwlock_unlock(&cosigner->lock);
}
