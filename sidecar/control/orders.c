#include "sidecar/control/orders.h"

void orders_add(struct orders *o, Chaperone__V1__KillSession *order)
{
    Chaperone__V1__KillSession **place = &o->kept[o->count % ORDERS_KEPT];
    if (*place != NULL) {
        chaperone__v1__kill_session__free_unpacked(*place, NULL);
    }
    *place = order;
    o->count++;
}

void orders_finish(struct orders *o)
{
    for (size_t i = 0; i < ORDERS_KEPT; i++) {
        if (o->kept[i] != NULL) {
            chaperone__v1__kill_session__free_unpacked(o->kept[i], NULL);
            o->kept[i] = NULL;
        }
    }
}

static bool names_identity(const Chaperone__V1__KillSession *order,
                           const Chaperone__V1__OpenSessionResponse *grant)
{
    if (order->identity[0] == '\0') {
        return false;
    }
    bool found = grant->identity == NULL || strcmp(grant->identity->subject, order->identity) == 0;
    for (size_t i = 0; !found && i < grant->n_on_behalf_of; i++) {
        found = strcmp(grant->on_behalf_of[i]->subject, order->identity) == 0;
    }
    return found;
}

static bool is_meant(const Chaperone__V1__KillSession *order, const char *resource,
                     const Chaperone__V1__OpenSessionResponse *grant)
{
    return order->all || (order->resource[0] != '\0' && strcmp(order->resource, resource) == 0) ||
           names_identity(order, grant);
}

bool orders_find(const struct orders *o, uint64_t mark, const char *resource,
                 const Chaperone__V1__OpenSessionResponse *grant, struct err_text *why)
{
    if (o->count - mark > ORDERS_KEPT) {
        (void)err_set(why, ERR_DENIED, "too many orders to end sessions came meanwhile");
        return true;
    }
    for (uint64_t n = mark; n < o->count; n++) {
        const Chaperone__V1__KillSession *order = o->kept[n % ORDERS_KEPT];
        if (is_meant(order, resource, grant)) {
            (void)err_set(why, ERR_DENIED, "the session was ended by %.60s%s%.200s",
                          order->ordered_by, order->reason[0] != '\0' ? ": " : "", order->reason);
            return true;
        }
    }
    return false;
}
