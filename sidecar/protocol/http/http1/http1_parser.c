#include "sidecar/protocol/http/http1/http1_parser.h"

/* What one call of llhttp tells. */
struct tale {
    struct http1_parser *parser;
    struct http1_found *found; /* NULL: no head and no trailers are expected */
    bool in_value;
    bool head_is_whole;
    bool message_is_whole;
    bool has_chunk;
    uint64_t chunk_size;
    size_t data_size;
};

static struct tale *tale_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

/* llhttp may tell a run of bytes in several pieces; the input is in one, so that they adjoin. */
static int extend(struct bytes *run, const char *at, size_t length)
{
    if (run->size == 0) {
        *run = bytes_of(at, length);
        return 0;
    }
    if (run->data + run->size != (const uint8_t *)at) {
        return -1;
    }
    run->size += length;
    return 0;
}

static int on_method(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http1_found *found = tale_of(llhttp)->found;
    return found == NULL ? -1 : extend(&found->method, at, length);
}

static int on_url(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http1_found *found = tale_of(llhttp)->found;
    return found == NULL ? -1 : extend(&found->target, at, length);
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t length)
{
    struct tale *t = tale_of(llhttp);
    if (t->found == NULL || t->in_value || t->found->count == HTTP_FIELDS_MAX) {
        return -1;
    }
    return extend(&t->found->fields[t->found->count].name, at, length);
}

static int on_header_field_complete(llhttp_t *llhttp)
{
    struct tale *t = tale_of(llhttp);
    if (t->in_value || t->found == NULL) {
        return -1;
    }
    t->in_value = true;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t length)
{
    struct tale *t = tale_of(llhttp);
    return t->in_value ? extend(&t->found->fields[t->found->count].value, at, length) : -1;
}

static int on_header_value_complete(llhttp_t *llhttp)
{
    struct tale *t = tale_of(llhttp);
    if (!t->in_value) {
        return -1;
    }
    t->in_value = false;
    struct http_field *next = &t->found->fields[++t->found->count];
    if (t->found->count < HTTP_FIELDS_MAX) {
        *next = (struct http_field){0};
    }
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct tale *t = tale_of(llhttp);
    t->head_is_whole = true;
    if (t->found != NULL) {
        t->found->is_chunked = (llhttp->flags & F_CHUNKED) != 0;
        t->found->content_length = llhttp->content_length;
    }
    return t->parser->skips_body ? 1 : 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
    (void)at;
    tale_of(llhttp)->data_size += length;
    return 0;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct tale *t = tale_of(llhttp);
    t->has_chunk = true;
    t->chunk_size = llhttp->content_length;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    tale_of(llhttp)->message_is_whole = true;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

void http1_parser_init(struct http1_parser *p, bool is_request, bool skips_body)
{
    llhttp_init(&p->llhttp, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    p->skips_body = skips_body;
}

static bool run(struct http1_parser *p, struct tale *t, struct bytes in, const char **out_why)
{
    t->parser = p;
    p->llhttp.data = t;
    llhttp_errno_t e = llhttp_execute(&p->llhttp, (const char *)in.data, in.size);
    const char *end = (const char *)in.data + in.size;
    p->llhttp.data = NULL;
    /* It stops behind the head of CONNECT and of an upgrade: exactly there. */
    if (e == HPE_OK ||
        (e == HPE_PAUSED_UPGRADE && t->head_is_whole && llhttp_get_error_pos(&p->llhttp) == end)) {
        return true;
    }
    const char *reason = llhttp_get_error_reason(&p->llhttp);
    *out_why = reason == NULL || reason[0] == '\0' ? "the message is not understood" : reason;
    return false;
}

/* Both read the same bytes; where they do not agree on them nobody is right. */
static bool disagree(const char **out_why)
{
    *out_why = "the message can be understood in two ways";
    return false;
}

enum http_problem http1_parser_read_head(struct http1_parser *p, struct bytes head,
                                         struct http1_found *out, const char **out_why)
{
    out->method = out->target = (struct bytes){0};
    out->count = 0;
    out->fields[0] = (struct http_field){0};
    struct tale t = {.found = out};
    if (!run(p, &t, head, out_why)) {
        return llhttp_get_errno(&p->llhttp) == HPE_INVALID_METHOD ? HTTP_PROBLEM_UNSUPPORTED
                                                                  : HTTP_PROBLEM_MALFORMED;
    }
    if (!t.head_is_whole || t.data_size > 0 || llhttp_get_http_major(&p->llhttp) != 1) {
        (void)disagree(out_why);
        return HTTP_PROBLEM_MALFORMED;
    }
    out->status = (unsigned)llhttp_get_status_code(&p->llhttp);
    out->is_1_0 = llhttp_get_http_minor(&p->llhttp) == 0;
    return HTTP_PROBLEM_NONE;
}

bool http1_parser_read_chunk(struct http1_parser *p, struct bytes line, uint64_t *out_size,
                             const char **out_why)
{
    struct tale t = {0};
    const uint8_t *extensions = memchr(line.data, ';', line.size);
    struct bytes size = line;
    struct bytes end = {0};
    if (extensions != NULL) {
        size.size = (size_t)(extensions - line.data);
        end = bytes_of(line.data + line.size - 2, 2);
    }
    if (!run(p, &t, size, out_why) || (end.size > 0 && !run(p, &t, end, out_why))) {
        return false;
    }
    if (!t.has_chunk || t.message_is_whole || t.data_size > 0) {
        return disagree(out_why);
    }
    *out_size = t.chunk_size;
    return true;
}

bool http1_parser_read_data(struct http1_parser *p, struct bytes data, const char **out_why)
{
    struct tale t = {0};
    if (!run(p, &t, data, out_why)) {
        return false;
    }
    bool is_end = data.size == 2 && t.data_size == 0;
    return (t.data_size == data.size || is_end) && !t.has_chunk && !t.message_is_whole
               ? true
               : disagree(out_why);
}

bool http1_parser_read_trailers(struct http1_parser *p, struct bytes lines, struct http1_found *out,
                                const char **out_why)
{
    out->count = 0;
    out->fields[0] = (struct http_field){0};
    struct tale t = {.found = out};
    if (!run(p, &t, lines, out_why)) {
        return false;
    }
    return t.message_is_whole && !t.head_is_whole ? true : disagree(out_why);
}
