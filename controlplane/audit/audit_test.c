/* From shipped bytes to what a person finds, through the public headers. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/audit/ingest.h"
#include "controlplane/audit/search.h"
#include "controlplane/audit/stream_maker.h"
#include "controlplane/audit/tail.h"

static const int64_t received_ns = INT64_C(1800000000000000000);

struct test {
    char directory[256], path[300];
    struct store *store;
    struct audit_feed *feed;
    struct audit_ingest ingest;
    struct crypto_ed25519 *key;
    struct arena *arena;
    struct stream_maker maker;
};

static int64_t fixed_clock(void *context)
{
    (void)context;
    return received_ns;
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

static int setup(void **state)
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

static int teardown(void **state)
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

static enum err ship(struct test *t, const ProtobufCBinaryData *records, size_t count,
                     struct err_text *why)
{
    struct store_audit_last last;
    enum err err = audit_ingest_append(&t->ingest, "s1", records, count, &last, why);
    if (err == OK) {
        struct store_audit_last stored;
        assert_int_equal(store_audit_last(t->store, "s1", &stored), OK);
        assert_int_equal(last.sequence, stored.sequence);
        assert_memory_equal(last.hash, stored.hash, STORE_HASH_SIZE);
    }
    return err;
}

static void ship_ok(struct test *t, const ProtobufCBinaryData *records, size_t count)
{
    struct err_text why = {.text = ""};
    enum err err = ship(t, records, count, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
}

static void ship_refused(struct test *t, ProtobufCBinaryData record, enum err expected,
                         const char *sentence, uint64_t last_expected)
{
    struct err_text why = {.text = ""};
    struct store_audit_last last;
    assert_int_equal(ship(t, &record, 1, &why), expected);
    if (strstr(why.text, sentence) == NULL) {
        print_error("\"%s\" is not in \"%s\"\n", sentence, why.text);
    }
    assert_non_null(strstr(why.text, sentence));
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, last_expected);
}

/* Two sessions: alice's on db1, then bob's on db2 (one refused statement). 1 and 6 open. */
enum { RECORDS = 11 };

static void fill(struct test *t)
{
    struct stream_maker *m = &t->maker;
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
    ship_ok(t, records, RECORDS);
}

/* ---- ingest ---- */

static void test_what_is_shipped_again_is_acknowledged(void **state)
{
    struct test *t = *state;
    ProtobufCBinaryData records[4];
    uint64_t count = 0;
    for (size_t i = 0; i < 4; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    ship_ok(t, records, 3);
    ship_ok(t, records, 3);
    ship_ok(t, records + 1, 3);
    ship_ok(t, records, 0);
    assert_int_equal(store_audit_count(t->store, &count), OK);
    assert_int_equal(count, 4);
}

static void test_a_wrong_record_is_refused_and_those_before_it_are_kept(void **state)
{
    struct test *t = *state;
    struct err_text why = {.text = ""};
    struct store_audit_last last;
    ProtobufCBinaryData records[4];
    for (size_t i = 0; i < 4; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    ProtobufCBinaryData gap[3] = {records[0], records[1], records[3]};
    assert_int_equal(ship(t, gap, 3, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "record 4: a gap, expected 3"));
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, 2);
    ship_refused(t, records[3], ERR_INVALID, "record 4: a gap, expected 3", 2);
    ship_ok(t, records + 2, 2);
}

static void test_a_changed_record_breaks_the_chain(void **state)
{
    struct test *t = *state;
    struct stream_maker other = stream_maker_start("s1", t->arena);
    ProtobufCBinaryData first = stream_maker_outcome(&t->maker, "A", 1);
    ProtobufCBinaryData second = stream_maker_outcome(&t->maker, "A", 2);
    ProtobufCBinaryData rewritten = stream_maker_outcome(&other, "A", 9);
    ProtobufCBinaryData follower = stream_maker_outcome(&other, "A", 9);
    ship_ok(t, &first, 1);
    ship_refused(t, rewritten, ERR_EXISTS, "record 1", 1);
    ship_refused(t, follower, ERR_INVALID, "record 2: its previous hash", 1);
    ship_ok(t, &second, 1);
}

static void test_a_stream_belongs_to_its_sidecar(void **state)
{
    struct test *t = *state;
    struct stream_maker other = stream_maker_start("s2", t->arena);
    ship_refused(t, stream_maker_outcome(&other, "A", 1), ERR_DENIED, "another sidecar", 0);
}

static void test_malformed_records_are_refused_with_a_reason(void **state)
{
    struct test *t = *state;
    uint8_t noise[64];
    memset(noise, 0xff, sizeof(noise));
    ship_refused(t, (ProtobufCBinaryData){.data = noise, .len = sizeof(noise)}, ERR_INVALID,
                 "no protobuf message", 0);
    ship_refused(t, (ProtobufCBinaryData){.data = NULL, .len = 0}, ERR_INVALID, "no valid sequence",
                 0);
    uint8_t *large = calloc(1, (1 << 20) + 1);
    assert_non_null(large);
    ship_refused(t, (ProtobufCBinaryData){.data = large, .len = (1 << 20) + 1}, ERR_LIMIT,
                 "at most 1048576", 0);
    free(large);

    struct stream_maker m = stream_maker_start("s1", t->arena);
    Chaperone__V1__Record nothing = CHAPERONE__V1__RECORD__INIT;
    ship_refused(t, stream_maker_add(&m, &nothing), ERR_INVALID, "no event that is known", 0);
    m = stream_maker_start("s1", t->arena);
    ship_refused(t, stream_maker_outcome(&m, "", 1), ERR_INVALID, "no session", 0);
    char long_id[66];
    memset(long_id, 'x', 65);
    long_id[65] = '\0';
    m = stream_maker_start("s1", t->arena);
    ship_refused(t, stream_maker_outcome(&m, long_id, 1), ERR_INVALID, "too long", 0);
}

static void test_every_cut_of_a_record_is_refused(void **state)
{
    struct test *t = *state;
    ProtobufCBinaryData record =
        stream_maker_intent(&t->maker, "A", "select 1", "orders", CHAPERONE__V1__VERDICT__ALLOW);
    for (size_t size = 0; size < record.len; size++) {
        struct err_text why = {.text = ""};
        uint8_t *cut = malloc(size + 1); /* exact, so that a read beyond it is seen */
        assert_non_null(cut);
        memcpy(cut, record.data, size);
        ProtobufCBinaryData part = {.data = cut, .len = size};
        assert_int_equal(ship(t, &part, 1, &why), ERR_INVALID);
        assert_true(why.text[0] != '\0');
        free(cut);
    }
    ship_ok(t, &record, 1);
}

static void test_a_heartbeat_must_be_signed_with_the_enrolled_key(void **state)
{
    struct test *t = *state;
    struct crypto_ed25519 *stolen = NULL;
    struct stream_maker forger = stream_maker_start("s1", t->arena);
    assert_int_equal(crypto_ed25519_generate(&stolen), OK);
    forger.key = stolen;
    ship_refused(t, stream_maker_heartbeat(&forger), ERR_DENIED, "another key", 0);
    crypto_ed25519_destroy(stolen);

    ProtobufCBinaryData good = stream_maker_heartbeat(&t->maker);
    Chaperone__V1__Record *record = chaperone__v1__record__unpack(NULL, good.len, good.data);
    assert_non_null(record);
    record->heartbeat->signature.data[5] ^= 1;
    uint8_t *packed = arena_alloc(t->arena, good.len);
    assert_int_equal(chaperone__v1__record__pack(record, packed), good.len);
    chaperone__v1__record__free_unpacked(record, NULL);
    ship_refused(t, (ProtobufCBinaryData){.data = packed, .len = good.len}, ERR_DENIED,
                 "signature is wrong", 0);
    ship_ok(t, &good, 1);

    struct stream_maker stranger = stream_maker_start("s9", t->arena);
    struct store_audit_last last;
    stranger.key = t->key;
    good = stream_maker_heartbeat(&stranger);
    assert_int_equal(audit_ingest_append(&t->ingest, "s9", &good, 1, &last, NULL), ERR_NOT_FOUND);
}

static void test_a_large_batch_is_taken_in_parts(void **state)
{
    enum { MANY = 9000 };
    struct test *t = *state;
    ProtobufCBinaryData *records = calloc(MANY, sizeof(ProtobufCBinaryData));
    uint64_t count = 0;
    assert_non_null(records);
    for (size_t i = 0; i < MANY; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    ship_ok(t, records, MANY);
    free(records);
    assert_int_equal(store_audit_count(t->store, &count), OK);
    assert_int_equal(count, MANY);
}

/* A record of 1 MiB that unpacks to as much as it can: half a million empty objects. */
static void test_a_record_that_swells_is_taken_within_the_memory_it_may_have(void **state)
{
    enum { OBJECTS = 500000 };
    struct test *t = *state;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT;
    Chaperone__V1__Object **objects = calloc(OBJECTS, sizeof(*objects));
    char session[] = "A";
    assert_non_null(objects);
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = &object;
    }
    intent.objects = objects;
    intent.n_objects = OBJECTS;
    record.session = session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    ProtobufCBinaryData packed = stream_maker_add(&t->maker, &record);
    free(objects);
    assert_true(packed.len > 1000000 && packed.len <= 1 << 20);
    ship_ok(t, &packed, 1);
}

/* ---- search ---- */

struct found {
    struct buffer text;
    int responses, stop_after;
};

static bool on_entries(void *context, const Chaperone__V1__SearchResponse *response)
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

static void search_is(struct test *t, const Chaperone__V1__SearchRequest *request,
                      const char *expected)
{
    struct found f = {.responses = 0};
    struct err_text why = {.text = ""};
    uint64_t position = 0, total = 0;
    buffer_init(&f.text, 1 << 20);
    enum err err = audit_search_run(t->store, request, on_entries, &f, &position, &why);
    if (err != OK || !bytes_equal_string(buffer_bytes(&f.text), expected)) {
        print_error("%s: %.*s, expected %s\n", why.text, (int)buffer_size(&f.text),
                    (const char *)buffer_bytes(&f.text).data, expected);
    }
    assert_int_equal(err, OK);
    assert_true(bytes_equal_string(buffer_bytes(&f.text), expected));
    assert_int_equal(store_audit_count(t->store, &total), OK);
    assert_int_equal(position, total);
    buffer_finish(&f.text);
}

#define SEARCH(t, expected, ...)                                                                   \
    do {                                                                                           \
        Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;                \
        __VA_ARGS__;                                                                               \
        search_is((t), &request, (expected));                                                      \
    } while (0)

static char alice[] = "alice", db1[] = "db1", session_b[] = "B", orders[] = "orders",
            public_orders[] = "public.orders", words[] = "from orders", intent_kind[] = "intent",
            outcome_kind[] = "outcome", closed_kind[] = "session_closed", wrong[] = "intents",
            no_words[] = "***";

static void test_every_filter_finds_its_records(void **state)
{
    struct test *t = *state;
    SEARCH(t, "", request.identity = alice); /* an empty log */
    fill(t);
    SEARCH(t, "1 2 3 4 5 6 7 8 9 10 11", (void)request);
    SEARCH(t, "1 2 3 4 5", request.identity = alice);
    SEARCH(t, "1 2 3 4 5 10", request.resource = db1);
    SEARCH(t, "6 7 8", request.session = session_b);
    SEARCH(t, "2 7", request.table = orders);
    SEARCH(t, "2 7", request.table = public_orders); /* 7 is unqualified: it may be public's */
    SEARCH(t, "2 7", request.text = words);
    SEARCH(t, "2", request.text = words; request.identity = alice);
    SEARCH(t, "7 10", request.verdict = CHAPERONE__V1__VERDICT__DENY);
    SEARCH(t, "3 4", request.since_unix_ns = INT64_C(1700000003000000000);
           request.until_unix_ns = INT64_C(1700000004000000000));
    char *kinds[] = {outcome_kind, closed_kind};
    SEARCH(t, "3 5 8", request.kinds = kinds; request.n_kinds = 2);
    SEARCH(t, "9 10 11", request.limit = 3);
    SEARCH(t, "4 5", request.limit = 2; request.identity = alice);
    SEARCH(t, "7", request.limit = 1; request.text = words);
    SEARCH(t, "1 2 3 4 5", request.limit = 1000; request.identity = alice);
}

static void test_a_wrong_question_is_answered_with_why(void **state)
{
    struct test *t = *state;
    struct err_text why;
    struct found f = {.responses = 0};
    char *kinds[] = {intent_kind, wrong};
    for (int filled = 0; filled < 2; filled++) {
        Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
        request.kinds = kinds;
        request.n_kinds = 2;
        assert_int_equal(audit_search_run(t->store, &request, on_entries, &f, NULL, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "\"intents\""));
        request.n_kinds = 0;
        request.text = no_words;
        assert_int_equal(audit_search_run(t->store, &request, on_entries, &f, NULL, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "no word"));
        request.text = words;
        request.since_unix_ns = 2;
        request.until_unix_ns = 1;
        assert_int_equal(audit_search_run(t->store, &request, on_entries, &f, NULL, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "since"));
        request.until_unix_ns = 0;
        request.verdict = (Chaperone__V1__Verdict)7;
        assert_int_equal(audit_search_run(t->store, &request, on_entries, &f, NULL, &why),
                         ERR_INVALID);
        if (filled == 0) {
            fill(t);
        }
    }
    assert_int_equal(f.responses, 0);
}

static void test_an_answer_comes_in_parts_and_stops_when_told(void **state)
{
    enum { MANY = 1000 };
    struct test *t = *state;
    ProtobufCBinaryData records[MANY];
    struct found f = {.stop_after = 2};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    for (size_t i = 0; i < MANY; i++) {
        records[i] = stream_maker_outcome(&t->maker, "A", i);
    }
    ship_ok(t, records, MANY);
    buffer_init(&f.text, 1 << 20);
    request.limit = 900; /* from 101 on */
    assert_int_equal(audit_search_run(t->store, &request, on_entries, &f, NULL, NULL), OK);
    assert_int_equal(f.responses, 2);
    assert_memory_equal(buffer_bytes(&f.text).data, "101 102 ", 8);
    f.stop_after = -1;
    buffer_clear(&f.text);
    f.responses = 0;
    assert_int_equal(audit_search_run(t->store, &request, on_entries, &f, NULL, NULL), OK);
    assert_int_equal(f.responses, (900 + AUDIT_SEARCH_PAGE - 1) / AUDIT_SEARCH_PAGE);
    struct bytes all = buffer_bytes(&f.text);
    assert_memory_equal(all.data + all.size - 9, " 999 1000", 9);
    buffer_finish(&f.text);
}

static bool on_first_entry(void *context, const Chaperone__V1__SearchResponse *response)
{
    const Chaperone__V1__Entry *e = response->entries[0];
    const ProtobufCBinaryData *bytes = context;
    assert_int_equal(e->record.len, bytes->len);
    assert_memory_equal(e->record.data, bytes->data, bytes->len); /* canonical */
    assert_string_equal(e->identity, "alice");
    assert_string_equal(e->on_behalf_of, "ann, deployer");
    assert_string_equal(e->resource, "db1");
    assert_string_equal(e->protocol, "postgres");
    assert_int_equal(e->received_unix_ns, received_ns);
    return true;
}

static void test_an_entry_is_the_record_and_its_session(void **state)
{
    struct test *t = *state;
    ProtobufCBinaryData records[2] = {
        stream_maker_opened(&t->maker, "A", "alice", "db1", CHAPERONE__V1__VERDICT__ALLOW),
        stream_maker_outcome(&t->maker, "A", 5),
    };
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    ship_ok(t, records, 2);
    request.limit = 1;
    assert_int_equal(audit_search_run(t->store, &request, on_first_entry, &records[1], NULL, NULL),
                     OK);
}

static void test_sessions_are_listed(void **state)
{
    struct test *t = *state;
    Chaperone__V1__ListSessionsRequest request = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    Chaperone__V1__SessionSummary **items = NULL;
    size_t count = 0;
    fill(t);
    assert_int_equal(audit_sessions_list(t->store, &request, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0]->session, "A");
    assert_string_equal(items[0]->state, "open");
    assert_string_equal(items[0]->sidecar, "s1");
    assert_string_equal(items[0]->identity, "alice");
    assert_string_equal(items[0]->on_behalf_of, "ann, deployer");
    assert_string_equal(items[0]->database, "shop");
    assert_int_equal(items[0]->operations, 2);
    request.include_closed = 1;
    assert_int_equal(audit_sessions_list(t->store, &request, t->arena, &items, &count), OK);
    assert_int_equal(count, 3);
    assert_string_equal(items[0]->state, "refused");
    assert_string_equal(items[1]->state, "closed");
    assert_string_equal(items[1]->close_reason, "killed");
    assert_true(items[1]->closed_unix_ns > items[1]->opened_unix_ns);
}

/* ---- tail ---- */

struct tailed {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct found found;
    size_t entries;
    bool ended;
    enum err err;
};

static bool on_tailed(void *context, const Chaperone__V1__SearchResponse *response)
{
    struct tailed *t = context;
    (void)pthread_mutex_lock(&t->mutex);
    bool go_on = on_entries(&t->found, response);
    t->entries += response->n_entries;
    (void)pthread_cond_signal(&t->changed);
    (void)pthread_mutex_unlock(&t->mutex);
    return go_on;
}

static void on_tail_end(void *context, enum err err, const struct err_text *why)
{
    struct tailed *t = context;
    (void)why;
    (void)pthread_mutex_lock(&t->mutex);
    assert_false(t->ended);
    t->ended = true;
    t->err = err;
    (void)pthread_cond_signal(&t->changed);
    (void)pthread_mutex_unlock(&t->mutex);
}

static const struct audit_tail_events tail_events = {.on_entries = on_tailed,
                                                     .on_end = on_tail_end};

static void tailed_init(struct tailed *t)
{
    *t = (struct tailed){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    buffer_init(&t->found.text, 1 << 20);
}

/* Waits until `entries` have come or it has ended. */
static void tailed_wait(struct tailed *t, size_t entries)
{
    (void)pthread_mutex_lock(&t->mutex);
    while (t->entries < entries && !t->ended) {
        (void)pthread_cond_wait(&t->changed, &t->mutex);
    }
    (void)pthread_mutex_unlock(&t->mutex);
}

static void test_a_tail_goes_on_where_the_search_ended(void **state)
{
    struct test *t = *state;
    struct tailed tailed;
    struct audit_tail *tail = NULL;
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    tailed_init(&tailed);
    fill(t);
    request.identity = alice;
    request.limit = 2;
    assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, &tailed, &tail),
                     OK);
    tailed_wait(&tailed, 2);
    for (int i = 0; i < 3; i++) {
        ProtobufCBinaryData records[2] = {
            stream_maker_outcome(&t->maker, "A", 1),
            stream_maker_outcome(&t->maker, "B", 1), /* bob's */
        };
        ship_ok(t, records, 2);
        tailed_wait(&tailed, 3 + (size_t)i);
    }
    audit_tail_stop(tail);
    assert_true(tailed.ended);
    assert_int_equal(tailed.err, OK);
    assert_true(bytes_equal_string(buffer_bytes(&tailed.found.text), "4 5 12 14 16"));
    buffer_finish(&tailed.found.text);
}

/* Tails that start while records arrive: each sees every one once, in order. */
static void test_a_tail_misses_nothing_and_repeats_nothing(void **state)
{
    enum { BATCHES = 40, TAILS = 4 };
    struct test *t = *state;
    struct tailed tailed[TAILS];
    struct audit_tail *tails[TAILS] = {NULL};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct buffer expected;
    buffer_init(&expected, 1 << 20);
    for (int i = 0; i < BATCHES; i++) {
        if (i % (BATCHES / TAILS) == 0) {
            struct tailed *next = &tailed[i / (BATCHES / TAILS)];
            tailed_init(next);
            assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, next,
                                              &tails[i / (BATCHES / TAILS)]),
                             OK);
        }
        ProtobufCBinaryData record = stream_maker_outcome(&t->maker, "A", 1);
        ship_ok(t, &record, 1);
        assert_int_equal(buffer_append_format(&expected, i == 0 ? "%d" : " %d", i + 1), OK);
    }
    for (int i = 0; i < TAILS; i++) {
        tailed_wait(&tailed[i], BATCHES);
        audit_tail_stop(tails[i]);
        assert_int_equal(tailed[i].err, OK);
        assert_true(bytes_equal(buffer_bytes(&tailed[i].found.text), buffer_bytes(&expected)));
        buffer_finish(&tailed[i].found.text);
    }
    buffer_finish(&expected);
}

static void test_a_tail_ends_when_told_and_when_wrong(void **state)
{
    struct test *t = *state;
    struct tailed tailed;
    struct audit_tail *tail = NULL;
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    tailed_init(&tailed);
    tailed.found.stop_after = 1;
    fill(t);
    assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, &tailed, &tail),
                     OK);
    tailed_wait(&tailed, SIZE_MAX); /* it ends by itself: on_entries said stop */
    audit_tail_stop(tail);
    assert_int_equal(tailed.err, OK);
    buffer_finish(&tailed.found.text);
    tailed_init(&tailed);
    request.text = no_words;
    assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, &tailed, &tail),
                     OK);
    tailed_wait(&tailed, SIZE_MAX);
    audit_tail_stop(tail);
    assert_int_equal(tailed.err, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_shipped_again_is_acknowledged),
        TEST(test_a_wrong_record_is_refused_and_those_before_it_are_kept),
        TEST(test_a_changed_record_breaks_the_chain),
        TEST(test_a_stream_belongs_to_its_sidecar),
        TEST(test_malformed_records_are_refused_with_a_reason),
        TEST(test_every_cut_of_a_record_is_refused),
        TEST(test_a_heartbeat_must_be_signed_with_the_enrolled_key),
        TEST(test_a_large_batch_is_taken_in_parts),
        TEST(test_a_record_that_swells_is_taken_within_the_memory_it_may_have),
        TEST(test_every_filter_finds_its_records),
        TEST(test_a_wrong_question_is_answered_with_why),
        TEST(test_an_answer_comes_in_parts_and_stops_when_told),
        TEST(test_an_entry_is_the_record_and_its_session),
        TEST(test_sessions_are_listed),
        TEST(test_a_tail_goes_on_where_the_search_ended),
        TEST(test_a_tail_misses_nothing_and_repeats_nothing),
        TEST(test_a_tail_ends_when_told_and_when_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
