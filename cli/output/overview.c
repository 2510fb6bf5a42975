#include "cli/output/overview.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/output/moment.h"
#include "cli/output/table.h"

enum {
    WHAT_MAX = 4 << 10, /* of a text; all of it is in `audit show` */
    STATUS_SIZE = 24,
    CAPACITY_FIRST = 64,
};

/* A session of which some records are missing may have an outcome only: it has no text then. */
struct item {
    uint64_t operation;
    int64_t time_ns;
    char *what, *rule; /* owned */
    const char *verdict;
    char status[STATUS_SIZE];
    bool has_outcome;
    uint64_t bytes;
    int64_t duration_us;
};

struct overview {
    struct item *items;
    size_t count, capacity;
};

struct overview *overview_create(void)
{
    return calloc(1, sizeof(struct overview));
}

void overview_destroy(struct overview *o)
{
    if (o == NULL) {
        return;
    }
    for (size_t i = 0; i < o->count; i++) {
        free(o->items[i].what);
        free(o->items[i].rule);
    }
    free(o->items);
    free(o);
}

/* A new one at the end; NULL: no memory. */
static struct item *item_add(struct overview *o, uint64_t operation, int64_t time_ns)
{
    if (o->count == o->capacity) {
        size_t capacity = o->capacity == 0 ? CAPACITY_FIRST : o->capacity * 2;
        struct item *items = realloc(o->items, capacity * sizeof(*items));
        if (items == NULL) {
            return NULL;
        }
        o->items = items;
        o->capacity = capacity;
    }
    struct item *item = &o->items[o->count++];
    *item = (struct item){.operation = operation, .time_ns = time_ns};
    return item;
}

/* What follows an intent mostly follows it soon. */
static struct item *item_find(struct overview *o, uint64_t operation)
{
    for (size_t i = o->count; i > 0; i--) {
        if (o->items[i - 1].operation == operation) {
            return &o->items[i - 1];
        }
    }
    return NULL;
}

static enum err add_intent(struct overview *o, const struct record_view *v)
{
    const Chaperone__V1__Intent *e = v->record->intent;
    struct bytes text = record_bytes(e->text);
    struct item *item = item_add(o, e->operation, v->record->time_unix_ns);
    if (item == NULL) {
        return ERR_NO_MEMORY;
    }
    text = text.size == 0 ? bytes_of_string(e->verb) : text;
    text.size = text.size < WHAT_MAX ? text.size : WHAT_MAX;
    item->verdict = v->verdict;
    item->what = bytes_to_string(text);
    item->rule = bytes_to_string(bytes_of_string(v->rule == NULL ? "" : v->rule));
    return item->what == NULL || item->rule == NULL ? ERR_NO_MEMORY : OK;
}

static enum err add_outcome(struct overview *o, const struct record_view *v)
{
    const Chaperone__V1__Outcome *e = v->record->outcome;
    struct item *item = item_find(o, e->operation);
    if (item == NULL) {
        item = item_add(o, e->operation, v->record->time_unix_ns);
    }
    if (item == NULL) {
        return ERR_NO_MEMORY;
    }
    bool was_answered =
        e->status == CHAPERONE__V1__STATUS__SUCCESS || e->status == CHAPERONE__V1__STATUS__FAILED;
    if (was_answered && e->http != NULL && e->http->status != 0) {
        (void)snprintf(item->status, sizeof(item->status), "%u", e->http->status);
    } else {
        (void)snprintf(item->status, sizeof(item->status), "%s",
                       v->status == NULL ? "unknown" : v->status);
    }
    item->has_outcome = true;
    item->bytes = e->bytes;
    item->duration_us = e->duration_us;
    return OK;
}

/* What is said of one that is held, and of later ones that are like it, says not how far it is. */
static bool is_progress(const char *state)
{
    static const char standing[] = "standing";
    return strcmp(state, "decided") != 0 && strncmp(state, standing, sizeof(standing) - 1) != 0;
}

/* How far it is with one that is held: "requested", "approved", "expired". */
static void add_approval(struct overview *o, const Chaperone__V1__Approval *e)
{
    struct item *item = item_find(o, e->operation);
    if (item != NULL && !item->has_outcome && is_progress(e->state)) {
        (void)snprintf(item->status, sizeof(item->status), "%s", e->state);
    }
}

enum err overview_add(struct overview *o, const struct record_view *v)
{
    switch (v->record->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_INTENT: return add_intent(o, v);
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME: return add_outcome(o, v);
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL: add_approval(o, v->record->approval); return OK;
    default: return OK;
    }
}

/* Without an outcome nothing is a success. */
static const char *status_of(const struct item *item)
{
    if (item->status[0] != '\0') {
        return item->status;
    }
    return item->verdict != NULL && strcmp(item->verdict, "deny") == 0   ? "refused"
           : item->verdict != NULL && strcmp(item->verdict, "hold") == 0 ? "held"
                                                                         : "unknown";
}

static enum err row_add(struct table *table, const struct item *item)
{
    char time[MOMENT_SIZE], duration[MOMENT_SIZE] = "", bytes[24] = "";
    moment_format(item->time_ns, time);
    if (item->has_outcome) {
        moment_format_duration(item->duration_us, duration);
        (void)snprintf(bytes, sizeof(bytes), "%" PRIu64, item->bytes);
    }
    enum err e = table_add_string(table, time);
    e = e != OK ? e : table_add_number(table, item->operation);
    e = e != OK ? e : table_add_string(table, item->verdict == NULL ? "" : item->verdict);
    e = e != OK ? e : table_add_string(table, item->rule == NULL ? "" : item->rule);
    e = e != OK ? e : table_add_string(table, status_of(item));
    e = e != OK ? e : table_add_string(table, bytes);
    e = e != OK ? e : table_add_string(table, duration);
    return e != OK ? e : table_add_string(table, item->what == NULL ? "" : item->what);
}

enum err overview_print(const struct overview *o, const struct terminal *t)
{
    static const char *const headings[] = {"TIME",  "OPERATION", "VERDICT", "RULE", "STATUS",
                                           "BYTES", "DURATION",  "WHAT",    NULL};
    struct table *table = table_create(headings);
    enum err e = table == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < o->count; i++) {
        e = row_add(table, &o->items[i]);
    }
    if (e == OK) {
        table_print(table, t);
    }
    table_destroy(table);
    return e;
}
