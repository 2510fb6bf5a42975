/* The connections of a session: to the target, the second one, and TLS on each. */
#include "sidecar/proxy.h"
#include "sidecar/session_internal.h"

static void connect_side(struct session *s, enum protocol_side side)
{
    enum err e = conn_connect(s->shared->loop, s->target_host, s->target_port, SESSION_CONNECT_MS,
                              &session_conn_events[side], s, &s->sides[side].conn);
    if (e != OK) {
        session_output_failed(s, side, e);
    }
}

void session_link_leave_target(struct protocol_link *link)
{
    struct session *s = session_of(link);
    struct side *x = &s->sides[SIDE_TARGET];
    conn_close(x->conn);
    x->conn = NULL;
    x->run = (struct bytes){0};
    x->behind_size = 0;
    x->ended = false;
    x->waiting = false;
    x->broken = OK; /* of the one that is left */
    buffer_clear(&s->held);
    if (!session_is_in(buffer_bytes(&x->in), s->reading)) {
        buffer_clear(&x->in); /* else the protocol has just used it, and says so */
    }
}

void session_link_connect_target(struct protocol_link *link)
{
    session_link_leave_target(link);
    connect_side(session_of(link), SIDE_TARGET);
}

bool session_link_connect_second(struct protocol_link *link)
{
    struct session *s = session_of(link);
    if (s->sides[SIDE_SECOND].conn != NULL || s->target_host[0] == '\0') {
        return false;
    }
    s->shared->metrics->cancels++;
    session_timer_start(s, &s->second_timer, s->shared->times.second, SESSION_SECOND_MS);
    connect_side(s, SIDE_SECOND);
    return s->sides[SIDE_SECOND].conn != NULL;
}

bool session_link_is_proxy(struct protocol_link *link)
{
    return session_of(link)->origin->proxy != NULL;
}

bool session_link_choose(struct protocol_link *link, const char *host, uint16_t port,
                         bool is_secure)
{
    struct session *s = session_of(link);
    struct proxy *proxy = s->origin->proxy;
    const char *resource = proxy == NULL ? NULL : proxy_find(proxy, host, port);
    if (resource == NULL || s->resource[0] != '\0') {
        return false;
    }
    if (is_secure && proxy_issue(proxy, host, &s->chosen_tls) != OK) {
        return false;
    }
    s->resource = resource;
    return true;
}

static struct tls_context *agent_tls(const struct session *s)
{
    return s->chosen_tls != NULL ? s->chosen_tls : s->origin->agent_tls;
}

bool session_link_has_tls(struct protocol_link *link, enum protocol_side side)
{
    struct session *s = session_of(link);
    return (side == SIDE_AGENT ? agent_tls(s) : s->target_tls) != NULL;
}

bool session_link_start_tls(struct protocol_link *link, enum protocol_side side)
{
    struct session *s = session_of(link);
    struct tls_context *tls = side == SIDE_AGENT ? agent_tls(s) : s->target_tls;
    if (tls == NULL || s->sides[side].conn == NULL) {
        return false;
    }
    session_flush(s);
    enum err e = conn_start_tls(s->sides[side].conn, tls,
                                side == SIDE_AGENT ? NULL : s->server_name, SESSION_CONNECT_MS);
    if (e != OK) {
        session_output_failed(s, side, e);
    }
    return e == OK;
}

struct bytes session_link_alpn(struct protocol_link *link, enum protocol_side side)
{
    struct session *s = session_of(link);
    return s->sides[side].conn == NULL ? (struct bytes){0} : conn_alpn(s->sides[side].conn);
}

size_t session_link_end_point_hash(struct protocol_link *link, enum protocol_side side,
                                   uint8_t *out)
{
    struct session *s = session_of(link);
    return s->sides[side].conn == NULL ? 0 : conn_end_point_hash(s->sides[side].conn, out);
}
