/* Orders to end a session. */
#include <stdio.h>

#include "sidecar/session_internal.h"

static bool is_of_identity(const struct session *s, const char *subject)
{
    const Chaperone__V1__SessionOpened *o = s->opened;
    if (subject[0] == '\0' || o == NULL) {
        return false;
    }
    bool found = o->identity == NULL || strcmp(o->identity->subject, subject) == 0;
    for (size_t i = 0; !found && i < o->n_on_behalf_of; i++) {
        found = strcmp(o->on_behalf_of[i]->subject, subject) == 0;
    }
    return found;
}

bool session_is_meant(const struct session *s, const struct control_kill *order)
{
    if (s->state == SESSION_CLOSED) {
        return false;
    }
    return order->all || strcmp(order->session, s->id) == 0 ||
           strcmp(order->resource, s->resource) == 0 || is_of_identity(s, order->identity);
}

void session_kill(struct session *s, const struct control_kill *order)
{
    char why[200];
    if (s->state == SESSION_CLOSED) {
        return;
    }
    (void)snprintf(s->ordered_by, sizeof(s->ordered_by), "%s", order->ordered_by);
    (void)snprintf(s->order, sizeof(s->order), "%s", order->order);
    s->ordered_unix_ns = order->ordered_unix_ns;
    (void)snprintf(why, sizeof(why), "the session was ended by %.60s%s%.100s", order->ordered_by,
                   order->reason[0] != '\0' ? ": " : "", order->reason);
    s->shared->metrics->sessions_killed++;
    s->stops_left = SESSION_STOP_AGAIN;
    session_terminate(s, ERR_DENIED, "killed", why, true);
}
