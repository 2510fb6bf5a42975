#include "cli/reconcile/matcher.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_TEXT_SIZE = 256, SLOTS = 1 << 14, ID_SIZE = 64, PREDICTIONS_MAX = 3 };

/* An operation or an entry; in the slot of its text, and in the row of its kind. */
struct item {
    char stream[ID_SIZE], session[ID_SIZE]; /* of an operation */
    uint64_t operation;
    struct item *next_in_slot, *next_in_row, *previous_in_row;
    size_t slot;
    bool is_operation, is_held, is_matched;
    bool is_shared, is_failed, is_prediction;
    enum matcher_state state;
    int predictions;
    int64_t time_ns;
    bool has_names;
    char user[MATCHER_NAME_SIZE], database[MATCHER_NAME_SIZE];
    char application[MATCHER_NAME_SIZE], backend[MATCHER_NAME_SIZE]; /* of an entry, or its match */
    uint64_t text_size;
    size_t kept_size;
    uint8_t text[];
};

struct row {
    struct item *first, *last;
};

struct matcher {
    struct matcher_options options;
    struct matcher_counts counts;
    struct item *slots[SLOTS];
    struct row operations, entries; /* in the order in which they came */
    void *by_number;                /* tsearch: operations */
    size_t kept;
    int64_t log_end_ns;
};

/* ---- keeping -------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = strcmp(x->session, y->session);
    order = order != 0 ? order : strcmp(x->stream, y->stream);
    return order != 0 ? order : (x->operation > y->operation) - (x->operation < y->operation);
}

/* Of the beginning only, so that an operation whose text was cut has the same. FNV-1a: who chooses
 * texts that collide makes his own check slow, not wrong. */
static size_t slot_of(struct bytes text)
{
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < text.size && i < KEY_TEXT_SIZE; i++) {
        hash = (hash ^ text.data[i]) * 1099511628211U;
    }
    return (size_t)(hash % SLOTS);
}

static void copy_name(char out[MATCHER_NAME_SIZE], struct bytes name)
{
    size_t size = name.size < MATCHER_NAME_SIZE ? name.size : MATCHER_NAME_SIZE - 1;
    if (size > 0) {
        memcpy(out, name.data, size);
    }
    out[size] = '\0';
}

static struct item *item_create(struct bytes text)
{
    struct item *item = calloc(1, sizeof(*item) + text.size);
    if (item != NULL) {
        item->slot = slot_of(text);
        item->kept_size = text.size;
        item->text_size = text.size;
        if (text.size > 0) {
            memcpy(item->text, text.data, text.size);
        }
    }
    return item;
}

static void link_item(struct matcher *m, struct row *row, struct item *item)
{
    struct item **at = &m->slots[item->slot];
    while (*at != NULL) {
        at = &(*at)->next_in_slot;
    }
    *at = item;
    item->previous_in_row = row->last;
    if (row->last == NULL) {
        row->first = item;
    } else {
        row->last->next_in_row = item;
    }
    row->last = item;
    m->kept++;
}

static void unlink_from_slot(struct matcher *m, struct item *item)
{
    struct item **at = &m->slots[item->slot];
    while (*at != NULL && *at != item) {
        at = &(*at)->next_in_slot;
    }
    if (*at == item) {
        *at = item->next_in_slot;
    }
}

static void drop(struct matcher *m, struct row *row, struct item *item)
{
    unlink_from_slot(m, item);
    if (item->previous_in_row == NULL) {
        row->first = item->next_in_row;
    } else {
        item->previous_in_row->next_in_row = item->next_in_row;
    }
    if (item->next_in_row == NULL) {
        row->last = item->previous_in_row;
    } else {
        item->next_in_row->previous_in_row = item->previous_in_row;
    }
    if (item->is_operation) {
        tdelete(item, &m->by_number, compare_numbers);
    }
    m->kept--;
    free(item);
}

/* ---- findings ------------------------------------------------------------------------------- */

static enum err report(struct matcher *m, enum matcher_kind kind, const struct item *item)
{
    return m->options.on_finding(
        m->options.context,
        &(struct matcher_finding){.kind = kind,
                                  .time_ns = item->time_ns,
                                  .user = bytes_of_string(item->user),
                                  .database = bytes_of_string(item->database),
                                  .application = bytes_of_string(item->application),
                                  .backend = bytes_of_string(item->backend),
                                  .text = bytes_of(item->text, item->kept_size),
                                  .session = item->session,
                                  .operation = item->operation});
}

/* ---- matching ------------------------------------------------------------------------------- */

static bool agree(const struct matcher *m, const struct item *operation, const struct item *entry)
{
    int64_t apart = operation->time_ns - entry->time_ns;
    size_t size = operation->kept_size;
    bool is_near = entry->is_prediction ||
                   (apart <= m->options.tolerance_ns && apart >= -m->options.tolerance_ns);
    return is_near && operation->text_size == entry->text_size && entry->kept_size >= size &&
           memcmp(operation->text, entry->text, size) == 0 &&
           (!operation->has_names || (strcmp(operation->user, entry->user) == 0 &&
                                      strcmp(operation->database, entry->database) == 0));
}

/* An entry may stand for one operation; of pgaudit's, and of the sidecar's questions about a held
 * one, for the same as others. */
static bool is_free(const struct item *operation, const struct item *entry)
{
    if (entry->is_prediction) {
        return operation->is_held && operation->predictions < PREDICTIONS_MAX;
    }
    if (entry->is_failed) {
        return true;
    }
    bool waits = operation->is_held && operation->state == MATCHER_UNKNOWN;
    return !waits && operation->state != MATCHER_NOT_EXECUTED &&
           (entry->is_shared || !operation->is_matched);
}

static void join(struct matcher *m, struct item *operation, struct item *entry)
{
    entry->is_matched = true;
    if (entry->is_failed) {
        return;
    }
    if (entry->is_prediction) {
        operation->predictions++;
        m->counts.predictions++;
        return;
    }
    m->counts.matched += operation->is_matched ? 0 : 1;
    operation->is_matched = true;
    copy_name(operation->application, bytes_of_string(entry->application));
    copy_name(operation->backend, bytes_of_string(entry->backend));
}

/* The oldest that agrees. */
static void match_entry(struct matcher *m, struct item *entry)
{
    for (struct item *o = m->slots[entry->slot]; o != NULL; o = o->next_in_slot) {
        if (o->is_operation && is_free(o, entry) && agree(m, o, entry)) {
            join(m, o, entry);
            return;
        }
    }
}

static void match_operation(struct matcher *m, struct item *operation)
{
    for (struct item *e = m->slots[operation->slot]; e != NULL; e = e->next_in_slot) {
        if (!e->is_operation && !e->is_matched && is_free(operation, e) && agree(m, operation, e)) {
            join(m, operation, e);
        }
    }
}

/* ---- the two sides -------------------------------------------------------------------------- */

static struct item *find(struct matcher *m, const char *stream, const char *session,
                         uint64_t operation)
{
    struct item key = {.operation = operation};
    (void)snprintf(key.stream, sizeof(key.stream), "%s", stream);
    (void)snprintf(key.session, sizeof(key.session), "%s", session);
    struct item **found = tfind(&key, &m->by_number, compare_numbers);
    return found == NULL ? NULL : *found;
}

enum err matcher_add_operation(struct matcher *m, const struct matcher_operation *o)
{
    if (m->kept >= MATCHER_KEPT_MAX) {
        return ERR_LIMIT;
    }
    if (find(m, o->stream, o->session, o->operation) != NULL) {
        return OK; /* the same once more: what it says counts once */
    }
    struct item *item = item_create(o->text);
    if (item == NULL) {
        return ERR_NO_MEMORY;
    }
    item->is_operation = true;
    (void)snprintf(item->stream, sizeof(item->stream), "%s", o->stream);
    (void)snprintf(item->session, sizeof(item->session), "%s", o->session);
    item->operation = o->operation;
    item->time_ns = o->time_ns;
    item->is_held = o->is_held;
    item->text_size = o->text_size > o->text.size ? o->text_size : o->text.size;
    item->has_names = o->user != NULL && o->database != NULL;
    if (item->has_names) {
        copy_name(item->user, bytes_of_string(o->user));
        copy_name(item->database, bytes_of_string(o->database));
    }
    if (tsearch(item, &m->by_number, compare_numbers) == NULL) {
        free(item);
        return ERR_NO_MEMORY;
    }
    link_item(m, &m->operations, item);
    match_operation(m, item);
    return OK;
}

enum err matcher_release(struct matcher *m, const char *stream, const char *session,
                         uint64_t operation, int64_t time_ns)
{
    struct item *o = find(m, stream, session, operation);
    if (o != NULL && o->is_held) {
        o->is_held = false;
        o->time_ns = time_ns;
        match_operation(m, o);
    }
    return OK;
}

/* What was taken for this operation was another's: the same text by somebody else. */
static enum err give_back(struct matcher *m, struct item *operation)
{
    for (struct item *o = m->slots[operation->slot]; o != NULL; o = o->next_in_slot) {
        bool is_other = o->is_operation && o != operation && !o->is_matched && !o->is_held &&
                        o->state != MATCHER_NOT_EXECUTED;
        if (is_other && agree(m, o, operation)) {
            o->is_matched = true;
            operation->is_matched = false;
            return OK;
        }
    }
    return report(m, MATCHER_REFUSED_RAN, operation);
}

enum err matcher_set_state(struct matcher *m, const char *stream, const char *session,
                           uint64_t operation, enum matcher_state state)
{
    struct item *o = find(m, stream, session, operation);
    if (o == NULL || o->state != MATCHER_UNKNOWN) {
        return OK;
    }
    o->state = state;
    enum err e = OK;
    if (state == MATCHER_NOT_EXECUTED && o->is_matched) {
        m->counts.matched--;
        e = give_back(m, o);
        m->counts.matched += o->is_matched ? 0 : 1;
    }
    return e;
}

enum err matcher_add_entry(struct matcher *m, const struct matcher_entry *e)
{
    struct item *item = m->kept < MATCHER_KEPT_MAX ? item_create(e->text) : NULL;
    if (item == NULL) {
        return m->kept < MATCHER_KEPT_MAX ? ERR_NO_MEMORY : ERR_LIMIT;
    }
    item->time_ns = e->time_ns;
    copy_name(item->user, e->user);
    copy_name(item->database, e->database);
    copy_name(item->application, e->application);
    copy_name(item->backend, e->backend);
    item->is_shared = e->is_shared;
    item->is_failed = e->is_failed;
    item->is_prediction = e->is_prediction;
    match_entry(m, item);
    if (item->is_matched) {
        free(item);
    } else {
        link_item(m, &m->entries, item);
    }
    return OK;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* Its time is over: what became of it? */
static enum err end_operation(struct matcher *m, struct item *o)
{
    enum err e = OK;
    bool is_beyond = o->time_ns >= m->log_end_ns;
    if (!o->is_matched && !is_beyond && !o->is_held) {
        if (o->state == MATCHER_EXECUTED) {
            e = report(m, MATCHER_NOT_IN_LOG, o);
        }
        m->counts.failed += o->state == MATCHER_FAILED ? 1 : 0;
        m->counts.unknown += o->state == MATCHER_UNKNOWN ? 1 : 0;
    }
    drop(m, &m->operations, o);
    return e;
}

static enum err end_entry(struct matcher *m, struct item *entry)
{
    enum err e = OK;
    if (!entry->is_matched && entry->is_failed) {
        m->counts.errors++;
    } else if (!entry->is_matched) {
        e = report(m, MATCHER_NOT_IN_AUDIT, entry);
    }
    drop(m, &m->entries, entry);
    return e;
}

/* One whose outcome is not recorded yet waits for it, and leaves room for those behind it. */
static enum err advance(struct matcher *m, int64_t operations_before, int64_t entries_before,
                        bool is_end)
{
    enum err e = OK;
    struct item *next = NULL;
    for (struct item *o = m->operations.first; e == OK && o != NULL; o = next) {
        next = o->next_in_row;
        if (o->time_ns >= operations_before && !is_end) {
            break;
        }
        if (is_end || o->state != MATCHER_UNKNOWN) {
            e = end_operation(m, o);
        }
    }
    for (struct item *entry = m->entries.first; e == OK && entry != NULL; entry = next) {
        next = entry->next_in_row;
        if (!is_end && !entry->is_matched && entry->time_ns >= entries_before) {
            break;
        }
        e = end_entry(m, entry);
    }
    return e;
}

enum err matcher_advance(struct matcher *m, int64_t operations_ns, int64_t entries_ns)
{
    int64_t t = m->options.tolerance_ns;
    return advance(m, entries_ns - t, operations_ns - t, false);
}

void matcher_end_entries(struct matcher *m, int64_t log_end_ns)
{
    m->log_end_ns = log_end_ns;
}

enum err matcher_end(struct matcher *m)
{
    return advance(m, 0, 0, true);
}

struct matcher_counts matcher_counts(const struct matcher *m)
{
    return m->counts;
}

struct matcher *matcher_create(const struct matcher_options *options)
{
    struct matcher *m = calloc(1, sizeof(*m));
    if (m != NULL) {
        m->options = *options;
        m->log_end_ns = INT64_MAX;
    }
    return m;
}

static void keep_nothing(void *item)
{
    (void)item; /* the rows own it */
}

void matcher_destroy(struct matcher *m)
{
    if (m == NULL) {
        return;
    }
    tdestroy(m->by_number, keep_nothing);
    struct row rows[] = {m->operations, m->entries};
    for (size_t i = 0; i < 2; i++) {
        for (struct item *item = rows[i].first, *next = NULL; item != NULL; item = next) {
            next = item->next_in_row;
            free(item);
        }
    }
    free(m);
}
