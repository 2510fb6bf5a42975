#include "cli/verify/filed.h"

#include <stdlib.h>

#include "api/audit.pb-c.h"
#include "base/crypto/crypto.h"
#include "cli/verify/name_table.h"
#include "cli/verify/scan.h"

/* A session's whose, for whom and where, as one hash. */
struct session {
    bool is_known;
    uint8_t what[CRYPTO_SHA256_SIZE];
};

struct filed {
    struct report *report;
    struct name_table *names; /* "SIDECAR NUL SESSION" */
    struct session *sessions; /* by number; owned */
    size_t capacity;
    struct buffer key; /* scratch */
};

/* A sidecar's and a session's id, in a record that a store takes. */
enum { KEY_MAX = 2 << 20, SESSIONS_FIRST = 64 };

struct filed *filed_create(struct report *report)
{
    struct filed *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return NULL;
    }
    f->report = report;
    buffer_init(&f->key, KEY_MAX);
    f->names = name_table_create();
    if (f->names == NULL) {
        filed_destroy(f);
        return NULL;
    }
    return f;
}

void filed_destroy(struct filed *f)
{
    if (f == NULL) {
        return;
    }
    name_table_destroy(f->names);
    buffer_finish(&f->key);
    free(f->sessions);
    free(f);
}

static enum err session_of(struct filed *f, const struct scan *s, struct session **out)
{
    uint32_t number = 0;
    buffer_clear(&f->key);
    enum err e = buffer_append(&f->key, s->sidecar);
    e = e == OK ? buffer_append(&f->key, bytes_of("", 1)) : e;
    e = e == OK ? buffer_append(&f->key, s->session) : e;
    e = e == OK ? name_table_put(f->names, buffer_bytes(&f->key), &number) : e;
    if (e == OK && number >= f->capacity) {
        size_t capacity = f->capacity == 0 ? SESSIONS_FIRST : 2 * f->capacity;
        struct session *more = realloc(f->sessions, capacity * sizeof(*more));
        if (more == NULL) {
            return ERR_NO_MEMORY;
        }
        memset(more + f->capacity, 0, (capacity - f->capacity) * sizeof(*more));
        f->sessions = more;
        f->capacity = capacity;
    }
    if (e == OK) {
        *out = &f->sessions[number];
    }
    return e;
}

/* With its NUL, so that no two lists of texts are the same bytes. */
static void add_text(struct crypto_sha256 *hash, const char *text)
{
    crypto_sha256_update(hash, bytes_of(text, strlen(text) + 1));
}

static void hash_entry(const Chaperone__V1__Entry *entry, uint8_t out[CRYPTO_SHA256_SIZE])
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    add_text(&hash, entry->identity);
    add_text(&hash, entry->on_behalf_of);
    add_text(&hash, entry->resource);
    add_text(&hash, entry->protocol);
    crypto_sha256_finish(&hash, out);
}

static void hash_opened(const Chaperone__V1__SessionOpened *opened, uint8_t out[CRYPTO_SHA256_SIZE])
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    add_text(&hash, opened->identity == NULL ? "" : opened->identity->subject);
    for (size_t i = 0; i < opened->n_on_behalf_of; i++) {
        const char *subject = opened->on_behalf_of[i]->subject;
        crypto_sha256_update(&hash, bytes_of_string(i == 0 ? "" : ", "));
        crypto_sha256_update(&hash, bytes_of_string(subject));
    }
    add_text(&hash, "");
    add_text(&hash, opened->resource);
    add_text(&hash, opened->protocol);
    crypto_sha256_finish(&hash, out);
}

static enum err take_opened(const Chaperone__V1__Entry *entry, struct session *session)
{
    Chaperone__V1__Record *r =
        chaperone__v1__record__unpack(NULL, entry->record.len, entry->record.data);
    if (r == NULL) {
        return OK; /* nothing is known of the session then */
    }
    session->is_known = r->event_case == CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    if (session->is_known) {
        hash_opened(r->session_opened, session->what);
    }
    chaperone__v1__record__free_unpacked(r, NULL);
    return OK;
}

static void check_record(struct filed *f, const Chaperone__V1__Entry *entry, const struct scan *s)
{
    const char *kind = scan_kind_name(s->kind);
    bool is_same = bytes_equal_string(s->sidecar, entry->sidecar) &&
                   bytes_equal_string(s->session, entry->session) &&
                   s->sequence == entry->sequence && kind != NULL && strcmp(kind, entry->kind) == 0;
    if (!is_same) {
        report_add(f->report, REPORT_CHANGED, entry->position,
                   "record at position %llu: the control plane's index files it under another "
                   "kind, sidecar, number or session (%.100s) than it says",
                   (unsigned long long)entry->position, entry->session);
    }
}

static enum err check_session(struct filed *f, const Chaperone__V1__Entry *entry,
                              const struct scan *s)
{
    struct session *session = NULL;
    uint8_t what[CRYPTO_SHA256_SIZE];
    enum err e = session_of(f, s, &session);
    if (e == OK && s->kind == SCAN_SESSION_OPENED) {
        e = take_opened(entry, session);
    }
    if (e != OK || !session->is_known) {
        return e;
    }
    hash_entry(entry, what);
    if (memcmp(what, session->what, sizeof(what)) != 0) {
        report_add(
            f->report, REPORT_CHANGED, entry->position,
            "record at position %llu: the control plane's index files it under agent "
            "\"%.100s\", resource \"%.100s\"; the first record of its session says otherwise",
            (unsigned long long)entry->position, entry->identity, entry->resource);
    }
    return OK;
}

enum err filed_add(struct filed *f, const Chaperone__V1__Entry *entry)
{
    struct scan s;
    if (entry->is_erased ||
        scan_record(bytes_of(entry->record.data, entry->record.len), &s) != OK) {
        return OK;
    }
    check_record(f, entry, &s);
    return s.session.size == 0 ? OK : check_session(f, entry, &s);
}
