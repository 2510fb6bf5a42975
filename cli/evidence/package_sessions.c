/* Each session as a conversation, as data, and as a recording of a terminal. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/evidence/package_internal.h"
#include "cli/output/transcript.h"
#include "cli/replay/cast.h"
#include "cli/replay/pace.h"
#include "cli/replay/script.h"
#include "formats/record_json.h"

enum { SHOWN_ROWS = 1000000, CAST_ROWS_SHOWN = 5, CAST_COLUMNS = 120, CAST_LINES = 36 };

struct session_file {
    struct package *p;
    const struct collection_session *session;
    FILE *out;
    struct transcript *transcript; /* NULL: JSON */
};

static enum err show(struct transcript *transcript, const Chaperone__V1__Entry *entry,
                     const Chaperone__V1__Record *record)
{
    struct record_view v;
    record_view_init(&v, entry, record);
    return transcript_add(transcript, &v);
}

static enum err put_text(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                         const Chaperone__V1__Record *record)
{
    struct session_file *f = context;
    (void)number;
    enum err e = show(f->transcript, entry, record);
    return e == OK && ferror(f->out) != 0 ? ERR_IO : e;
}

static enum err put_line(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                         const Chaperone__V1__Record *record)
{
    struct session_file *f = context;
    struct record_view v;
    (void)number;
    record_view_init(&v, entry, record);
    enum err e = record_json_write(f->out, &v, true);
    return e == OK && ferror(f->out) != 0 ? ERR_IO : e;
}

static enum err each_entry(struct package *p, size_t n, package_entry_fn *fn, void *context)
{
    struct collection *c = p->with.collection;
    return package_each(p, collection_session_entries(c, n), collection_session(c, n)->entries, fn,
                        context);
}

static FILE *begin(struct package *p, size_t n, const char *folder, const char *suffix)
{
    char id[PACKAGE_ID_SIZE], name[PACKAGE_NAME_SIZE];
    package_id(collection_session(p->with.collection, n)->id, id);
    (void)snprintf(name, sizeof(name), "%s/%s.%s", folder, id, suffix);
    return zip_begin(p->with.zip, name);
}

static enum err end(struct package *p, enum err e)
{
    enum err ended = zip_end(p->with.zip);
    return e == OK ? ended : e;
}

static enum err write_text(struct package *p, size_t n)
{
    struct session_file f = {.p = p, .out = begin(p, n, "sessions", "txt")};
    if (f.out == NULL) {
        return ERR_IO;
    }
    const struct terminal plain = {.out = f.out};
    f.transcript = transcript_create(&plain, SHOWN_ROWS);
    enum err e = f.transcript == NULL ? ERR_NO_MEMORY : each_entry(p, n, put_text, &f);
    if (e == OK) {
        transcript_end(f.transcript);
    }
    transcript_destroy(f.transcript);
    return end(p, e);
}

static enum err write_lines(struct package *p, size_t n)
{
    struct session_file f = {.p = p, .out = begin(p, n, "sessions", "jsonl")};
    return f.out == NULL ? ERR_IO : end(p, each_entry(p, n, put_line, &f));
}

/* --- a recording of a terminal -----------------------------------------------------------------
 */

struct recording_file {
    FILE *page; /* in memory: what one record shows */
    char *text;
    size_t size;
    struct transcript *transcript;
    struct cast cast;
    struct pace_gaps gaps;
    bool is_closed;
};

static enum err put_shown(struct recording_file *f)
{
    if (fflush(f->page) != 0) {
        return ERR_NO_MEMORY;
    }
    size_t size = (size_t)ftello(f->page);
    enum err e =
        size == 0 ? OK : cast_add_output(&f->cast, f->gaps.due_ns, bytes_of(f->text, size));
    return fseeko(f->page, 0, SEEK_SET) == 0 ? e : ERR_NO_MEMORY;
}

static enum err put_event(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                          const Chaperone__V1__Record *record)
{
    struct recording_file *f = context;
    enum err e = OK;
    (void)number;
    (void)pace_gaps_add(&f->gaps, record->time_unix_ns);
    if (record->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        char label[SCRIPT_LABEL_SIZE];
        script_label(record->intent, label);
        e = cast_add_marker(&f->cast, f->gaps.due_ns, label);
    }
    f->is_closed = record->event_case == CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED;
    e = e == OK ? show(f->transcript, entry, record) : e;
    return e == OK ? put_shown(f) : e;
}

static enum err record_session(struct package *p, size_t n, struct recording_file *f, FILE *out)
{
    const struct collection_session *s = collection_session(p->with.collection, n);
    char title[128];
    (void)snprintf(title, sizeof(title), "session %.64s", s->id);
    const struct cast_header header = {.columns = CAST_COLUMNS,
                                       .rows = CAST_LINES,
                                       .started_unix_ns = s->first_ns,
                                       .title = title};
    enum err e = cast_start(&f->cast, out, &header);
    e = e == OK ? each_entry(p, n, put_event, f) : e;
    if (e == OK) {
        transcript_end(f->transcript);
        e = put_shown(f);
    }
    return e == OK && f->is_closed ? cast_add_exit(&f->cast, f->gaps.due_ns, 0) : e;
}

static enum err write_cast(struct package *p, size_t n)
{
    struct recording_file f = {.page = NULL};
    FILE *out = begin(p, n, "replay", "cast");
    if (out == NULL) {
        return ERR_IO;
    }
    f.page = open_memstream(&f.text, &f.size);
    const struct terminal page = {
        .out = f.page, .is_terminal = true, .colour = true, .width = CAST_COLUMNS};
    f.transcript = f.page == NULL ? NULL : transcript_create(&page, CAST_ROWS_SHOWN);
    enum err e = f.transcript == NULL ? ERR_NO_MEMORY : record_session(p, n, &f, out);
    transcript_destroy(f.transcript);
    if (f.page != NULL) {
        (void)fclose(f.page);
    }
    free(f.text);
    return end(p, e);
}

enum err package_write_sessions(struct package *p)
{
    enum err e = OK;
    for (size_t n = 0; e == OK && n < collection_session_count(p->with.collection); n++) {
        e = write_text(p, n);
        e = e == OK ? write_lines(p, n) : e;
        e = e == OK && p->with.with_replay ? write_cast(p, n) : e;
        if (e == OK && !p->with.on_progress(p->with.context, p->done, p->total)) {
            e = ERR_CLOSED;
        }
    }
    return e;
}
