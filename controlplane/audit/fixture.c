#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/audit/fixture.h"

static int64_t fixed_clock(void *context)
{
    (void)context;
    return fixture_received_ns;
}

static void enrol(struct test *t, const char *id)
{
    struct store_sidecar sidecar = {.id = id};
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE], der[CRYPTO_ED25519_DER_SIZE];
    crypto_ed25519_public(t->key, key);
    assert_int_equal(crypto_ed25519_public_to_der(key, der), OK);
    crypto_sha256_of(bytes_of(der, sizeof(der)), sidecar.key_hash);
    assert_int_equal(store_sidecar_add(t->store, &sidecar), OK);
}

int fixture_setup(void **state)
{
    const char *parent = getenv("TEST_TMPDIR");
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    (void)snprintf(t->directory, sizeof(t->directory), "%s/audit-XXXXXX",
                   parent == NULL ? "/tmp" : parent);
    assert_non_null(mkdtemp(t->directory));
    (void)snprintf(t->path, sizeof(t->path), "%s/db", t->directory);
    assert_int_equal(store_open_sqlite(t->path, NULL, &t->store, NULL), OK);
    t->feed = audit_feed_create();
    t->arena = arena_create(1 << 16, 256 << 20);
    assert_int_equal(crypto_ed25519_generate(&t->key), OK);
    t->ingest = (struct audit_ingest){
        .store = t->store, .feed = t->feed, .clock = {.wall_ns = fixed_clock}};
    t->maker = stream_maker_start("s1", t->arena);
    t->maker.key = t->key;
    enrol(t, "s1");
    *state = t;
    return 0;
}

int fixture_teardown(void **state)
{
    struct test *t = *state;
    store_close(t->store);
    assert_int_equal(unlink(t->path), 0);
    assert_int_equal(rmdir(t->directory), 0);
    audit_feed_destroy(t->feed);
    crypto_ed25519_destroy(t->key);
    arena_destroy(t->arena);
    free(t);
    return 0;
}

enum err fixture_ship(struct test *t, const ProtobufCBinaryData *records, size_t count,
                      struct err_text *why)
{
    struct store_audit_last last;
    enum err err = audit_ingest_append(&t->ingest, "s1", records, count, &last, &t->refusal, why);
    if (err == OK) {
        struct store_audit_last stored;
        assert_int_equal(store_audit_last(t->store, "s1", &stored), OK);
        assert_int_equal(last.sequence, stored.sequence);
        assert_memory_equal(last.hash, stored.hash, STORE_HASH_SIZE);
    }
    return err;
}

void fixture_ship_ok(struct test *t, const ProtobufCBinaryData *records, size_t count)
{
    struct err_text why = {.text = ""};
    enum err err = fixture_ship(t, records, count, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
}

enum { RECORDS = 11 };

void fixture_fill(struct test *t)
{
    struct stream_maker *m = &t->maker;
    m->open_sessions = 1; /* A */
    const ProtobufCBinaryData records[RECORDS] = {
        stream_maker_opened(m, "A", "alice", "db1", CHAPERONE__V1__VERDICT__ALLOW),
        stream_maker_intent(m, "A", "SELECT * FROM public.orders", "public.orders",
                            CHAPERONE__V1__VERDICT__ALLOW),
        stream_maker_outcome(m, "A", 5),
        stream_maker_intent(m, "A", "SELECT now()", NULL, CHAPERONE__V1__VERDICT__ALLOW),
        stream_maker_outcome(m, "A", 1),
        stream_maker_opened(m, "B", "bob", "db2", CHAPERONE__V1__VERDICT__ALLOW),
        stream_maker_intent(m, "B", "DELETE FROM \"Orders\"", "\"Orders\"",
                            CHAPERONE__V1__VERDICT__DENY),
        stream_maker_closed(m, "B", "killed"),
        stream_maker_heartbeat(m),
        stream_maker_opened(m, "C", "eve", "db1", CHAPERONE__V1__VERDICT__DENY),
        stream_maker_heartbeat(m),
    };
    fixture_ship_ok(t, records, RECORDS);
}

bool answer_add(void *context, const Chaperone__V1__SearchResponse *response)
{
    struct found *f = context;
    for (size_t i = 0; i < response->n_entries; i++) {
        const ProtobufCBinaryData *bytes = &response->entries[i]->record;
        Chaperone__V1__Record *record =
            chaperone__v1__record__unpack(NULL, bytes->len, bytes->data);
        assert_non_null(record);
        assert_int_equal(buffer_append_format(&f->text, buffer_size(&f->text) == 0 ? "%d" : " %d",
                                              (int)record->sequence),
                         OK);
        chaperone__v1__record__free_unpacked(record, NULL);
    }
    f->responses++;
    return f->responses != f->stop_after;
}
