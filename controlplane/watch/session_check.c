#include "controlplane/watch/session_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "completeness/completeness.h"

enum {
    PAGE = 256,
    PAGE_BYTES = 1 << 20,
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 64 << 20,
    NAMED = 8, /* operations that a finding names */
    DETAIL_SIZE = 256,
};

struct missing {
    bool has_no_end;
    uint64_t operations;   /* without an outcome */
    uint64_t named[NAMED]; /* the first of them */
    uint64_t malformed;    /* a record that cannot be judged; 0: none */
    uint64_t first, last;  /* their intents */
    uint64_t newest;       /* record of the session that was read */
};

static enum err on_finding(void *context, const struct completeness_finding *f)
{
    struct missing *m = context;
    if (f->kind == COMPLETENESS_NO_END) {
        m->has_no_end = true;
    } else if (f->kind == COMPLETENESS_MALFORMED) {
        m->malformed = f->first;
    } else if (f->kind == COMPLETENESS_NO_OUTCOME) {
        if (m->operations < NAMED) {
            m->named[m->operations] = f->operation;
        }
        m->first = m->operations == 0 || f->first < m->first ? f->first : m->first;
        m->last = f->first > m->last ? f->first : m->last;
        m->operations++;
    }
    return OK;
}

/* What is erased has ended, and was looked at then. */
static enum err read_page(struct completeness *c, const struct store_audit_entry *items,
                          size_t count, const char *sidecar, struct missing *m)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        if (!items[i].is_erased && strcmp(items[i].sidecar, sidecar) == 0) {
            m->newest = items[i].sequence;
            e = completeness_add(c, items[i].canonical);
        }
    }
    return e;
}

static enum err read_all(struct store *store, const char *sidecar, const char *session,
                         struct completeness *c, struct missing *m)
{
    const struct store_audit_filter filter = {
        .session = session,
        .kinds = store_kind_bit(STORE_SESSION_OPENED) | store_kind_bit(STORE_INTENT) |
                 store_kind_bit(STORE_APPROVAL) | store_kind_bit(STORE_OUTCOME) |
                 store_kind_bit(STORE_SESSION_CLOSED)};
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : OK;
    int64_t from = INT64_MIN;
    for (bool more = true; e == OK && more;) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        arena_reset(arena);
        e = store_audit_page(store, &filter, from, PAGE, PAGE_BYTES, arena, &items, &count, &more,
                             NULL);
        if (e == OK && count > 0) {
            from = items[count - 1].key + 1;
            e = read_page(c, items, count, sidecar, m);
        }
        more = more && count > 0;
    }
    arena_destroy(arena);
    return e == OK ? completeness_end(c, INT64_MAX, INT64_MAX) : e;
}

static void name_operations(const struct missing *m, char out[DETAIL_SIZE])
{
    int at = snprintf(out, DETAIL_SIZE, "whether %s executed is unknown: operation",
                      m->operations == 1 ? "it was" : "they were");
    for (uint64_t i = 0; i < m->operations && i < NAMED; i++) {
        at += snprintf(out + at, DETAIL_SIZE - (size_t)at, "%s %" PRIu64, i == 0 ? "" : ",",
                       m->named[i]);
    }
    if (m->operations > NAMED) {
        (void)snprintf(out + at, DETAIL_SIZE - (size_t)at, " and %" PRIu64 " more",
                       m->operations - NAMED);
    }
}

static enum err record(struct findings *findings, const char *sidecar, const char *session,
                       const struct missing *m)
{
    char detail[DETAIL_SIZE];
    enum err e = OK;
    if (m->operations > 0) {
        name_operations(m, detail);
        e = findings_record(findings, &(struct finding){.kind = "no_outcome",
                                                        .sidecar = sidecar,
                                                        .session = session,
                                                        .first = m->first,
                                                        .last = m->last,
                                                        .detail = detail});
    }
    if (e == OK && m->has_no_end) {
        e = findings_record(findings, &(struct finding){.kind = "no_end",
                                                        .sidecar = sidecar,
                                                        .session = session,
                                                        .first = m->newest,
                                                        .last = m->newest,
                                                        .detail = "its last record"});
    }
    if (e == OK && m->malformed != 0) {
        e = findings_record(findings, &(struct finding){.kind = "malformed",
                                                        .sidecar = sidecar,
                                                        .session = session,
                                                        .first = m->malformed,
                                                        .last = m->malformed,
                                                        .detail = "the session cannot be judged"});
    }
    return e;
}

enum err session_check(struct store *store, struct findings *findings, const char *sidecar,
                       const char *session)
{
    struct missing m = {.operations = 0};
    struct completeness *c = completeness_create(&(struct completeness_options){
        .only_sessions = true, .on_finding = on_finding, .context = &m});
    enum err e = c == NULL ? ERR_NO_MEMORY : read_all(store, sidecar, session, c, &m);
    completeness_destroy(c);
    return e == OK ? record(findings, sidecar, session, &m) : e;
}
