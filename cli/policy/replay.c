#include "cli/policy/replay.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/arena.h"
#include "cli/policy/replay_http.h"
#include "cli/policy/replay_table.h"
#include "cli/policy/shape.h"
#include "sidecar/operation/question.h"
#include "sidecar/operation/statements.h"
#include "sidecar/sql/sql.h"

enum {
    ARENA_BLOCK = 16 << 10,
    ARENA_CAP = 256 << 20,
    SQL_CACHE_BYTES = 32 << 20,
    KEY_SIZE = 256,
};

static const int64_t second_ns = 1000000000;

/* One sidecar's session, while it is open. */
struct session {
    char key[KEY_SIZE];
    Chaperone__V1__Record *opened; /* owned; has a session_opened */
};

struct missing {
    char session[KEY_SIZE]; /* the first member: what it is found by */
};

struct replay {
    const struct policy *policy; /* borrowed */
    int64_t since_ns, until_ns;
    struct sql_cache *cache;
    struct arena *arena; /* of one operation */
    void *sessions;      /* tsearch: struct session */
    void *missing;       /* tsearch: struct missing */
    struct replay_table *changes;
    size_t session_count, missing_count;
    bool resuming;
    struct replay_counts counts;
};

/* --- sessions ----------------------------------------------------------------------------------
 */

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Sidecars name their sessions themselves: one cannot speak for the session of another. */
static bool make_key(const Chaperone__V1__Record *r, char out[KEY_SIZE])
{
    int n = snprintf(out, KEY_SIZE, "%s/%s", r->session, r->sidecar);
    return r->session[0] != '\0' && n > 0 && n < KEY_SIZE;
}

static void free_session(void *node)
{
    struct session *s = node;
    chaperone__v1__record__free_unpacked(s->opened, NULL);
    free(s);
}

static Chaperone__V1__Record *copy_record(const Chaperone__V1__Record *record)
{
    size_t size = chaperone__v1__record__get_packed_size(record);
    uint8_t *packed = malloc(size + 1);
    if (packed == NULL) {
        return NULL;
    }
    (void)chaperone__v1__record__pack(record, packed);
    Chaperone__V1__Record *copy = chaperone__v1__record__unpack(NULL, size, packed);
    free(packed);
    return copy;
}

static struct session *find_session(const struct replay *r, const char *key)
{
    void *const *found = tfind(key, (void *const *)&r->sessions, compare_text);
    return found == NULL ? NULL : *found;
}

static enum err open_session(struct replay *r, const char *key, const Chaperone__V1__Record *record)
{
    if (record->session_opened->identity == NULL || find_session(r, key) != NULL) {
        return OK;
    }
    if (r->session_count == REPLAY_SESSIONS_MAX) {
        return ERR_LIMIT;
    }
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL || (s->opened = copy_record(record)) == NULL) {
        free(s);
        return ERR_NO_MEMORY;
    }
    memcpy(s->key, key, KEY_SIZE);
    if (tsearch(s, &r->sessions, compare_text) == NULL) {
        free_session(s);
        return ERR_NO_MEMORY;
    }
    r->session_count++;
    return OK;
}

static void close_session(struct replay *r, const char *key)
{
    struct session *s = find_session(r, key);
    if (s != NULL) {
        (void)tdelete(key, &r->sessions, compare_text);
        free_session(s);
        r->session_count--;
    }
}

static enum err note_missing(struct replay *r, const char *session)
{
    if (tfind(session, &r->missing, compare_text) != NULL) {
        return OK;
    }
    struct missing *m = calloc(1, sizeof(*m));
    if (m == NULL || r->missing_count == REPLAY_SESSIONS_MAX) {
        free(m);
        return m == NULL ? ERR_NO_MEMORY : ERR_LIMIT;
    }
    (void)snprintf(m->session, sizeof(m->session), "%s", session);
    if (tsearch(m, &r->missing, compare_text) == NULL) {
        free(m);
        return ERR_NO_MEMORY;
    }
    r->missing_count++;
    return OK;
}

/* --- one operation -----------------------------------------------------------------------------
 */

struct judgement {
    bool is_sql;
    bool is_refused_anyway; /* whatever a policy says */
    bool is_too_large;      /* for this command, or its record, not for that sidecar */
    bool has_masks;
    struct policy_verdict verdict;
};

static bool names_session_things(const struct sql_analysis *a)
{
    for (size_t i = 0; i < a->statement_count; i++) {
        if (a->statements[i].size > 0) {
            return true;
        }
    }
    return false;
}

/* What the record knows of EXECUTE and FETCH beyond their text is what they ran. */
static bool add_recorded(struct arena *arena, const Chaperone__V1__Intent *recorded,
                         Chaperone__V1__Intent *m)
{
    size_t objects = m->n_objects + recorded->n_objects;
    size_t accesses = m->n_accesses + recorded->n_accesses;
    Chaperone__V1__Object **all = arena_alloc(arena, (objects + 1) * sizeof(*all));
    char **names = arena_alloc(arena, (accesses + 1) * sizeof(*names));
    if (all == NULL || names == NULL) {
        return false;
    }
    if (m->n_objects > 0) {
        memcpy(all, m->objects, m->n_objects * sizeof(*all));
    }
    if (m->n_accesses > 0) {
        memcpy(names, m->accesses, m->n_accesses * sizeof(*names));
    }
    if (recorded->n_objects > 0) {
        memcpy(all + m->n_objects, recorded->objects, recorded->n_objects * sizeof(*all));
    }
    if (recorded->n_accesses > 0) {
        memcpy(names + m->n_accesses, recorded->accesses, recorded->n_accesses * sizeof(*names));
    }
    m->objects = all;
    m->n_objects = objects;
    m->accesses = names;
    m->n_accesses = accesses;
    m->without_where = m->without_where || recorded->without_where;
    return true;
}

/* Fills in `m` what a sidecar would record of the text now. */
static enum err describe(struct replay *r, const Chaperone__V1__Intent *recorded,
                         Chaperone__V1__Intent *m, struct judgement *out)
{
    const struct sql_analysis *a = NULL;
    enum err e =
        sql_cache_analyse(r->cache, bytes_of(recorded->text.data, recorded->text.len), &a, NULL);
    if (e == ERR_NO_MEMORY) {
        return e;
    }
    out->is_sql = e == OK;
    out->is_too_large = e == ERR_LIMIT && recorded->n_commands > 0;
    out->is_refused_anyway = e != OK;
    if (e != OK) { /* as the sidecar names it */
        out->verdict = (struct policy_verdict){.effect = POLICY_DENY, .rule = "understanding"};
        return OK;
    }
    if (!statements_describe(r->arena, a, m)) {
        return ERR_NO_MEMORY;
    }
    return names_session_things(a) && !add_recorded(r->arena, recorded, m) ? ERR_NO_MEMORY : OK;
}

static bool has_masks(const struct replay *r, const struct policy_request *request,
                      const char *was_rule, bool *out_same_rule)
{
    const struct policy_mask *masks[POLICY_MASKS_MAX];
    bool complete = true;
    size_t count = policy_masks(r->policy, request, masks, &complete);
    for (size_t i = 0; i < count; i++) {
        *out_same_rule = *out_same_rule || strcmp(masks[i]->rule, was_rule) == 0;
    }
    return count > 0 || !complete;
}

static enum err judge_http(struct replay *r, const struct session *s,
                           const Chaperone__V1__Record *record, struct judgement *out)
{
    const Chaperone__V1__Intent *m = record->intent;
    struct policy_request request;
    bool was_refused = m->verdict == CHAPERONE__V1__VERDICT__DENY;
    /* Before a policy was asked. */
    if (m->http == NULL || (was_refused && strcmp(m->rule, "protocol") == 0)) {
        out->is_refused_anyway = true;
        out->verdict = (struct policy_verdict){.effect = POLICY_DENY, .rule = "protocol"};
        return OK;
    }
    if (!question_ask(r->arena, s->opened->session_opened, m, record->time_unix_ns / second_ns,
                      &request)) {
        return ERR_NO_MEMORY;
    }
    switch (replay_http_ask(r->policy, r->arena, m->http, &request, &out->verdict)) {
    case REPLAY_HTTP_NO_MEMORY: return ERR_NO_MEMORY;
    case REPLAY_HTTP_TRUNCATED: out->is_too_large = true; return OK;
    case REPLAY_HTTP_REFUSED:
        out->is_refused_anyway = true;
        out->verdict = (struct policy_verdict){.effect = POLICY_DENY, .rule = "protocol"};
        return OK;
    case REPLAY_HTTP_ASKED: break;
    }
    bool same_rule = replay_http_limits(&out->verdict, m->rule);
    out->has_masks = has_masks(r, &request, m->rule, &same_rule);
    out->is_refused_anyway = same_rule && was_refused && out->verdict.effect != POLICY_DENY;
    return OK;
}

static enum err judge(struct replay *r, const struct session *s,
                      const Chaperone__V1__Record *record, struct judgement *out)
{
    const Chaperone__V1__Intent *recorded = record->intent;
    Chaperone__V1__Intent now = CHAPERONE__V1__INTENT__INIT;
    const Chaperone__V1__Intent *asked = recorded; /* a function call has no text */
    struct policy_request request;
    *out = (struct judgement){0};
    if (recorded->http != NULL || strcmp(s->opened->session_opened->protocol, "http") == 0) {
        return judge_http(r, s, record, out);
    }
    if (recorded->text.len > 0 || recorded->n_commands == 0) {
        enum err e = describe(r, recorded, &now, out);
        if (e != OK || out->is_refused_anyway) {
            return e;
        }
        now.verb = recorded->verb;
        asked = &now;
    }
    if (!question_ask(r->arena, s->opened->session_opened, asked, record->time_unix_ns / second_ns,
                      &request)) {
        return ERR_NO_MEMORY;
    }
    policy_evaluate(r->policy, &request, &out->verdict);
    bool same_rule = false;
    out->has_masks = has_masks(r, &request, recorded->rule, &same_rule);
    /* A refusal by a rule that masks may have been for the sake of what it masks. */
    out->is_refused_anyway = same_rule && recorded->verdict == CHAPERONE__V1__VERDICT__DENY &&
                             out->verdict.effect != POLICY_DENY;
    return OK;
}

static enum policy_effect effect_of(Chaperone__V1__Verdict verdict)
{
    return verdict == CHAPERONE__V1__VERDICT__ALLOW  ? POLICY_ALLOW
           : verdict == CHAPERONE__V1__VERDICT__HOLD ? POLICY_HOLD
                                                     : POLICY_DENY;
}

/* Refused before a policy was asked, for what the record does not say: the session's encoding. */
static bool was_not_understood(const Chaperone__V1__Intent *m)
{
    return m->verdict == CHAPERONE__V1__VERDICT__DENY && m->n_commands == 0 &&
           strcmp(m->rule, "understanding") == 0;
}

static enum err count_change(struct replay *r, const struct session *s,
                             const Chaperone__V1__Record *record, const struct judgement *j)
{
    const Chaperone__V1__Intent *m = record->intent;
    struct bytes text = bytes_of(m->text.data, m->text.len);
    char *shape = m->http != NULL  ? replay_http_shape(m->http, REPLAY_SHAPE_SIZE_MAX)
                  : text.size == 0 ? strdup(m->n_commands > 0 ? m->commands[0] : m->verb)
                                   : shape_of(text, j->is_sql, REPLAY_SHAPE_SIZE_MAX);
    if (shape == NULL) {
        return ERR_NO_MEMORY;
    }
    const struct replay_change like = {
        .shape = shape,
        .identity = s->opened->session_opened->identity->subject,
        .resource = s->opened->session_opened->resource,
        .was = effect_of(m->verdict),
        .would = j->verdict.effect,
        .was_rule = m->rule,
        .rule = j->verdict.rule,
        .last_unix_ns = record->time_unix_ns,
        .last_session = record->session,
        .last_operation = m->operation,
    };
    r->counts.newly_refused += like.would == POLICY_DENY ? 1 : 0;
    r->counts.newly_allowed += like.would == POLICY_ALLOW ? 1 : 0;
    r->counts.newly_held += like.would == POLICY_HOLD ? 1 : 0;
    enum err e = replay_table_add(r->changes, &like);
    if (e == ERR_LIMIT) {
        r->counts.changes_cut++;
        e = OK;
    }
    free(shape);
    return e;
}

static enum err replay_operation(struct replay *r, const struct session *s,
                                 const Chaperone__V1__Record *record)
{
    struct judgement j = {0};
    arena_reset(r->arena);
    enum err e = was_not_understood(record->intent) ? OK : judge(r, s, record, &j);
    if (e != OK) {
        return e;
    }
    if (j.is_too_large) {
        r->counts.truncated++;
        return OK;
    }
    r->counts.operations++;
    r->counts.masked += j.has_masks ? 1 : 0;
    bool same = was_not_understood(record->intent) || j.is_refused_anyway
                    ? record->intent->verdict == CHAPERONE__V1__VERDICT__DENY
                    : j.verdict.effect == effect_of(record->intent->verdict);
    if (same) {
        r->counts.same++;
        return OK;
    }
    return count_change(r, s, record, &j);
}

static enum err add_intent(struct replay *r, const char *key, const Chaperone__V1__Record *record)
{
    bool is_outside = (r->since_ns != 0 && record->time_unix_ns < r->since_ns) ||
                      (r->until_ns != 0 && record->time_unix_ns > r->until_ns);
    /* A cancellation is part of the protocol: no policy is asked. */
    if (is_outside || strcmp(record->intent->verb, "cancel") == 0) {
        return OK;
    }
    const struct session *s = find_session(r, key);
    if (s == NULL && !r->resuming) {
        return note_missing(r, record->session);
    }
    if (s == NULL) {
        r->counts.without_session++;
        return OK;
    }
    if (record->intent->text_truncated) {
        r->counts.truncated++;
        return OK;
    }
    return replay_operation(r, s, record);
}

/* --- the whole ---------------------------------------------------------------------------------
 */

enum err replay_add(struct replay *r, const Chaperone__V1__Record *record)
{
    char key[KEY_SIZE];
    if (!make_key(record, key)) {
        return OK; /* of the stream itself, or of no session that a sidecar makes */
    }
    switch (record->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED: return open_session(r, key, record);
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED: close_session(r, key); return OK;
    case CHAPERONE__V1__RECORD__EVENT_INTENT: return add_intent(r, key, record);
    default: return OK;
    }
}

const char *replay_missing(const struct replay *r)
{
    return r->missing == NULL ? NULL : (*(struct missing *const *)r->missing)->session;
}

void replay_resume(struct replay *r)
{
    r->resuming = true;
    if (r->missing != NULL) {
        struct missing *m = *(struct missing **)r->missing;
        (void)tdelete(m->session, &r->missing, compare_text);
        free(m);
        r->missing_count--;
    }
}

const struct replay_counts *replay_counts(const struct replay *r)
{
    return &r->counts;
}

enum err replay_changes(struct replay *r, const struct replay_change *const **out,
                        size_t *out_count)
{
    return replay_table_sort(r->changes, out, out_count);
}

struct replay *replay_create(const struct policy *policy, int64_t since_unix_ns,
                             int64_t until_unix_ns)
{
    struct replay *r = calloc(1, sizeof(*r));
    struct sql_cache_options cache = {.max_bytes = SQL_CACHE_BYTES};
    if (r == NULL) {
        return NULL;
    }
    r->policy = policy;
    r->since_ns = since_unix_ns;
    r->until_ns = until_unix_ns;
    r->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    bool seeded = getrandom(cache.seed, sizeof(cache.seed), 0) == (ssize_t)sizeof(cache.seed);
    r->cache = seeded ? sql_cache_create(&cache) : NULL;
    r->changes = replay_table_create();
    if (r->arena == NULL || r->cache == NULL || r->changes == NULL) {
        replay_destroy(r);
        return NULL;
    }
    return r;
}

void replay_destroy(struct replay *r)
{
    if (r != NULL) {
        tdestroy(r->sessions, free_session);
        tdestroy(r->missing, free);
        replay_table_destroy(r->changes);
        sql_cache_destroy(r->cache);
        arena_destroy(r->arena);
        free(r);
    }
}
