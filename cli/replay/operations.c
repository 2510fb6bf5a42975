#include "cli/replay/operations.h"

#include <stdlib.h>

/* A sidecar records no more of an operation's values: with as many there may have been others. */
enum { PARAMETERS_MAX = 1024 };

static bool was_executed(const Chaperone__V1__Outcome *o)
{
    return o->status == CHAPERONE__V1__STATUS__SUCCESS ||
           o->status == CHAPERONE__V1__STATUS__FAILED ||
           o->status == CHAPERONE__V1__STATUS__SUSPENDED;
}

static const char *not_executed(const struct operation *op)
{
    const Chaperone__V1__Intent *i = op->intent;
    if (i->verdict == CHAPERONE__V1__VERDICT__HOLD &&
        (op->outcome == NULL || !was_executed(op->outcome))) {
        return "it was held and not released";
    }
    if (i->verdict == CHAPERONE__V1__VERDICT__DENY ||
        (op->outcome != NULL && op->outcome->status == CHAPERONE__V1__STATUS__REFUSED)) {
        return "it was refused";
    }
    if (i->verdict != CHAPERONE__V1__VERDICT__ALLOW && i->verdict != CHAPERONE__V1__VERDICT__HOLD) {
        return "what was decided is not known";
    }
    if (op->outcome != NULL && op->outcome->status == CHAPERONE__V1__STATUS__NOT_EXECUTED) {
        return "it was not executed";
    }
    return op->outcome == NULL || !was_executed(op->outcome) ? "whether it was executed is unknown"
                                                             : NULL;
}

static const char *not_whole(const struct operation *op)
{
    const Chaperone__V1__Intent *i = op->intent;
    bool is_short = i->n_parameters >= PARAMETERS_MAX;
    for (size_t n = 0; n < i->n_parameters; n++) {
        is_short = is_short || i->parameters[n]->truncated;
    }
    if (strcmp(i->record, "no_values") == 0) {
        return "its values are not recorded";
    }
    if (i->text_truncated || is_short) {
        return "it is not recorded whole";
    }
    if (op->outcome->bytes_in > 0) {
        return "what the agent sent for it is not recorded";
    }
    if (strcmp(i->verb, "prepare") == 0) {
        return "it was only prepared; what was run of it is an operation of its own";
    }
    if (strcmp(i->verb, "query") != 0 && strcmp(i->verb, "execute") != 0 &&
        strcmp(i->verb, "startup") != 0) {
        return "it is no statement";
    }
    return NULL;
}

/* A portal's second run has neither a statement's name nor values (the first had them). */
static bool goes_on(const struct operation *op, const struct operation *before)
{
    return before != NULL && before->outcome != NULL &&
           (before->outcome->status == CHAPERONE__V1__STATUS__SUSPENDED) &&
           strcmp(op->intent->verb, "execute") == 0 && op->intent->n_parameters == 0 &&
           strcmp(op->intent->portal, before->intent->portal) == 0 &&
           bytes_equal(record_bytes(op->intent->text), record_bytes(before->intent->text));
}

static void judge(struct operation *ops, size_t count)
{
    const struct operation *suspended = NULL;
    for (size_t n = 0; n < count; n++) {
        struct operation *op = &ops[n];
        op->skipped = not_executed(op);
        op->fails_transaction =
            op->skipped != NULL && strcmp(op->intent->transaction, "open") == 0 &&
            op->outcome != NULL && op->outcome->status == CHAPERONE__V1__STATUS__REFUSED;
        if (op->skipped == NULL) {
            op->skipped = not_whole(op);
        }
        if (op->skipped == NULL && goes_on(op, suspended)) {
            op->skipped = "it fetched more rows of an operation before it";
        }
        if (op->outcome != NULL && op->outcome->status == CHAPERONE__V1__STATUS__SUSPENDED) {
            suspended = op;
        }
    }
}

static struct operation *find(struct operation *ops, size_t count, uint64_t operation)
{
    /* An outcome mostly follows its intent. */
    for (size_t n = count; n > 0; n--) {
        if (ops[n - 1].intent->operation == operation) {
            return &ops[n - 1];
        }
    }
    return NULL;
}

enum err operations_list(const struct recording *recording, struct operation **out,
                         size_t *out_count)
{
    size_t records = recording_count(recording), count = 0;
    struct operation *ops = calloc(records + 1, sizeof(*ops));
    if (ops == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t n = 0; n < records; n++) {
        const Chaperone__V1__Record *r = recording_get(recording, n);
        if (r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
            ops[count++] = (struct operation){.intent = r->intent};
        } else if (r->event_case == CHAPERONE__V1__RECORD__EVENT_OUTCOME) {
            struct operation *op = find(ops, count, r->outcome->operation);
            if (op != NULL) {
                op->outcome = r->outcome;
            }
        }
    }
    judge(ops, count);
    *out = ops;
    *out_count = count;
    return OK;
}
