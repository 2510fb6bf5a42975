/* The answer that is coming in, as far as it is recorded, and the outcomes. */
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

void postgres_answer_reset(struct postgres *p)
{
    if (p->response.capacity > 4096) {
        buffer_finish(&p->response);
    } else {
        buffer_clear(&p->response);
    }
    p->response_truncated = false;
    crypto_sha256_init(&p->digest);
    p->rows = 0;
    p->rows_unended = 0;
    p->bytes = 0;
    p->tag[0] = '\0';
    p->error_code[0] = '\0';
    p->error[0] = '\0';
    p->cut_is_told = false;
    postgres_result_reset(p);
    struct pg_masks *masks = postgres_answer_masks(p);
    if (masks != NULL) {
        masker_counts_reset(masks->masker);
    }
}

static void add_input(struct postgres *p, Chaperone__V1__Outcome *m, uint8_t *digest)
{
    if (p->bytes_in > 0) {
        crypto_sha256_finish(&p->digest_in, digest);
        m->bytes_in = p->bytes_in;
        m->digest_in.data = digest;
        m->digest_in.len = CRYPTO_SHA256_SIZE;
        p->bytes_in = 0;
    }
}

/* ---- the masking receipt: which rule masked which column in how many rows ---- */

static const char *column_name(const struct postgres *p, size_t column)
{
    const struct pg_sent *head = pg_queue_head(&p->queue);
    const struct pg_result *result = p->result != NULL                      ? p->result
                                     : head != NULL && head->portal != NULL ? head->portal->result
                                                                            : NULL;
    return result != NULL && column < result->count ? result->names[column] : "";
}

/* The lists of the receipt are one owned piece of memory, in `*out_owned`. */
static void make_receipt(struct postgres *p, Chaperone__V1__MaskingReceipt *receipt,
                         void **out_owned)
{
    const struct pg_masks *masks = postgres_answer_masks(p);
    const struct masker_count *counts = NULL;
    size_t count = masks == NULL ? 0 : masker_counts(masks->masker, &counts);
    Chaperone__V1__MaskingReceipt__Masked *items =
        count == 0 ? NULL : calloc(count, sizeof(*items) + sizeof(items));
    *out_owned = items;
    receipt->withheld_messages = p->withheld;
    receipt->rows_cut = p->rows_cut;
    if (items == NULL) {
        return;
    }
    receipt->masked = (Chaperone__V1__MaskingReceipt__Masked **)(void *)(items + count);
    for (size_t i = 0; i < count; i++) {
        chaperone__v1__masking_receipt__masked__init(&items[i]);
        items[i].rule =
            (char *)(counts[i].rule < masks->rule_count ? masks->rules[counts[i].rule].name : "");
        items[i].column = (char *)column_name(p, counts[i].column);
        items[i].rows = counts[i].rows;
        items[i].by_content = counts[i].by_content;
        receipt->masked[receipt->n_masked++] = &items[i];
    }
}

bool postgres_outcome(struct postgres *p, uint64_t operation, uint64_t intent_sequence,
                      int64_t started_ns, Chaperone__V1__Status status)
{
    if (operation == 0) {
        return true;
    }
    Chaperone__V1__Outcome m = CHAPERONE__V1__OUTCOME__INIT;
    uint8_t digest[CRYPTO_SHA256_SIZE], digest_in[CRYPTO_SHA256_SIZE];
    m.operation = operation;
    m.intent_sequence = intent_sequence;
    m.status = status;
    m.command_tag = p->tag;
    m.error_code = p->error_code;
    m.error = p->error;
    m.rows = p->rows + p->rows_unended;
    m.bytes = p->bytes;
    m.duration_us = started_ns == 0 ? 0 : (p->link->ops->monotonic_ns(p->link) - started_ns) / 1000;
    if (p->bytes > 0) {
        struct crypto_sha256 copy = p->digest;
        crypto_sha256_finish(&copy, digest);
        m.digest.data = digest;
        m.digest.len = sizeof(digest);
    }
    if (buffer_size(&p->response) > 0) {
        m.response_encoding = (char *)"postgres";
        m.response.data = (uint8_t *)buffer_bytes(&p->response).data;
        m.response.len = buffer_size(&p->response);
    }
    m.response_truncated = p->response_truncated;
    Chaperone__V1__MaskingReceipt receipt = CHAPERONE__V1__MASKING_RECEIPT__INIT;
    void *receipt_items = NULL;
    make_receipt(p, &receipt, &receipt_items);
    if (receipt.n_masked > 0 || receipt.withheld_messages > 0 || receipt.rows_cut > 0) {
        m.masking = &receipt;
    }
    add_input(p, &m, digest_in);
    bool recorded = p->link->ops->outcome(p->link, &m);
    free(receipt_items);
    postgres_answer_reset(p);
    return recorded;
}

/* Without what the running answer has gathered: for an operation that is not being answered. */
bool postgres_outcome_alone(struct postgres *p, uint64_t operation, uint64_t intent_sequence,
                            Chaperone__V1__Status status)
{
    Chaperone__V1__Outcome m = CHAPERONE__V1__OUTCOME__INIT;
    if (operation == 0) {
        return true;
    }
    m.operation = operation;
    m.intent_sequence = intent_sequence;
    m.status = status;
    return p->link->ops->outcome(p->link, &m);
}

void postgres_drop_portal(void *context, void *object)
{
    struct postgres *p = context;
    struct pg_portal *portal = object;
    if (portal->state == PG_PORTAL_BOUND && portal->operation != 0) {
        (void)postgres_outcome_alone(p, portal->operation, portal->intent_sequence,
                                     CHAPERONE__V1__STATUS__NOT_EXECUTED);
        portal->operation = 0;
    }
}

/* ---- what is recorded of an answer ---- */

/* Bytes as the agent gets them: rows and COPY data go into the digest, they and the row
 * descriptions into the recorded part. Only whole beginnings are kept: after the first cut nothing
 * more is added. */
void postgres_absorb(struct postgres *p, struct bytes b, bool is_data)
{
    if (is_data) {
        crypto_sha256_update(&p->digest, b);
        p->bytes += b.size;
    }
    size_t room = p->shared->response_max - buffer_size(&p->response);
    const struct pg_sent *head = pg_queue_head(&p->queue);
    if (head != NULL && head->without_results) {
        return; /* the policy wants only digest and counts */
    }
    if (p->response_truncated) {
        return;
    }
    if (b.size > room) {
        p->response_truncated = true;
        b.size = room;
    }
    if (buffer_append(&p->response, b) != OK) {
        p->response_truncated = true;
    }
}

/* ---- the end ---- */

void postgres_abandon(struct postgres *p)
{
    (void)postgres_settings_outcome(p, CHAPERONE__V1__STATUS__UNKNOWN);
    while (p->queue.count > 0) {
        struct pg_sent *head = pg_queue_head(&p->queue);
        uint64_t operation = head->operation;
        uint64_t sequence = head->intent_sequence;
        if (head->type == 'B' && head->portal != NULL) {
            operation = head->portal->operation;
            sequence = head->portal->intent_sequence;
            head->portal->operation = 0;
        }
        if (head->refusal == NULL && operation != 0) {
            (void)postgres_outcome(p, operation, sequence, head->started_ns,
                                   CHAPERONE__V1__STATUS__UNKNOWN);
        }
        pg_queue_pop(&p->queue);
    }
    if (p->portals != NULL) {
        pg_names_clear(p->portals, postgres_drop_portal, p);
    }
}
