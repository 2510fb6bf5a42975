#include "cli/evidence/collection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"
#include "base/crypto/crypto.h"

static char session_a[] = "01900000-0000-7000-8000-00000000000a",
            session_b[] = "01900000-0000-7000-8000-00000000000b", agent[] = "agent-7",
            shop[] = "shop", intent_kind[] = "intent", outcome_kind[] = "outcome", rule[] = "reads",
            column[] = "ssn";

struct test {
    struct collection *c;
    uint64_t position;
    struct err_text why;
};

static enum err add_part(struct test *t, Chaperone__V1__ExportPart *part)
{
    t->why.text[0] = '\0';
    return collection_add(t->c, part, &t->why);
}

static enum err add_header(struct test *t, uint64_t matching)
{
    static uint8_t root[COLLECTION_HASH_SIZE];
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportHeader header = CHAPERONE__V1__EXPORT_HEADER__INIT;
    Chaperone__V1__Checkpoint checkpoint = CHAPERONE__V1__CHECKPOINT__INIT;
    checkpoint.size = 100;
    checkpoint.root = (ProtobufCBinaryData){.data = root, .len = sizeof(root)};
    header.checkpoint = &checkpoint;
    header.matching = matching;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_HEADER;
    part.header = &header;
    return add_part(t, &part);
}

static enum err add_end(struct test *t, uint64_t entries)
{
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportEnd end = CHAPERONE__V1__EXPORT_END__INIT;
    end.entries = entries;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_END;
    part.end = &end;
    return add_part(t, &part);
}

static enum err add_tile(struct test *t, const char *path, size_t size)
{
    static uint8_t data[TLOG_TILE_BYTES];
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__Tile tile = CHAPERONE__V1__TILE__INIT;
    tile.path = (char *)(uintptr_t)path;
    tile.data = (ProtobufCBinaryData){.data = data, .len = size};
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_TILE;
    part.tile = &tile;
    return add_part(t, &part);
}

static int setup(void **state)
{
    static const struct collection_options options = {.directory = "/tmp"};
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(collection_create(&options, &t->c, &t->why), OK);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    collection_destroy(t->c);
    free(t);
    return 0;
}

struct made {
    uint8_t bytes[1024], hash[COLLECTION_HASH_SIZE];
    Chaperone__V1__Entry entry;
};

static void make_entry(struct test *t, char *session, char *kind, Chaperone__V1__Record *record,
                       struct made *m)
{
    m->bytes[0] = 0;
    size_t size = chaperone__v1__record__get_packed_size(record);
    assert_true(size > 0 && size < sizeof(m->bytes));
    (void)chaperone__v1__record__pack(record, m->bytes + 1);
    crypto_sha256_of(bytes_of(m->bytes, size + 1), m->hash);
    chaperone__v1__entry__init(&m->entry);
    m->entry.record = (ProtobufCBinaryData){.data = m->bytes + 1, .len = size};
    m->entry.hash = (ProtobufCBinaryData){.data = m->hash, .len = sizeof(m->hash)};
    m->entry.position = ++t->position;
    m->entry.session = session;
    m->entry.identity = agent;
    m->entry.resource = shop;
    m->entry.kind = kind;
    m->entry.time_unix_ns = (int64_t)t->position * 1000;
}

static enum err add_made(struct test *t, struct made *m)
{
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportEntries entries = CHAPERONE__V1__EXPORT_ENTRIES__INIT;
    Chaperone__V1__Entry *list = &m->entry;
    entries.entries = &list;
    entries.n_entries = 1;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_ENTRIES;
    part.entries = &entries;
    return add_part(t, &part);
}

static void make_intent(struct test *t, char *session, Chaperone__V1__Verdict verdict,
                        struct made *m)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    intent.verdict = verdict;
    record.session = session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    make_entry(t, session, intent_kind, &record, m);
}

static void add_intent(struct test *t, char *session, Chaperone__V1__Verdict verdict)
{
    struct made m;
    make_intent(t, session, verdict, &m);
    assert_int_equal(add_made(t, &m), OK);
}

static void add_masked(struct test *t, char *session, uint64_t rows)
{
    struct made m;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__MaskingReceipt receipt = CHAPERONE__V1__MASKING_RECEIPT__INIT;
    Chaperone__V1__MaskingReceipt__Masked masked = CHAPERONE__V1__MASKING_RECEIPT__MASKED__INIT;
    Chaperone__V1__MaskingReceipt__Masked *list = &masked;
    masked.rule = rule;
    masked.column = column;
    masked.rows = rows;
    receipt.masked = &list;
    receipt.n_masked = 1;
    outcome.masking = &receipt;
    record.session = session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = &outcome;
    make_entry(t, session, outcome_kind, &record, &m);
    assert_int_equal(add_made(t, &m), OK);
}

static void test_what_is_learned_of_the_records(void **state)
{
    struct test *t = *state;
    uint64_t count = 0;
    size_t refusals = 0;
    assert_int_equal(add_header(t, 6), OK);
    add_intent(t, session_a, CHAPERONE__V1__VERDICT__ALLOW);
    add_intent(t, session_b, CHAPERONE__V1__VERDICT__DENY);
    add_masked(t, session_a, 2);
    add_masked(t, session_b, 5);
    add_intent(t, session_a, CHAPERONE__V1__VERDICT__ALLOW);
    add_intent(t, session_b, CHAPERONE__V1__VERDICT__ALLOW);
    assert_int_equal(add_end(t, 6), OK);
    assert_int_equal(collection_finish(t->c, &t->why), OK);
    assert_int_equal(collection_session_count(t->c), 2);
    const struct collection_session *b = collection_session(t->c, 1);
    assert_string_equal(b->id, session_b);
    assert_string_equal(b->identity, agent);
    assert_int_equal(b->entries, 3);
    assert_int_equal(b->intents, 2);
    assert_int_equal(b->refused, 1);
    assert_int_equal(b->masked, 1);
    assert_int_equal(b->first_ns, 2000);
    assert_int_equal(b->last_ns, 6000);
    const uint32_t expected[] = {1, 3, 5};
    assert_memory_equal(collection_session_entries(t->c, 1), expected, sizeof(expected));
    const uint32_t *list = collection_list(t->c, COLLECTION_REFUSALS, &refusals);
    assert_int_equal(refusals, 1);
    assert_int_equal(list[0], 1);
    assert_int_equal(collection_masked_count(t->c), 1);
    assert_int_equal(collection_masked(t->c, 0)->rows, 7);
    assert_int_equal(collection_masked(t->c, 0)->outcomes, 2);
    assert_int_equal(collection_kinds(t->c), 2);
    assert_string_equal(collection_kind_name(t->c, 0, &count), "intent");
    assert_int_equal(count, 4);
    Chaperone__V1__Entry *entry = NULL;
    assert_int_equal(collection_entry(t->c, 5, &entry), OK);
    assert_int_equal(entry->position, 6);
    chaperone__v1__entry__free_unpacked(entry, NULL);
}

static void test_erased_records_are_counted(void **state)
{
    struct test *t = *state;
    struct made m;
    assert_int_equal(add_header(t, 1), OK);
    make_intent(t, session_a, CHAPERONE__V1__VERDICT__ALLOW, &m);
    m.entry.record.len = 0;
    m.entry.is_erased = 1;
    assert_int_equal(add_made(t, &m), OK);
    assert_int_equal(add_end(t, 1), OK);
    assert_int_equal(collection_finish(t->c, &t->why), OK);
    assert_int_equal(collection_erased(t->c), 1);
    assert_int_equal(collection_session(t->c, 0)->erased, 1);
    assert_int_equal(collection_session(t->c, 0)->intents, 0);
}

static void refuse_entry(struct test *t, struct made *m, const char *words)
{
    assert_int_equal(add_made(t, m), ERR_INVALID);
    if (strstr(t->why.text, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", t->why.text, words);
    }
}

static void test_records_that_are_not_what_they_say(void **state)
{
    struct test *t = *state;
    struct made m;
    assert_int_equal(add_header(t, 1), OK);
    make_intent(t, session_a, CHAPERONE__V1__VERDICT__DENY, &m);
    m.bytes[3] ^= 1;
    refuse_entry(t, &m, "was changed");
    m.bytes[3] ^= 1;
    m.entry.position = 101;
    refuse_entry(t, &m, "not in its checkpoint");
    m.entry.position = 0;
    refuse_entry(t, &m, "not in its checkpoint");
    m.entry.position = 1;
    m.entry.hash.len = 31;
    refuse_entry(t, &m, "without its hash");
    m.entry.hash.len = 32;
    m.entry.is_erased = 1;
    refuse_entry(t, &m, "without its hash or content");
    m.entry.is_erased = 0;
    m.entry.record.len = 0;
    refuse_entry(t, &m, "without its hash or content");
    /* Not a record at all, but with its hash. */
    m.bytes[1] = 0xff;
    crypto_sha256_of(bytes_of(m.bytes, 2), m.hash);
    m.entry.record.len = 1;
    refuse_entry(t, &m, "cannot be read");
}

static void test_parts_out_of_order(void **state)
{
    struct test *t = *state;
    assert_int_equal(add_end(t, 0), ERR_INVALID);
    assert_int_equal(collection_finish(t->c, &t->why), ERR_INVALID);
    assert_int_equal(add_header(t, 2), OK);
    assert_int_equal(add_header(t, 2), ERR_INVALID);
    add_intent(t, session_a, CHAPERONE__V1__VERDICT__ALLOW);
    assert_int_equal(add_end(t, 1), ERR_INVALID); /* one is missing */
    assert_int_equal(add_end(t, 2), ERR_INVALID);
    add_intent(t, session_a, CHAPERONE__V1__VERDICT__ALLOW);
    Chaperone__V1__ExportPart newer = CHAPERONE__V1__EXPORT_PART__INIT;
    assert_int_equal(add_part(t, &newer), ERR_INVALID);
    assert_int_equal(add_end(t, 2), OK);
    assert_int_equal(add_end(t, 2), ERR_INVALID);
}

static void test_tiles(void **state)
{
    struct test *t = *state;
    assert_int_equal(add_header(t, 0), OK);
    assert_int_equal(add_tile(t, "tile/0/../../etc", 32), ERR_INVALID);
    assert_int_equal(add_tile(t, "tile/entries/000", 32), ERR_INVALID);
    assert_int_equal(add_tile(t, "tile/0/000.p/3", 32), ERR_INVALID);
    assert_int_equal(add_tile(t, "tile/0/000.p/3", 96), OK);
    assert_int_equal(add_tile(t, "tile/0/000.p/2", 64), OK);
    assert_int_equal(add_end(t, 0), OK);
    assert_int_equal(collection_finish(t->c, &t->why), ERR_INVALID);
    assert_non_null(strstr(t->why.text, "twice"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_learned_of_the_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_erased_records_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_that_are_not_what_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tiles, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
