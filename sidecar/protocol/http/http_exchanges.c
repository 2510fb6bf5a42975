/* The exchanges of a connection, in the order of their requests. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

struct http_exchange *http_find_agent(struct http *p, uint32_t stream)
{
    struct http_exchange *x = p->first;
    while (x != NULL && x->agent_stream != stream) {
        x = x->next;
    }
    return x;
}

struct http_exchange *http_find_target(struct http *p, uint32_t stream)
{
    struct http_exchange *x = p->first;
    while (x != NULL && (x->target_stream != stream || x->target_is_done)) {
        x = x->next;
    }
    return x;
}

static void exchange_free(struct http_exchange *x)
{
    buffer_wipe(&x->gathered);
    buffer_wipe(&x->request_record.bytes);
    buffer_finish(&x->record.bytes); /* what the agent saw; the heap wipes it */
    buffer_finish(&x->delayed);
    http_body_destroy(x->request_plain);
    http_body_destroy(x->body);
    http_body_destroy(x->reader);
    http_socket_free(x->socket);
    http_events_free(x->events);
    http_kept_free(&x->request_trailers);
    http_kept_free(&x->request_trailers_shown);
    http_kept_free(&x->response_fields);
    http_kept_free(&x->response_trailers);
    http_masks_release(x->masks);
    arena_destroy(x->arena);
    free(x->receipt);
    free(x->block);
    free(x);
}

void http_exchange_drop(struct http_exchange *x)
{
    struct http *p = x->http;
    struct http_exchange **at = &p->first;
    struct http_exchange *before = NULL;
    while (*at != x) {
        before = *at;
        at = &(*at)->next;
    }
    *at = x->next;
    if (p->last == x) {
        p->last = before;
    }
    if (p->held == x) {
        p->held = NULL;
    }
    exchange_free(x);
}

/* Not freed where it stands: those that called may still look at it. */
void http_exchange_settle(struct http_exchange *x)
{
    x->is_settled = x->request_complete && x->response_complete;
}

void http_sweep(struct http *p)
{
    struct http_exchange *x = p->first;
    while (x != NULL) {
        struct http_exchange *next = x->next;
        if (x->is_settled) {
            http_exchange_drop(x);
        }
        x = next;
    }
}

void http_exchange_abandon(struct http_exchange *x, const char *why)
{
    struct http *p = x->http;
    if (p->held == x) {
        (void)p->link->ops->withdraw(p->link, "the agent went away", true);
        p->held = NULL;
    }
    if (x->state == EXCHANGE_RELAYING && !x->response_complete && !x->target_is_done) {
        (void)snprintf(x->error_code, sizeof(x->error_code), "cancelled");
        (void)snprintf(x->error, sizeof(x->error), "%s", why);
        (void)http_record_outcome(x, CHAPERONE__V1__STATUS__UNKNOWN);
        p->target->ops->reset(p->target, x->target_stream, HTTP_PROBLEM_CANCELLED);
    }
    x->target_is_done = true;
    x->request_complete = true;
    x->response_complete = true;
    x->is_settled = true;
}
