#include "controlplane/watch/findings.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"

enum {
    WAYS = 8,
    SETS = 2048,
    PAGE = 256,
    PAGE_BYTES = 1 << 20,
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 64 << 20,
};

static const int64_t second_ns = INT64_C(1000000000);
/* How far records of other control planes may be behind ours in time. */
static const int64_t overlap_ns = INT64_C(60000000000);

struct known {
    uint8_t hash[CRYPTO_SHA256_SIZE]; /* of what makes two the same */
    uint8_t source[8];                /* of kind and sidecar */
    int64_t time_ns;                  /* 0: empty */
};

struct findings {
    struct findings_options with;
    pthread_mutex_t mutex; /* guards the rest */
    struct arena *arena;
    int64_t read_ns; /* what is older was read */
    struct known known[SETS][WAYS];
};

/* ---- what is known -------------------------------------------------------------------------- */

static void add_text(struct crypto_sha256 *hash, const char *text)
{
    crypto_sha256_update(hash,
                         bytes_of(text == NULL ? "" : text, text == NULL ? 1 : strlen(text) + 1));
}

static void make_key(const struct finding *f, struct known *out)
{
    struct crypto_sha256 hash;
    uint8_t source[CRYPTO_SHA256_SIZE];
    crypto_sha256_init(&hash);
    add_text(&hash, f->kind);
    add_text(&hash, f->sidecar);
    crypto_sha256_finish(&hash, source);
    memcpy(out->source, source, sizeof(out->source));
    crypto_sha256_init(&hash);
    add_text(&hash, f->kind);
    add_text(&hash, f->sidecar);
    add_text(&hash, f->session);
    crypto_sha256_update(&hash, bytes_of(&f->first, sizeof(f->first)));
    crypto_sha256_finish(&hash, out->hash);
}

/* The one, else the place of the oldest. */
static struct known *find(struct findings *f, const struct known *key, bool *out_is_known)
{
    struct known *set = f->known[(key->hash[0] << 8 | key->hash[1]) % SETS], *oldest = &set[0];
    *out_is_known = true;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].time_ns != 0 && memcmp(set[i].hash, key->hash, sizeof(key->hash)) == 0) {
            return &set[i];
        }
        oldest = set[i].time_ns < oldest->time_ns ? &set[i] : oldest;
    }
    *out_is_known = false;
    return oldest;
}

static void remember(struct findings *f, const struct finding *finding, int64_t time_ns)
{
    struct known key;
    bool is_known = false;
    make_key(finding, &key);
    struct known *place = find(f, &key, &is_known);
    key.time_ns = is_known ? place->time_ns : time_ns;
    *place = key;
}

/* ---- reading the journal -------------------------------------------------------------------- */

static void take(struct findings *f, const struct store_audit_entry *entry)
{
    Chaperone__V1__Record *r =
        entry->is_erased || strcmp(entry->sidecar, JOURNAL_STREAM) != 0
            ? NULL
            : chaperone__v1__record__unpack(NULL, entry->canonical.size, entry->canonical.data);
    if (r != NULL && r->event_case == CHAPERONE__V1__RECORD__EVENT_FINDING) {
        const struct finding one = {.kind = r->finding->kind,
                                    .sidecar = r->finding->sidecar,
                                    .session = r->session,
                                    .first = r->finding->first_sequence};
        remember(f, &one, r->time_unix_ns);
    }
    chaperone__v1__record__free_unpacked(r, NULL);
}

/* What was recorded since it was read last, by whomever. */
static enum err refresh(struct findings *f)
{
    const struct store_audit_filter filter = {.kinds = store_kind_bit(STORE_FINDING)};
    int64_t now = clock_wall(&f->with.clock), from = f->read_ns;
    enum err e = OK;
    for (bool more = true; e == OK && more;) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        arena_reset(f->arena);
        e = store_audit_page(f->with.store, &filter, from, PAGE, PAGE_BYTES, f->arena, &items,
                             &count, &more, NULL);
        for (size_t i = 0; e == OK && i < count; i++) {
            take(f, &items[i]);
            from = items[i].key + 1;
        }
        more = more && count > 0;
    }
    if (e == OK && now - overlap_ns > f->read_ns) {
        f->read_ns = now - overlap_ns;
    }
    return e;
}

/* ---- recording ------------------------------------------------------------------------------ */

/* Those of sessions are as many as sessions are lost, and no sidecar can make them up. */
static bool is_too_much(const struct findings *f, const struct known *key,
                        const struct finding *finding, int64_t now)
{
    size_t count = 0;
    if (finding->session != NULL && finding->session[0] != '\0') {
        return false;
    }
    for (size_t i = 0; i < SETS; i++) {
        for (size_t k = 0; k < WAYS; k++) {
            const struct known *one = &f->known[i][k];
            count += one->time_ns > now - 3600 * second_ns &&
                             memcmp(one->source, key->source, sizeof(one->source)) == 0
                         ? 1
                         : 0;
        }
    }
    return count >= FINDINGS_HOURLY_MAX;
}

static enum err write(struct findings *f, const struct finding *finding)
{
    Chaperone__V1__Finding message = CHAPERONE__V1__FINDING__INIT;
    struct store_audit_opened about = {.refused = false};
    struct store_session known;
    struct err_text why = {.text = ""};
    bool has_session = finding->session != NULL && finding->session[0] != '\0';
    message.kind = (char *)(uintptr_t)finding->kind;
    message.sidecar = (char *)(uintptr_t)finding->sidecar;
    message.first_sequence = finding->first;
    message.last_sequence = finding->last;
    message.detail = (char *)(uintptr_t)finding->detail;
    arena_reset(f->arena);
    if (has_session && store_session_get(f->with.store, finding->session, f->arena, &known) == OK) {
        about.identity = bytes_of_string(known.identity);
        about.on_behalf_of = bytes_of_string(known.on_behalf_of);
        about.resource = bytes_of_string(known.resource);
        about.protocol = bytes_of_string(known.protocol);
    }
    const struct journal_entry entry = {
        .session = finding->session, .about = has_session ? &about : NULL, .finding = &message};
    enum err e = journal_append(f->with.journal, &entry, &why);
    log_event(f->with.log, LOG_ERROR, e == OK ? "audit_finding" : "finding_not_recorded",
              log_text("kind", finding->kind), log_text("sidecar", finding->sidecar),
              log_text("session", has_session ? finding->session : ""),
              log_number("first", (int64_t)finding->first),
              log_number("last", (int64_t)finding->last), log_text("detail", finding->detail),
              log_text("error", e == OK ? "" : err_name(e)));
    return e;
}

enum err findings_record(struct findings *findings, const struct finding *finding)
{
    struct known key;
    bool is_known = false;
    make_key(finding, &key);
    (void)pthread_mutex_lock(&findings->mutex);
    (void)find(findings, &key, &is_known);
    enum err e = is_known ? OK : refresh(findings);
    if (e == OK && !is_known) {
        (void)find(findings, &key, &is_known);
    }
    int64_t now = clock_wall(&findings->with.clock);
    if (e == OK && !is_known) {
        if (is_too_much(findings, &key, finding, now)) {
            log_event(findings->with.log, LOG_WARN, "audit_finding_only_here",
                      log_text("kind", finding->kind), log_text("sidecar", finding->sidecar),
                      log_text("detail", finding->detail));
        } else {
            e = write(findings, finding);
            if (e == OK) {
                remember(findings, finding, now);
            }
        }
    }
    (void)pthread_mutex_unlock(&findings->mutex);
    return e;
}

enum err findings_count(struct findings *findings, int64_t since_ns, uint64_t *out)
{
    uint64_t count = 0;
    (void)pthread_mutex_lock(&findings->mutex);
    enum err e = refresh(findings);
    for (size_t i = 0; i < SETS; i++) {
        for (size_t k = 0; k < WAYS; k++) {
            int64_t time = findings->known[i][k].time_ns;
            count += time != 0 && time >= since_ns ? 1 : 0;
        }
    }
    (void)pthread_mutex_unlock(&findings->mutex);
    if (e == OK) {
        *out = count;
    }
    return e;
}

/* ---- life ----------------------------------------------------------------------------------- */

enum err findings_create(const struct findings_options *options, struct findings **out)
{
    struct findings *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return ERR_NO_MEMORY;
    }
    f->with = *options;
    (void)pthread_mutex_init(&f->mutex, NULL);
    f->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    f->read_ns = clock_wall(&options->clock) - FINDINGS_DAYS * INT64_C(86400) * second_ns;
    enum err e = f->arena == NULL ? ERR_NO_MEMORY : refresh(f);
    if (e != OK) {
        findings_destroy(f);
        return e;
    }
    *out = f;
    return OK;
}

void findings_destroy(struct findings *findings)
{
    if (findings != NULL) {
        arena_destroy(findings->arena);
        (void)pthread_mutex_destroy(&findings->mutex);
        free(findings);
    }
}
