/* Fills the store of a control plane that does not run with records, for a benchmark:
 *     evidence_fill DATA [RECORDS [SESSION]]
 * One sidecar; sessions of SESSION records each: intents and outcomes in turn, one answer in five
 * with a masking receipt. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/audit/ingest.h"
#include "controlplane/audit/stream_maker.h"
#include "controlplane/state.h"

enum { BATCH = 1000, ARENA_BLOCK = 1 << 20, BATCH_ARENA = 64 << 20 };

struct fill {
    struct audit_ingest ingest;
    struct stream_maker maker;
    struct crypto_ed25519 *key;
    size_t per_session;
    char session[64];
};

#define SIDECAR "01900000-0000-7000-8000-000000000001"

static ProtobufCBinaryData masked_outcome(struct fill *f)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__MaskingReceipt receipt = CHAPERONE__V1__MASKING_RECEIPT__INIT;
    Chaperone__V1__MaskingReceipt__Masked masked = CHAPERONE__V1__MASKING_RECEIPT__MASKED__INIT;
    Chaperone__V1__MaskingReceipt__Masked *list = &masked;
    static char rule[] = "reads", column[] = "iban", tag[] = "SELECT 1";
    masked.rule = rule;
    masked.column = column;
    masked.rows = 1;
    receipt.masked = &list;
    receipt.n_masked = 1;
    outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    outcome.command_tag = tag;
    outcome.rows = 1;
    outcome.masking = &receipt;
    record.session = f->session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = &outcome;
    return stream_maker_add(&f->maker, &record);
}

static ProtobufCBinaryData make(struct fill *f, size_t number)
{
    size_t at = number % f->per_session;
    char text[256];
    if (at == 0) {
        (void)snprintf(f->session, sizeof(f->session), "01900000-0000-7000-8000-%012zx",
                       number / f->per_session);
        return stream_maker_opened(&f->maker, f->session, "agent@example.org", "shop",
                                   CHAPERONE__V1__VERDICT__ALLOW);
    }
    if (at == f->per_session - 1) {
        return stream_maker_closed(&f->maker, f->session, "agent_disconnected");
    }
    if (at % 2 == 0) {
        return at % 10 == 0 ? masked_outcome(f) : stream_maker_outcome(&f->maker, f->session, 1);
    }
    (void)snprintf(text, sizeof(text),
                   "SELECT o.id, o.total, c.name FROM public.orders o JOIN customers c ON"
                   " c.id = o.customer_id WHERE o.id = %zu AND c.region = 'north'",
                   number * 7919 % 1000003);
    return stream_maker_intent(&f->maker, f->session, text, "public.orders",
                               CHAPERONE__V1__VERDICT__ALLOW);
}

static enum err add_sidecar(struct fill *f, struct store *store)
{
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE], der[CRYPTO_ED25519_DER_SIZE];
    struct store_sidecar sidecar = {.id = SIDECAR, .name = "benchmark"};
    enum err e = crypto_ed25519_generate(&f->key);
    if (e == OK) {
        crypto_ed25519_public(f->key, key);
        e = crypto_ed25519_public_to_der(key, der);
    }
    if (e == OK) {
        crypto_sha256_of(bytes_of(der, sizeof(der)), sidecar.key_hash);
        f->maker.key = f->key;
        e = store_sidecar_add(store, &sidecar);
    }
    return e;
}

static enum err fill(struct fill *f, size_t records, struct err_text *why)
{
    ProtobufCBinaryData batch[BATCH];
    enum err e = OK;
    for (size_t done = 0; e == OK && done < records;) {
        size_t count = records - done < BATCH ? records - done : BATCH;
        struct store_audit_last last;
        arena_reset(f->maker.arena);
        for (size_t i = 0; i < count; i++) {
            batch[i] = make(f, done + i);
        }
        e = audit_ingest_append(&f->ingest, SIDECAR, batch, count, &last, NULL, why);
        done += count;
    }
    return e;
}

int main(int argc, char **argv)
{
    struct err_text why = {.text = ""};
    struct state state = {.store = NULL};
    size_t records = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
    struct fill f = {.per_session = argc > 3 ? strtoul(argv[3], NULL, 10) : 40};
    struct arena *arena = arena_create(ARENA_BLOCK, BATCH_ARENA);
    if (argc < 2 || f.per_session < 3 || arena == NULL) {
        (void)fprintf(stderr, "usage: evidence_fill DATA [RECORDS [SESSION]]\n");
        return 2;
    }
    enum err e = state_open(argv[1], NULL, NULL, &state, &why);
    f.ingest = (struct audit_ingest){.store = state.store, .clock = clock_system()};
    f.maker = stream_maker_start(SIDECAR, arena);
    e = e == OK ? add_sidecar(&f, state.store) : e;
    e = e == OK ? fill(&f, records, &why) : e;
    if (e != OK) {
        (void)fprintf(stderr, "%s: %s %s\n", argv[1], err_name(e), why.text);
    }
    crypto_ed25519_destroy(f.key);
    state_close(&state);
    arena_destroy(arena);
    return e == OK ? 0 : 1;
}
