/* What the tests of this folder share: a store, a feed, an enrolled sidecar "s1" that ships.
 * Include cmocka.h before. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_AUDIT_FIXTURE_H

#include "controlplane/audit/ingest.h"
#include "controlplane/audit/search.h"
#include "controlplane/audit/stream_maker.h"

static const int64_t fixture_received_ns = INT64_C(1800000000000000000);

struct test {
    char directory[256], path[300];
    struct store *store;
    struct audit_feed *feed;
    struct audit_ingest ingest;
    struct crypto_ed25519 *key;
    struct arena *arena;
    struct stream_maker maker;
    struct audit_refusal refusal; /* of the last batch that was refused */
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

enum err fixture_ship(struct test *t, const ProtobufCBinaryData *records, size_t count,
                      struct err_text *why);
void fixture_ship_ok(struct test *t, const ProtobufCBinaryData *records, size_t count);
/* 11 records: 1-5 session A, alice's on db1; 6-8 session B, bob's on db2, one statement refused;
 * 10 session C, eve's on db1, refused; 9 and 11 heartbeats. */
void fixture_fill(struct test *t);

/* Gathers what is found as its sequences: "3 4". */
struct found {
    struct buffer text;
    int responses, stop_after;
};

bool answer_add(void *context, const Chaperone__V1__SearchResponse *response);

#endif
