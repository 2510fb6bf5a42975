#include "formats/csv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "formats/text.h"

enum { HASH_SIZE = 32 };

static const char header[] =
    "position,time,kind,session,operation,identity,on_behalf_of,resource,protocol,verdict,rule,"
    "policy,command,objects,text,status,rows,bytes,duration_us,error_code,error,sidecar,sequence,"
    "hash,erased\r\n";

struct line {
    struct buffer *out; /* borrows */
    bool has_cell;
    enum err failed; /* stays */
};

static void put(struct line *l, struct bytes text)
{
    l->failed = l->failed == OK ? buffer_append(l->out, text) : l->failed;
}

/* What the programs that open CSV files take for the beginning of a formula, also behind white
 * space that they remove. */
static bool is_formula(const char *text)
{
    text += strspn(text, " \t\r\n");
    return text[0] != '\0' && strchr("=+-@", text[0]) != NULL;
}

static void put_utf8(struct line *l, const char *text)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    put(l, bytes_of_string(quoted ? "\"" : ""));
    put(l, bytes_of_string(is_formula(text) ? "'" : ""));
    for (size_t n = strcspn(text, "\""); text[0] != '\0'; n = strcspn(text, "\"")) {
        put(l, bytes_of(text, n));
        text += n;
        if (text[0] == '"') {
            put(l, bytes_of_string("\"\""));
            text++;
        }
    }
    put(l, bytes_of_string(quoted ? "\"" : ""));
}

static void next_cell(struct line *l)
{
    put(l, bytes_of_string(l->has_cell ? "," : ""));
    l->has_cell = true;
}

static void add_text(struct line *l, struct bytes text)
{
    next_cell(l);
    if (text.size == 0) {
        return;
    }
    char *utf8 = text_to_utf8(text);
    if (utf8 == NULL) {
        l->failed = l->failed == OK ? ERR_NO_MEMORY : l->failed;
        return;
    }
    put_utf8(l, utf8);
    free(utf8);
}

static void add_string(struct line *l, const char *text)
{
    add_text(l, bytes_of_string(text));
}

static void add_number(struct line *l, bool known, uint64_t value)
{
    char digits[24] = "";
    if (known) {
        (void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
    }
    next_cell(l);
    put(l, bytes_of_string(digits));
}

static void add_time(struct line *l, int64_t wall_ns)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(wall_ns, time);
    next_cell(l);
    put(l, bytes_of_string(time));
}

static void add_hash(struct line *l, struct bytes hash)
{
    static const char digits[] = "0123456789abcdef";
    next_cell(l);
    for (size_t i = 0; hash.size == HASH_SIZE && i < hash.size; i++) {
        char pair[2] = {digits[hash.data[i] >> 4], digits[hash.data[i] & 0xf]};
        put(l, bytes_of(pair, sizeof(pair)));
    }
}

static void add_command(struct line *l, const Chaperone__V1__Record *r)
{
    if (r->event_case == CHAPERONE__V1__RECORD__EVENT_OUTCOME) {
        add_text(l, record_tag_command(r->outcome->command_tag));
        return;
    }
    struct buffer joined;
    buffer_init(&joined, SIZE_MAX);
    size_t count = r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT ? r->intent->n_commands : 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = buffer_append_format(&joined, "%s%s", i > 0 ? "; " : "", r->intent->commands[i]);
    }
    l->failed = l->failed == OK ? e : l->failed;
    add_text(l, buffer_bytes(&joined));
    buffer_finish(&joined);
}

/* "orders (read); customers (write)" */
static void add_objects(struct line *l, const Chaperone__V1__Record *r)
{
    struct buffer joined;
    buffer_init(&joined, SIZE_MAX);
    size_t count = r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT ? r->intent->n_objects : 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        const Chaperone__V1__Object *o = r->intent->objects[i];
        e = buffer_append_format(&joined, "%s%s (%s)", i > 0 ? "; " : "", o->name, o->access);
    }
    l->failed = l->failed == OK ? e : l->failed;
    add_text(l, buffer_bytes(&joined));
    buffer_finish(&joined);
}

/* What says what was done: the statement; what an action was about, what a finding found, what a
 * message said. */
static struct bytes text_of(const Chaperone__V1__Record *r)
{
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_INTENT: return record_bytes(r->intent->text);
    case CHAPERONE__V1__RECORD__EVENT_ACTION: return bytes_of_string(r->action->object);
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL: return bytes_of_string(r->approval->reason);
    case CHAPERONE__V1__RECORD__EVENT_FINDING: return bytes_of_string(r->finding->detail);
    case CHAPERONE__V1__RECORD__EVENT_MESSAGE: return record_bytes(r->message->data);
    default: return bytes_of(NULL, 0);
    }
}

static void add_count(struct line *l, struct record_count count)
{
    add_number(l, count.known, count.value);
}

static void add_record(struct line *l, const struct record_view *v)
{
    const Chaperone__V1__Record *r = v->record;
    add_time(l, r->time_unix_ns);
    add_string(l, v->kind);
    add_string(l, v->session);
    add_count(l, v->operation);
    add_string(l, v->identity);
    add_string(l, v->on_behalf_of);
    add_string(l, v->resource);
    add_string(l, v->protocol);
    add_string(l, v->verdict);
    add_string(l, v->rule);
    add_string(l, v->policy);
    add_command(l, r);
    add_objects(l, r);
    add_text(l, text_of(r));
    add_string(l, r->event_case == CHAPERONE__V1__RECORD__EVENT_ACTION    ? r->action->action
                  : r->event_case == CHAPERONE__V1__RECORD__EVENT_FINDING ? r->finding->kind
                                                                          : v->status);
    add_count(l, v->rows);
    add_count(l, v->bytes);
    add_count(l, v->duration_us);
    add_string(l, v->error_code);
    add_string(l, v->error);
    add_string(l, v->sidecar);
    add_number(l, true, r->sequence);
}

enum { EMPTY_CELLS_OF_ERASED = 12 /* from verdict to error */ };

static void add_erased(struct line *l, const Chaperone__V1__Entry *entry)
{
    add_time(l, entry->time_unix_ns);
    add_string(l, entry->kind);
    add_string(l, entry->session);
    add_number(l, false, 0);
    add_string(l, entry->identity);
    add_string(l, entry->on_behalf_of);
    add_string(l, entry->resource);
    add_string(l, entry->protocol);
    for (int i = 0; i < EMPTY_CELLS_OF_ERASED; i++) {
        add_number(l, false, 0);
    }
    add_string(l, entry->sidecar);
    add_number(l, true, entry->sequence);
}

enum err csv_header(struct buffer *out)
{
    return buffer_append_string(out, header);
}

enum err csv_record(const Chaperone__V1__Entry *entry, const Chaperone__V1__Record *record,
                    struct buffer *out)
{
    struct line l = {.out = out};
    add_number(&l, true, entry->position);
    if (record == NULL) {
        add_erased(&l, entry);
    } else {
        struct record_view v;
        record_view_init(&v, entry, record);
        add_record(&l, &v);
    }
    add_hash(&l, record_bytes(entry->hash));
    add_string(&l, record == NULL ? "true" : "false");
    put(&l, bytes_of_string("\r\n"));
    return l.failed;
}
