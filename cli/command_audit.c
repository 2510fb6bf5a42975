/* audit search, audit show, audit tail. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/output/line.h"
#include "cli/output/moment.h"
#include "cli/output/overview.h"
#include "cli/output/transcript.h"
#include "cli/output/wanted.h"
#include "cli/remote.h"
#include "formats/record_json.h"

enum {
    LIMIT_MAX = 100000000,
    SHOWN_ROWS = 5,
    SHOWN_ROWS_MAX = 1000000,
    WORDS_MAX = 64 << 10, /* the control plane takes fewer */
};

static const char *const verdicts[] = {"allow", "deny", "hold", NULL};

const struct option_spec command_audit_options[] = {
    {"identity", 'i', OPTION_TEXT, "SUBJECT", "of this agent", NULL},
    {"resource", 'r', OPTION_TEXT, "NAME", "on this resource", NULL},
    {"session", 0, OPTION_TEXT, "ID", "of this session", NULL},
    {"since", 0, OPTION_TEXT, "TIME", "from then on: RFC 3339, or 15m, 2h, 7d ago", NULL},
    {"until", 0, OPTION_TEXT, "TIME", "up to then", NULL},
    {"text", 0, OPTION_TEXT, "WORDS", "with these words in the statement", NULL},
    {"table", 't', OPTION_TEXT, "NAME", "that touch this table", NULL},
    {"path", 0, OPTION_TEXT, "PATTERN", "requests of HTTP: /orders/42, /orders/{id}, /orders/**",
     NULL},
    {"status", 0, OPTION_TEXT, "CODE", "responses of HTTP: 404, 4xx", NULL},
    {"verdict", 0, OPTION_TEXT, "VERDICT", "with this verdict", verdicts},
    {"kind", 0, OPTION_TEXT, "KIND", "of this kind; several with commas between", NULL},
    {"shadow", 0, OPTION_FLAG, NULL, "operations that rules in shadow would decide otherwise",
     NULL},
    {"limit", 'n', OPTION_TEXT, "N", "only the newest N", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {"rows", 0, OPTION_FLAG, NULL, "with --json: also the recorded rows", NULL},
    {0},
};

const struct option_spec command_audit_show_options[] = {
    {"rows", 0, OPTION_TEXT, "N",
     "rows shown of each answer (5), and of each body eight times as many lines", NULL},
    {"operations", 0, OPTION_FLAG, NULL, "one line for each operation", NULL},
    {"operation", 0, OPTION_TEXT, "N", "only what is about this one", NULL},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line, with the recorded rows", NULL},
    {0},
};

/* What a stream of entries is printed as; used by one thread at a time. */
struct printing {
    const struct invocation *invocation;
    struct line_printer lines;
    struct transcript *transcript; /* NULL: lines or JSON */
    struct overview *overview;     /* NULL: not asked for */
    bool json, with_rows, live;
    struct wanted wanted;
    uint64_t count;
    enum err failed;
};

static enum err print_record(struct printing *p, const struct record_view *v)
{
    if (p->json) {
        return record_json_write(p->invocation->out.out, v, p->with_rows);
    }
    if (p->overview != NULL) {
        return overview_add(p->overview, v);
    }
    if (p->transcript != NULL) {
        return transcript_add(p->transcript, v);
    }
    line_print(&p->lines, v);
    return OK;
}

static enum err print_entry(struct printing *p, const Chaperone__V1__Entry *entry)
{
    Chaperone__V1__Record *record = record_unpack(entry);
    if (record == NULL) {
        return ERR_INVALID;
    }
    enum err e = OK;
    struct record_view v;
    record_view_init(&v, entry, record);
    if (wanted_is(&p->wanted, &v)) {
        e = print_record(p, &v);
        p->count++;
    }
    chaperone__v1__record__free_unpacked(record, NULL);
    return e;
}

static bool on_entries(void *context, const ProtobufCMessage *message)
{
    struct printing *p = context;
    const Chaperone__V1__SearchResponse *response = (const Chaperone__V1__SearchResponse *)message;
    FILE *out = p->invocation->out.out;
    for (size_t i = 0; i < response->n_entries && p->failed == OK; i++) {
        p->failed = print_entry(p, response->entries[i]);
    }
    if (p->live && fflush(out) != 0) {
        return false;
    }
    return p->failed == OK && ferror(out) == 0;
}

enum { KINDS_MAX = 16, KINDS_TEXT_MAX = 256 };

struct kinds {
    char text[KINDS_TEXT_MAX];
    char *items[KINDS_MAX];
};

static enum err read_kinds(const struct invocation *i, struct kinds *kinds,
                           Chaperone__V1__SearchRequest *out, struct err_text *error)
{
    const char *list = options_value(&i->options, "kind");
    if (list == NULL) {
        return OK;
    }
    (void)snprintf(kinds->text, sizeof(kinds->text), "%s", list);
    char *rest = kinds->text;
    for (char *kind = strsep(&rest, ","); kind != NULL; kind = strsep(&rest, ",")) {
        size_t at = 0;
        while (record_kinds[at] != NULL && strcmp(record_kinds[at], kind) != 0) {
            at++;
        }
        if (record_kinds[at] == NULL || out->n_kinds == KINDS_MAX) {
            const char *meant = options_suggest(kind, record_kinds);
            return err_set(error, ERR_INVALID,
                           "--kind: expected session_opened, intent, approval, outcome, "
                           "session_closed, heartbeat, loss, action, finding or message, found "
                           "\"%.64s\"%s%s%s",
                           kind, meant == NULL ? "" : "; did you mean ", meant == NULL ? "" : meant,
                           meant == NULL ? "" : "?");
        }
        kinds->items[out->n_kinds++] = kind;
    }
    out->kinds = kinds->items;
    return OK;
}

/* What a search needs beside its request: the request borrows from it. */
struct asked {
    struct kinds kinds;
    struct wanted wanted;
    struct buffer words;
    char *text; /* owned; NULL: what the option says */
};

static void asked_finish(struct asked *a)
{
    buffer_finish(&a->words);
    free(a->text);
}

/* The control plane has no index of it: all of its kind come, and the others are left out here. */
static enum err only_kind(struct asked *a, const char *option, const char *kind,
                          Chaperone__V1__SearchRequest *out, struct err_text *error)
{
    if (out->n_kinds > 0 || out->limit > 0) {
        return err_set(error, ERR_INVALID,
                       "--%s cannot be together with --kind, --limit, or another such option",
                       option);
    }
    (void)snprintf(a->kinds.text, sizeof(a->kinds.text), "%s", kind);
    a->kinds.items[0] = a->kinds.text;
    out->kinds = a->kinds.items;
    out->n_kinds = 1;
    return OK;
}

/* Its words narrow down what comes. */
static enum err read_path(const struct invocation *i, struct asked *a,
                          Chaperone__V1__SearchRequest *out, struct err_text *error)
{
    const char *path = options_value(&i->options, "path");
    if (path == NULL) {
        return OK;
    }
    if (wanted_check_path(path) != OK) {
        return err_set(error, ERR_INVALID,
                       "--path: expected a path such as /orders/42, /orders/{id} or /orders/**");
    }
    a->wanted.path = path;
    enum err e = only_kind(a, "path", "intent", out, error);
    e = e == OK ? buffer_append_string(&a->words, out->text) : e;
    e = e == OK ? wanted_append_words(path, &a->words) : e;
    if (e == OK) {
        a->text = bytes_to_string(buffer_bytes(&a->words));
        e = a->text == NULL ? ERR_NO_MEMORY : OK;
        out->text = a->text == NULL ? out->text : a->text;
    }
    return e;
}

static enum err read_wanted(const struct invocation *i, struct asked *a,
                            Chaperone__V1__SearchRequest *out, struct err_text *error)
{
    const char *status = options_value(&i->options, "status");
    enum err e = OK;
    a->wanted.in_shadow = options_flag(&i->options, "shadow");
    if (a->wanted.in_shadow) {
        e = only_kind(a, "shadow", "intent", out, error);
    }
    if (e == OK && status != NULL) {
        e = wanted_parse_status(status, &a->wanted) == OK
                ? only_kind(a, "status", "outcome", out, error)
                : err_set(error, ERR_INVALID, "--status: expected a code such as 404 or 4xx");
    }
    return e == OK ? read_path(i, a, out, error) : e;
}

/* protobuf-c's strings are not const, but a request is only read. */
static void set_text(const struct invocation *i, const char *option, char **out)
{
    const char *value = options_value(&i->options, option);
    if (value != NULL) {
        *out = (char *)(uintptr_t)value;
    }
}

static enum err read_request(const struct invocation *i, struct asked *asked,
                             Chaperone__V1__SearchRequest *out, struct err_text *error)
{
    const char *verdict = options_value(&i->options, "verdict");
    chaperone__v1__search_request__init(out);
    set_text(i, "identity", &out->identity);
    set_text(i, "resource", &out->resource);
    set_text(i, "session", &out->session);
    set_text(i, "text", &out->text);
    set_text(i, "table", &out->table);
    if (verdict != NULL) {
        (void)record_parse_verdict(verdict, &out->verdict); /* one of the option's choices */
    }
    enum err e = options_number(&i->options, "limit", 0, LIMIT_MAX, &out->limit, error);
    if (e == OK && options_value(&i->options, "limit") != NULL && out->limit == 0) {
        e = err_set(error, ERR_INVALID, "--limit: expected at least 1; without it all are shown");
    }
    e = e != OK ? e : command_times(i, &out->since_unix_ns, &out->until_unix_ns, error);
    e = e != OK ? e : read_kinds(i, &asked->kinds, out, error);
    return e != OK ? e : read_wanted(i, asked, out, error);
}

/* Runs a search or a tail; `*out_code` is the exit code of how it ended. */
static int print_all(struct invocation *i, const char *method,
                     const Chaperone__V1__SearchRequest *request, struct printing *p)
{
    struct remote remote;
    struct client_end end;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    client_stream(remote.client, &chaperone__v1__audit__descriptor, method, &request->base,
                  on_entries, p, &end);
    code = remote_exit(i, &remote, &end);
    if (code == EXIT_YES && p->failed != OK) {
        code = command_fail(i, EXIT_NO, "a record cannot be shown: %s", err_name(p->failed));
    }
    remote_close(&remote);
    return code;
}

static void printing_init(struct printing *p, const struct invocation *i)
{
    *p = (struct printing){.invocation = i,
                           .json = options_flag(&i->options, "json"),
                           .with_rows = options_flag(&i->options, "rows")};
    line_printer_init(&p->lines, &i->out);
}

static int search_asked(struct invocation *i, const char *method, bool live, struct asked *asked)
{
    Chaperone__V1__SearchRequest request;
    struct printing printing;
    struct err_text error = {0};
    if (read_request(i, asked, &request, &error) != OK) {
        return command_misuse(i, &error);
    }
    if (live && request.since_unix_ns == 0 && request.limit == 0) {
        request.since_unix_ns = clock_wall(&i->clock);
    }
    printing_init(&printing, i);
    printing.live = live;
    printing.wanted = asked->wanted;
    int code = print_all(i, method, &request, &printing);
    if (code != EXIT_YES) {
        return code;
    }
    if (printing.count == 0 && !live) {
        (void)fputs("no record matches\n", i->errors.out);
        return EXIT_NO;
    }
    return remote_flush(i);
}

static int search(struct invocation *i, const char *method, bool live)
{
    struct asked asked = {0};
    buffer_init(&asked.words, WORDS_MAX);
    int code = search_asked(i, method, live, &asked);
    asked_finish(&asked);
    return code;
}

int command_audit_search(struct invocation *i)
{
    return search(i, "Search", false);
}

int command_audit_tail(struct invocation *i)
{
    return search(i, "Tail", true);
}

static int end_show(struct invocation *i, struct printing *p)
{
    enum err e = OK;
    if (p->overview != NULL) {
        e = overview_print(p->overview, &i->out);
    } else if (p->transcript != NULL && p->wanted.operation != 0) {
        transcript_end_part(p->transcript);
    } else if (p->transcript != NULL) {
        transcript_end(p->transcript);
    }
    return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
}

static int show(struct invocation *i, struct printing *printing)
{
    Chaperone__V1__SearchRequest request;
    const char *session = i->options.arguments[0];
    chaperone__v1__search_request__init(&request);
    request.session = (char *)(uintptr_t)session;
    int code = print_all(i, "Search", &request, printing);
    if (code != EXIT_YES) {
        return code;
    }
    if (printing->count == 0 && printing->wanted.operation != 0) {
        return command_fail(i, EXIT_NO, "no operation %llu of session %s in the audit log",
                            (unsigned long long)printing->wanted.operation, session);
    }
    if (printing->count == 0) {
        return command_fail(i, EXIT_NO, "no session %s in the audit log", session);
    }
    return end_show(i, printing);
}

static int show_as_asked(struct invocation *i, struct printing *p, uint32_t rows)
{
    p->with_rows = p->json;
    if (p->json) {
        return show(i, p);
    }
    if (options_flag(&i->options, "operations")) {
        p->overview = overview_create();
    } else {
        p->transcript = transcript_create(&i->out, rows);
    }
    if (p->overview == NULL && p->transcript == NULL) {
        return command_fail(i, EXIT_NO, "out of memory");
    }
    return show(i, p);
}

int command_audit_show(struct invocation *i)
{
    struct printing printing;
    struct err_text error = {0};
    uint32_t rows = SHOWN_ROWS, operation = 0;
    printing_init(&printing, i);
    enum err e = options_number(&i->options, "rows", SHOWN_ROWS, SHOWN_ROWS_MAX, &rows, &error);
    if (e == OK) {
        e = options_number(&i->options, "operation", 0, UINT32_MAX, &operation, &error);
    }
    if (e == OK && options_value(&i->options, "operation") != NULL && operation == 0) {
        e = err_set(&error, ERR_INVALID, "--operation: expected at least 1");
    }
    if (e == OK && options_flag(&i->options, "operations") && printing.json) {
        e = err_set(&error, ERR_INVALID, "--operations cannot be together with --json");
    }
    if (e != OK) {
        return command_misuse(i, &error);
    }
    printing.wanted.operation = operation;
    int code = show_as_asked(i, &printing, rows);
    transcript_destroy(printing.transcript);
    overview_destroy(printing.overview);
    return code;
}
