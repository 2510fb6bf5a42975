/* WebSockets (RFC 6455), message by message: wslay reads and writes the frames of both sides, which
 * are two conversations. Pings are answered by the side that gets them; extensions are not
 * negotiated, so that messages can be read. */
#include <stdlib.h>
#include <wslay/wslay.h>

#include "sidecar/protocol/http/http_internal.h"

enum {
    MESSAGE_MAX = 16 << 20, /* a longer one ends the conversation with 1009 */
    /* Of one message: each takes more memory than its few bytes. */
    FRAGMENTS_MAX = 64 << 10,
    CLOSE_POLICY = 1008,
};

struct http_socket {
    struct http_exchange *exchange;
    wslay_event_context_ptr agent, target; /* a server's and a client's */
    struct bytes in;                       /* what is being read */
    struct buffer shown;
    size_t agent_fragments, target_fragments; /* of the message that is being read */
    bool has_failed;
};

static ssize_t receive(wslay_event_context_ptr ctx, uint8_t *buf, size_t size, int flags,
                       void *context)
{
    struct http_socket *s = context;
    (void)flags;
    size_t n = s->in.size < size ? s->in.size : size;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, s->in.data, n);
    s->in = bytes_of(s->in.data + n, s->in.size - n);
    return (ssize_t)n;
}

static ssize_t send_to_agent(wslay_event_context_ptr ctx, const uint8_t *data, size_t size,
                             int flags, void *context)
{
    struct http_socket *s = context;
    (void)ctx;
    (void)flags;
    http_give(s->exchange, bytes_of(data, size));
    return (ssize_t)size;
}

static ssize_t send_to_target(wslay_event_context_ptr ctx, const uint8_t *data, size_t size,
                              int flags, void *context)
{
    struct http_socket *s = context;
    struct http_exchange *x = s->exchange;
    (void)ctx;
    (void)flags;
    x->bytes_in += size;
    crypto_sha256_update(&x->digest_in, bytes_of(data, size));
    x->http->target->ops->send_data(x->http->target, x->target_stream, bytes_of(data, size));
    return (ssize_t)size;
}

static int make_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t size, void *context)
{
    struct http_socket *s = context;
    struct protocol_link *link = s->exchange->http->link;
    if (!link->ops->random(link, buf, size)) {
        wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return 0;
}

static const char *kind_of(uint8_t opcode)
{
    return opcode == WSLAY_TEXT_FRAME ? "text" : opcode == WSLAY_BINARY_FRAME ? "binary" : "close";
}

static bool queue(wslay_event_context_ptr to, uint8_t opcode, uint16_t code, struct bytes data)
{
    if (opcode == WSLAY_CONNECTION_CLOSE) {
        int e = wslay_event_queue_close(to, code, data.data, data.size);
        return e == 0 || e == WSLAY_ERR_NO_MORE_MSG; /* its own was answered already */
    }
    const struct wslay_event_msg m = {.opcode = opcode, .msg = data.data, .msg_length = data.size};
    return wslay_event_queue_msg(to, &m) == 0;
}

static void fail(struct http_socket *s)
{
    s->has_failed = true;
}

/* What a close frame carries: the code and a text. */
static struct bytes text_of(const struct wslay_event_on_msg_recv_arg *m)
{
    bool has_code = m->opcode == WSLAY_CONNECTION_CLOSE && m->msg_length >= 2;
    return has_code ? bytes_of(m->msg + 2, m->msg_length - 2) : bytes_of(m->msg, m->msg_length);
}

static bool is_message(uint8_t opcode)
{
    return opcode == WSLAY_TEXT_FRAME || opcode == WSLAY_BINARY_FRAME ||
           opcode == WSLAY_CONNECTION_CLOSE;
}

static void count_fragment(struct http_socket *s, size_t *fragments, uint8_t opcode)
{
    if (opcode != WSLAY_CONTINUATION_FRAME) {
        *fragments = wslay_is_ctrl_frame(opcode) ? *fragments : 0;
    } else if (++*fragments > FRAGMENTS_MAX) {
        fail(s);
    }
}

static void start_from_agent(wslay_event_context_ptr ctx,
                             const struct wslay_event_on_frame_recv_start_arg *frame, void *context)
{
    struct http_socket *s = context;
    (void)ctx;
    count_fragment(s, &s->agent_fragments, frame->opcode);
}

static void start_from_target(wslay_event_context_ptr ctx,
                              const struct wslay_event_on_frame_recv_start_arg *frame,
                              void *context)
{
    struct http_socket *s = context;
    (void)ctx;
    count_fragment(s, &s->target_fragments, frame->opcode);
}

/* The agent's goes on as it is, after it is recorded, masked. */
static void from_agent(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                       void *context)
{
    struct http_socket *s = context;
    struct bytes data = text_of(m);
    (void)ctx;
    if (!is_message(m->opcode) || s->has_failed) {
        return;
    }
    buffer_clear(&s->shown);
    bool is_text = m->opcode != WSLAY_BINARY_FRAME;
    bool is_shown = http_piece_show(s->exchange, data, is_text, false, &s->shown) == OK;
    const struct http_piece piece = {.from_agent = true,
                                     .kind = kind_of(m->opcode),
                                     .sent = data,
                                     .shown = buffer_bytes(&s->shown),
                                     .is_left_out = !is_shown};
    uint64_t max = s->exchange->max_request;
    bool is_small = max == 0 || s->exchange->bytes_in + data.size <= max;
    if (!is_small || !http_piece_record(s->exchange, &piece) ||
        !queue(s->target, m->opcode, m->status_code, data)) {
        fail(s);
    }
}

static void from_target(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                        void *context)
{
    struct http_socket *s = context;
    (void)ctx;
    if (!is_message(m->opcode) || s->has_failed) {
        return;
    }
    buffer_clear(&s->shown);
    bool is_text = m->opcode != WSLAY_BINARY_FRAME;
    bool is_shown = http_piece_show(s->exchange, text_of(m), is_text, true, &s->shown) == OK;
    struct bytes shown = buffer_bytes(&s->shown);
    uint64_t max = s->exchange->max_response;
    bool is_small = max == 0 || s->exchange->bytes_out + shown.size <= max;
    const struct http_piece piece = {.kind = kind_of(m->opcode), .sent = shown, .shown = shown};
    if (!is_shown || !is_small || !http_piece_record(s->exchange, &piece) ||
        !queue(s->agent, m->opcode, m->status_code, shown)) {
        fail(s);
    }
}

bool http_socket_start(struct http_exchange *x)
{
    static const struct wslay_event_callbacks agent = {
        .recv_callback = receive,
        .send_callback = send_to_agent,
        .on_frame_recv_start_callback = start_from_agent,
        .on_msg_recv_callback = from_agent,
    };
    static const struct wslay_event_callbacks target = {
        .recv_callback = receive,
        .send_callback = send_to_target,
        .genmask_callback = make_mask,
        .on_frame_recv_start_callback = start_from_target,
        .on_msg_recv_callback = from_target,
    };
    struct http_socket *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return false;
    }
    s->exchange = x;
    buffer_init(&s->shown, MESSAGE_MAX * 4UL);
    if (wslay_event_context_server_init(&s->agent, &agent, s) != 0 ||
        wslay_event_context_client_init(&s->target, &target, s) != 0) {
        http_socket_free(s);
        return false;
    }
    wslay_event_config_set_max_recv_msg_length(s->agent, MESSAGE_MAX);
    wslay_event_config_set_max_recv_msg_length(s->target, MESSAGE_MAX);
    x->socket = s;
    return true;
}

void http_socket_free(struct http_socket *s)
{
    if (s == NULL) {
        return;
    }
    if (s->agent != NULL) {
        wslay_event_context_free(s->agent);
    }
    if (s->target != NULL) {
        wslay_event_context_free(s->target);
    }
    buffer_wipe(&s->shown);
    free(s);
}

static bool is_done(wslay_event_context_ptr ctx)
{
    return wslay_event_get_close_received(ctx) != 0 && wslay_event_get_close_sent(ctx) != 0;
}

static void take(struct http_socket *s, wslay_event_context_ptr from, struct bytes data)
{
    struct http_exchange *x = s->exchange;
    s->in = data;
    if (wslay_event_recv(from) != 0) {
        s->has_failed = true;
    }
    s->in = (struct bytes){0};
    if (s->has_failed) {
        (void)wslay_event_queue_close(s->agent, CLOSE_POLICY, NULL, 0);
        (void)wslay_event_queue_close(s->target, CLOSE_POLICY, NULL, 0);
    }
    bool sent = wslay_event_send(s->target) == 0 && wslay_event_send(s->agent) == 0;
    if (s->has_failed || !sent) {
        http_break_response(x, "websocket", "a message could not be read, shown or recorded");
        return;
    }
    if (is_done(s->agent) && is_done(s->target) && !x->response_complete) {
        x->request_complete = true;
        http_finish_response(x, NULL);
        x->http->target->ops->send_end(x->http->target, x->target_stream, NULL);
        http_exchange_settle(x);
    }
}

void http_socket_from_agent(struct http_exchange *x, struct bytes data)
{
    struct http *p = x->http;
    take(x->socket, x->socket->agent, data);
    p->agent->ops->consumed(p->agent, x->agent_stream, data.size);
}

void http_socket_from_target(struct http_exchange *x, struct bytes data)
{
    take(x->socket, x->socket->target, data);
}
