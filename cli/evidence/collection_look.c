/* What an entry says of its session, its agent, and what was masked. */
#include <stdlib.h>

#include "cli/evidence/collection_internal.h"
#include "formats/json.h"
#include "formats/record.h"
#include "formats/record_json.h"

enum {
    NAME_KEY_MAX = 64 << 10, /* of a masking's names together; longer ones are no columns */
    MASKED_MAX = 10000,      /* different ones that are summed up; the receipts have all */
};

/* The same text is kept once. */
static enum err keep(struct collection *c, const char *text, const char **out)
{
    uint32_t number = 0;
    bool is_new = false;
    enum err e = catalogue_put(c->texts, bytes_of_string(text), &number, &is_new);
    if (e == OK) {
        *out = catalogue_get(c->texts, number);
    }
    return e;
}

static enum err remember(struct collection *c, enum collection_list list, uint32_t number)
{
    struct numbers *l = &c->lists[list];
    enum err e = collection_grow((void **)&l->items, l->count, &l->capacity, sizeof(*l->items));
    if (e == OK) {
        l->items[l->count++] = number;
    }
    return e;
}

static enum err count_kind(struct collection *c, const char *kind)
{
    uint32_t number = 0;
    bool is_new = false;
    enum err e = catalogue_put(c->kinds.names, bytes_of_string(kind), &number, &is_new);
    if (e == OK && is_new) {
        e = collection_grow((void **)&c->kinds.counts, number, &c->kinds.capacity,
                            sizeof(*c->kinds.counts));
        if (e == OK) {
            c->kinds.counts[number] = 0;
        }
    }
    if (e == OK) {
        c->kinds.counts[number]++;
    }
    return e;
}

/* --- its session -------------------------------------------------------------------------------
 */

static enum err new_session(struct collection *c, const Chaperone__V1__Entry *entry,
                            uint32_t number)
{
    struct sessions *s = &c->sessions;
    enum err e = collection_grow((void **)&s->items, number, &s->capacity, sizeof(*s->items));
    if (e != OK) {
        return e;
    }
    struct collection_session *session = &s->items[number];
    *session = (struct collection_session){
        .id = catalogue_get(s->names, number), .first_ns = entry->time_unix_ns, .close_reason = ""};
    e = keep(c, entry->identity, &session->identity);
    e = e == OK ? keep(c, entry->on_behalf_of, &session->on_behalf_of) : e;
    e = e == OK ? keep(c, entry->resource, &session->resource) : e;
    return e == OK ? keep(c, entry->protocol, &session->protocol) : e;
}

static enum err find_session(struct collection *c, const Chaperone__V1__Entry *entry, uint32_t *out)
{
    bool is_new = false;
    uint32_t number = 0;
    enum err e =
        catalogue_put(c->sessions.names, bytes_of_string(entry->session), &number, &is_new);
    e = e == OK && is_new ? new_session(c, entry, number) : e;
    if (e == OK) {
        struct collection_session *session = &c->sessions.items[number];
        session->entries++;
        session->erased += entry->is_erased != 0;
        session->last_ns = entry->time_unix_ns;
        *out = number;
    }
    return e;
}

/* --- its agent ---------------------------------------------------------------------------------
 */

static void describe(struct json *j, const Chaperone__V1__Identity *who)
{
    json_add_string(j, j->root, "issuer", who->issuer);
    json_add_string(j, j->root, "subject", who->subject);
    json_add_string(j, j->root, "name", who->name);
    json_add_string(j, j->root, "assurance", record_assurance_name(who->assurance));
    json_add_strings(j, j->root, "groups", who->groups, who->n_groups);
    record_json_add_claims(j, j->root, who);
}

static enum err count_identity(struct collection *c, const char *text, int64_t time_ns)
{
    struct identities *s = &c->identities;
    uint32_t number = 0;
    bool is_new = false;
    enum err e = catalogue_put(s->names, bytes_of_string(text), &number, &is_new);
    if (e == OK && is_new) {
        e = collection_grow((void **)&s->items, number, &s->capacity, sizeof(*s->items));
        if (e == OK) {
            s->items[number] = (struct collection_identity){.json = catalogue_get(s->names, number),
                                                            .first_ns = time_ns};
        }
    }
    if (e == OK) {
        s->items[number].sessions++;
        s->items[number].last_ns = time_ns;
    }
    return e;
}

static enum err look_at_identity(struct collection *c, const Chaperone__V1__Identity *who,
                                 int64_t time_ns)
{
    struct json j;
    json_init(&j);
    describe(&j, who);
    char *text = j.failed ? NULL : cJSON_PrintUnformatted(j.root);
    enum err e = text == NULL ? ERR_NO_MEMORY : count_identity(c, text, time_ns);
    cJSON_free(text);
    json_finish(&j);
    return e;
}

/* --- what was masked ---------------------------------------------------------------------------
 */

static enum err new_masked(struct collection *c, const char *resource,
                           const Chaperone__V1__MaskingReceipt__Masked *m, uint32_t number)
{
    struct maskings *s = &c->masked;
    enum err e = collection_grow((void **)&s->items, number, &s->capacity, sizeof(*s->items));
    if (e != OK) {
        return e;
    }
    struct collection_masked *masked = &s->items[number];
    *masked = (struct collection_masked){.by_content = m->by_content != 0};
    e = keep(c, resource, &masked->resource);
    e = e == OK ? keep(c, m->rule, &masked->rule) : e;
    return e == OK ? keep(c, m->column, &masked->column) : e;
}

static enum err count_masked(struct collection *c, const char *resource,
                             const Chaperone__V1__MaskingReceipt__Masked *m)
{
    struct buffer key;
    uint32_t number = 0;
    bool is_new = false;
    buffer_init(&key, NAME_KEY_MAX);
    enum err e = buffer_append_format(&key, "%s\n%s\n%s\n%d", resource, m->rule, m->column,
                                      m->by_content != 0);
    if (e == OK && catalogue_count(c->masked.names) < MASKED_MAX) {
        e = catalogue_put(c->masked.names, buffer_bytes(&key), &number, &is_new);
        e = e == OK && is_new ? new_masked(c, resource, m, number) : e;
        if (e == OK) {
            c->masked.items[number].rows += m->rows;
            c->masked.items[number].outcomes++;
        }
    }
    buffer_finish(&key);
    return e == ERR_LIMIT ? OK : e;
}

/* Of an outcome or a message; NULL: nothing was masked. */
static enum err look_at_receipt(struct collection *c, const Chaperone__V1__Entry *entry,
                                const Chaperone__V1__MaskingReceipt *receipt, uint32_t number,
                                struct collection_session *session)
{
    if (receipt == NULL) {
        return OK;
    }
    enum err e = remember(c, COLLECTION_RECEIPTS, number);
    for (size_t i = 0; e == OK && i < receipt->n_masked; i++) {
        e = count_masked(c, entry->resource, receipt->masked[i]);
    }
    if (session != NULL) {
        session->masked += receipt->n_masked > 0;
    }
    return e;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static enum err look_at_record(struct collection *c, const Chaperone__V1__Entry *entry,
                               const Chaperone__V1__Record *r, uint32_t number,
                               struct collection_session *session)
{
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED: {
        const Chaperone__V1__SessionOpened *opened = r->session_opened;
        enum err e = opened->verdict == CHAPERONE__V1__VERDICT__DENY
                         ? remember(c, COLLECTION_REFUSALS, number)
                         : OK;
        return e == OK && opened->identity != NULL
                   ? look_at_identity(c, opened->identity, r->time_unix_ns)
                   : e;
    }
    case CHAPERONE__V1__RECORD__EVENT_INTENT: {
        bool refused = r->intent->verdict == CHAPERONE__V1__VERDICT__DENY;
        if (session != NULL) {
            session->intents++;
            session->refused += refused;
        }
        return refused ? remember(c, COLLECTION_REFUSALS, number) : OK;
    }
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        return look_at_receipt(c, entry, r->outcome->masking, number, session);
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE:
        return look_at_receipt(c, entry, r->message->masking, number, session);
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED:
        return session == NULL ? OK : keep(c, r->session_closed->reason, &session->close_reason);
    case CHAPERONE__V1__RECORD__EVENT_ACTION:
    case CHAPERONE__V1__RECORD__EVENT_FINDING: return remember(c, COLLECTION_ACTIONS, number);
    default: return OK;
    }
}

enum err collection_look(struct collection *c, const Chaperone__V1__Entry *entry, uint32_t number,
                         uint32_t *out_session, struct err_text *why)
{
    uint32_t at = UINT32_MAX;
    enum err e = count_kind(c, entry->kind);
    if (e == OK && entry->session[0] != '\0') {
        e = find_session(c, entry, &at);
    }
    if (e == OK && c->sample != NULL && strcmp(entry->kind, c->with.sample_of) == 0) {
        sample_offer(c->sample, entry->hash.data, number);
    }
    if (e == OK && entry->record.len > 0) {
        Chaperone__V1__Record *r =
            chaperone__v1__record__unpack(NULL, entry->record.len, entry->record.data);
        if (r == NULL) {
            return err_set(why, ERR_INVALID, "the record at position %llu cannot be read",
                           (unsigned long long)entry->position);
        }
        e = look_at_record(c, entry, r, number, at == UINT32_MAX ? NULL : &c->sessions.items[at]);
        chaperone__v1__record__free_unpacked(r, NULL);
    }
    if (e == OK) {
        *out_session = at;
    }
    return e;
}
