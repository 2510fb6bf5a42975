#include "cli/output/exchange.h"

#include <inttypes.h>

#include "formats/body.h"
#include "formats/text.h"

/* Laid out, deep JSON is mostly blanks; beyond this it is shown as it came. */
enum { LAID_OUT_MAX = 16 << 20, HEX_PER_LINE = 32, HEX_MAX = 4 << 10 };

struct page {
    FILE *out; /* borrows */
    const struct terminal *terminal;
    size_t indent, max_lines;
    char side; /* '>', '<' */
};

/* ---- lines of the message itself ---- */

static void begin(const struct page *p)
{
    (void)fprintf(p->out, "%*s%c", (int)p->indent, "", p->side);
}

static void put(const struct page *p, struct bytes text)
{
    text_write(p->out, text, TEXT_ESCAPED);
}

static void put_string(const struct page *p, const char *text)
{
    put(p, bytes_of_string(text));
}

static void print_fields(const struct page *p, Chaperone__V1__HttpField *const *fields,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        begin(p);
        (void)fputc(' ', p->out);
        put_string(p, fields[i]->name);
        (void)fputs(": ", p->out);
        put(p, record_bytes(fields[i]->value));
        (void)fputc('\n', p->out);
    }
}

static void print_line(const struct page *p, struct bytes line)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r') {
        line.size--;
    }
    begin(p);
    (void)fputs(line.size > 0 ? " " : "", p->out);
    text_write(p->out, line, TEXT_LINES); /* tabs stay; a line has no line break */
    (void)fputc('\n', p->out);
}

static void print_lines(const struct page *p, struct bytes text)
{
    size_t shown = 0, more = 0;
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t length = end == NULL ? text.size : (size_t)(end - text.data);
        size_t taken = end == NULL ? length : length + 1;
        if (shown < p->max_lines) {
            print_line(p, bytes_of(text.data, length));
            shown++;
        } else {
            more++;
        }
        text = bytes_of(text.data + taken, text.size - taken);
    }
    if (more > 0) {
        (void)fprintf(p->out, "%*s... %zu more line%s\n", (int)p->indent, "", more,
                      more == 1 ? "" : "s");
    }
}

static void print_laid_out(const struct page *p, struct bytes json)
{
    struct buffer text;
    buffer_init(&text, LAID_OUT_MAX);
    bool is_done = body_append_indented(json, &text) == OK;
    print_lines(p, is_done ? buffer_bytes(&text) : json);
    buffer_finish(&text);
}

/* For who decides on it. */
static void print_hex(const struct page *p, struct bytes body)
{
    size_t shown = body.size < HEX_MAX ? body.size : HEX_MAX;
    for (size_t i = 0; i < shown; i++) {
        if (i % HEX_PER_LINE == 0) {
            begin(p);
            (void)fputc(' ', p->out);
        }
        bool is_end = i % HEX_PER_LINE == HEX_PER_LINE - 1 || i + 1 == shown;
        (void)fprintf(p->out, "%02x%s", body.data[i], is_end ? "\n" : "");
    }
    if (shown < body.size) {
        (void)fprintf(p->out, "%*s... %zu more bytes, which --json has\n", (int)p->indent, "",
                      body.size - shown);
    }
}

static void print_body(const struct page *p, struct bytes body, bool is_truncated)
{
    switch (body_form_of(body, is_truncated)) {
    case BODY_JSON: print_laid_out(p, body); break;
    case BODY_TEXT: print_lines(p, body); break;
    case BODY_BINARY:
        (void)fprintf(p->out, "%*s(%zu bytes that are no text)\n", (int)p->indent, "", body.size);
        if (p->max_lines == EXCHANGE_LINES_ALL) {
            print_hex(p, body);
        }
        break;
    case BODY_EMPTY: break;
    }
}

/* ---- what is said of it ---- */

static void say(const struct page *p, const char *name)
{
    (void)fprintf(p->out, "%*s%s: ", (int)p->indent, "", name);
}

static void say_text(const struct page *p, const char *name, const char *text)
{
    if (text[0] != '\0') {
        say(p, name);
        put_string(p, text);
        (void)fputc('\n', p->out);
    }
}

static void say_masked(const struct page *p, Chaperone__V1__HttpField *const *fields, size_t count)
{
    bool has_any = false;
    for (size_t i = 0; i < count; i++) {
        if (fields[i]->masked) {
            if (!has_any) {
                say(p, "masked fields");
            }
            (void)fputs(has_any ? ", " : "", p->out);
            put_string(p, fields[i]->name);
            has_any = true;
        }
    }
    (void)fputs(has_any ? "\n" : "", p->out);
}

static void say_trailers(const struct page *p, const char *name,
                         Chaperone__V1__HttpField *const *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        say(p, name);
        put_string(p, fields[i]->name);
        (void)fputs(": ", p->out);
        put(p, record_bytes(fields[i]->value));
        (void)fputs(fields[i]->masked ? " (masked)\n" : "\n", p->out);
    }
}

static void put_digest(const struct page *p, ProtobufCBinaryData digest)
{
    (void)fputs(digest.len > 0 ? ", sha256 " : "", p->out);
    for (size_t i = 0; i < digest.len; i++) {
        (void)fprintf(p->out, "%02x", digest.data[i]);
    }
}

static void put_cut(const struct page *p, size_t recorded, bool is_truncated)
{
    if (is_truncated) {
        terminal_style(p->terminal, STYLE_WARNING);
        (void)fprintf(p->out, "; only the first %zu are recorded", recorded);
        terminal_style(p->terminal, STYLE_PLAIN);
    }
}

static void say_size(const struct page *p, const char *name, uint64_t size)
{
    say(p, name);
    (void)fprintf(p->out, "%" PRIu64 " byte%s", size, size == 1 ? "" : "s");
}

/* ---- request ---- */

bool exchange_shows_text(const Chaperone__V1__Intent *intent)
{
    const Chaperone__V1__HttpRequest *r = intent->http;
    if (r == NULL) {
        return false;
    }
    struct bytes text = record_bytes(intent->text);
    size_t method = strlen(r->method), path = strlen(r->path);
    return text.size == method + 1 + path && memcmp(text.data, r->method, method) == 0 &&
           text.data[method] == ' ' && memcmp(text.data + method + 1, r->path, path) == 0;
}

static void say_request_body(const struct page *p, const Chaperone__V1__HttpRequest *r)
{
    if (r->body_follows) {
        terminal_style(p->terminal, STYLE_WARNING);
        say(p, "body");
        (void)fputs(r->body.len > 0 ? "not complete when this was recorded"
                                    : "it came after this was recorded",
                    p->out);
        if (r->body_size > 0) {
            (void)fprintf(p->out, ", %" PRIu64 " bytes by then or as declared", r->body_size);
        }
        terminal_style(p->terminal, STYLE_PLAIN);
        (void)fputc('\n', p->out);
    } else if (r->body_size > 0 || r->body.len > 0) {
        say_size(p, "body", r->body_size);
        put_cut(p, r->body.len, r->body_truncated);
        (void)fputc('\n', p->out);
    }
}

void exchange_print_request(const struct terminal *t, const Chaperone__V1__HttpRequest *request,
                            size_t max_lines, size_t indent)
{
    const struct page p = {
        .out = t->out, .terminal = t, .indent = indent, .max_lines = max_lines, .side = '>'};
    begin(&p);
    (void)fputc(' ', p.out);
    put_string(&p, request->method);
    (void)fputc(' ', p.out);
    put_string(&p, request->path);
    if (request->version[0] != '\0') {
        (void)fputs(" HTTP/", p.out);
        put_string(&p, request->version);
    }
    (void)fputc('\n', p.out);
    print_fields(&p, request->fields, request->n_fields);
    if (request->body.len > 0) {
        print_line(&p, bytes_of(NULL, 0));
        print_body(&p, record_bytes(request->body),
                   request->body_truncated || request->body_follows);
    }
    if (request->authority[0] != '\0') {
        say(&p, "to");
        put_string(&p, request->scheme);
        (void)fputs("://", p.out);
        put_string(&p, request->authority);
        (void)fputc('\n', p.out);
    }
    say_text(&p, "path of the rule", request->template_);
    say_request_body(&p, request);
    say_masked(&p, request->fields, request->n_fields);
    say_text(&p, "upgrade", request->upgrade);
    say_text(&p, "traceparent", request->traceparent);
    say_text(&p, "idempotency key", request->idempotency_key);
}

/* ---- response ---- */

static void print_late_request(const struct page *p, const Chaperone__V1__Outcome *outcome)
{
    const Chaperone__V1__HttpResponse *r = outcome->http;
    struct page request = *p;
    request.side = '>';
    print_body(&request, record_bytes(r->request_body), r->request_body_truncated);
    if (outcome->bytes_in > 0) {
        say_size(p, "request body", outcome->bytes_in);
        put_digest(p, outcome->digest_in);
        put_cut(p, r->request_body.len, r->request_body_truncated);
        (void)fputc('\n', p->out);
    }
    say_trailers(p, "request trailer", r->request_trailers, r->n_request_trailers);
}

void exchange_print_response(const struct terminal *t, const Chaperone__V1__Outcome *outcome,
                             size_t max_lines, size_t indent)
{
    const Chaperone__V1__HttpResponse *r = outcome->http;
    const struct page p = {
        .out = t->out, .terminal = t, .indent = indent, .max_lines = max_lines, .side = '<'};
    print_late_request(&p, outcome);
    if (r->status != 0) {
        begin(&p);
        (void)fputs(" HTTP", p.out);
        if (r->version[0] != '\0') {
            (void)fputc('/', p.out);
            put_string(&p, r->version);
        }
        (void)fprintf(p.out, " %u\n", r->status);
    }
    print_fields(&p, r->fields, r->n_fields);
    if (outcome->response.len > 0) {
        print_line(&p, bytes_of(NULL, 0));
        print_body(&p, record_bytes(outcome->response), outcome->response_truncated);
    }
    say_trailers(&p, "trailer", r->trailers, r->n_trailers);
    if (outcome->bytes > 0 || outcome->response.len > 0) {
        say_size(&p, "body", outcome->bytes);
        if (r->coding[0] != '\0') {
            (void)fputs(" in ", p.out);
            put_string(&p, r->coding);
        }
        put_digest(&p, outcome->digest);
        put_cut(&p, outcome->response.len, outcome->response_truncated);
        (void)fputc('\n', p.out);
    }
    say_masked(&p, r->fields, r->n_fields);
}

void exchange_print_message(const struct terminal *t, const Chaperone__V1__Message *message,
                            size_t max_lines, size_t indent)
{
    const struct page p = {.out = t->out,
                           .terminal = t,
                           .indent = indent,
                           .max_lines = max_lines,
                           .side = message->from_agent ? '>' : '<'};
    print_body(&p, record_bytes(message->data), message->truncated);
    if (message->truncated) {
        say_size(&p, "message", message->size);
        put_digest(&p, message->digest);
        put_cut(&p, message->data.len, true);
        (void)fputc('\n', p.out);
    }
}
