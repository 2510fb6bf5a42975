/* A CancelRequest travels on a connection of its own (PostgreSQL documentation, "Canceling Requests
 * in Progress"): ours goes to the target with the target's key, over TLS when the session is. */
#include "sidecar/protocol/postgres/postgres_internal.h"

static enum protocol_step send_cancel(struct postgres *p)
{
    return postgres_send(
        p, SIDE_SECOND,
        pg_write_cancel(&p->out, p->target_process, bytes_of(p->target_key, p->target_key_size)));
}

void postgres_cancel(struct postgres *p)
{
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    char *commands[] = {(char *)"CANCEL"};
    struct protocol_verdict verdict;
    m.verb = (char *)"cancel";
    m.commands = commands;
    m.n_commands = 1;
    /* Whoever holds the key may stop what the session itself began: no rule is asked. */
    m.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    m.rule = (char *)"cancel";
    if (!p->link->ops->decide(p->link, &m, NULL, &verdict)) {
        return;
    }
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    outcome.operation = verdict.operation;
    outcome.intent_sequence = verdict.intent_sequence;
    /* What waits for people's decision never reached the target; what we asked about it may have.
     */
    bool is_sent = p->is_held && p->link->ops->withdraw(p->link, "the agent cancelled it", false);
    if (is_sent) {
        postgres_prediction_cancel(p);
    } else {
        is_sent = p->link->ops->connect_second(p->link);
    }
    outcome.status = is_sent ? CHAPERONE__V1__STATUS__SUCCESS : CHAPERONE__V1__STATUS__NOT_EXECUTED;
    (void)p->link->ops->outcome(p->link, &outcome);
}

enum protocol_step postgres_second_connected(struct postgres *p)
{
    return p->target_is_tls ? postgres_send(p, SIDE_SECOND, pg_write_ssl_request(&p->out))
                            : send_cancel(p);
}

enum protocol_step postgres_second_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct postgres *p = context;
    *out_used = in.size;
    if (in.size != 1 || in.data[0] != 'S' || !p->target_is_tls) {
        return PROTOCOL_MORE; /* the session closes it soon */
    }
    (void)p->link->ops->start_tls(p->link, SIDE_SECOND);
    return PROTOCOL_MORE;
}

enum protocol_step postgres_second_secured(struct postgres *p)
{
    return send_cancel(p);
}
