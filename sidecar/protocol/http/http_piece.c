/* One message of a stream: looked through whole, and recorded. */
#include "sidecar/protocol/http/http_internal.h"

static struct bytes type_of(struct bytes text, bool is_text)
{
    size_t at = 0;
    while (at < text.size && strchr(" \t\r\n", text.data[at]) != NULL && text.data[at] != '\0') {
        at++;
    }
    bool is_json = at < text.size && (text.data[at] == '{' || text.data[at] == '[');
    return bytes_of_string(!is_text  ? "application/octet-stream"
                           : is_json ? "application/json"
                                     : "text/plain");
}

enum err http_piece_show(struct http_exchange *x, struct bytes in, bool is_text, bool with_secrets,
                         struct buffer *out)
{
    const struct http_body_options options = {
        .content_type = type_of(in, is_text),
        .masker = x->masks->masker,
        .secrets = with_secrets ? x->http->secrets : NULL,
    };
    struct http_body *body = NULL;
    struct err_text why;
    enum err e = in.size == 0 ? OK : http_body_create(&options, &body, &why);
    if (e == OK && (body == NULL || http_body_is_unchanged(body))) {
        e = buffer_append(out, in);
    } else if (e == OK) {
        e = http_body_feed(body, in, out);
        if (e == OK) {
            e = http_body_finish(body, out);
        }
    }
    http_body_destroy(body);
    http_receipt_take(x);
    return e;
}

bool http_piece_record(struct http_exchange *x, const struct http_piece *piece)
{
    struct http *p = x->http;
    uint8_t digest[CRYPTO_SHA256_SIZE];
    Chaperone__V1__Message m = CHAPERONE__V1__MESSAGE__INIT;
    size_t max = p->shared->response_max;
    bool is_left_out = x->without_results || piece->is_left_out;
    uint64_t *count = piece->from_agent ? &x->messages_from_agent : &x->messages_to_agent;
    size_t size = is_left_out ? 0 : piece->shown.size < max ? piece->shown.size : max;
    crypto_sha256_of(piece->sent, digest);
    m.operation = x->operation;
    m.number = ++*count;
    m.from_agent = piece->from_agent;
    m.kind = (char *)piece->kind;
    m.name = (char *)(piece->name == NULL ? "" : piece->name);
    m.data = (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)piece->shown.data};
    m.size = piece->sent.size;
    m.truncated = size < piece->shown.size || is_left_out;
    m.digest = (ProtobufCBinaryData){sizeof(digest), digest};
    return p->link->ops->message(p->link, &m);
}
