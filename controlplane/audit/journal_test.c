#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/audit/fixture.h"
#include "controlplane/audit/journal.h"

static struct journal *open_journal(struct test *t)
{
    const struct journal_options options = {
        .store = t->store, .feed = t->feed, .clock = clock_system()};
    struct journal *j = journal_create(&options);
    assert_non_null(j);
    return j;
}

static enum err decide(struct journal *j, const char *session, const char *reason)
{
    static char decided[] = "decided";
    Chaperone__V1__Approval approval = CHAPERONE__V1__APPROVAL__INIT;
    const struct store_audit_opened about = {.identity = bytes_of_string("alice"),
                                             .resource = bytes_of_string("db1")};
    const struct journal_entry entry = {.session = session, .about = &about, .approval = &approval};
    approval.state = decided;
    approval.reason = (char *)(uintptr_t)reason;
    return journal_append(j, &entry, NULL);
}

static enum err order(struct journal *j)
{
    static char kill[] = "kill", everything[] = "everything";
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action};
    action.action = kill;
    action.object = everything;
    return journal_append(j, &entry, NULL);
}

/* The sequences that match; the canonical bytes of each are chained to those before. */
static size_t count_chained(struct test *t, const struct store_audit_filter *filter)
{
    struct store_audit_entry *items = NULL;
    uint8_t hash[STORE_HASH_SIZE] = {0};
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_audit_page(t->store, filter, INT64_MIN, 1000, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    for (size_t i = 0; i < count; i++) {
        struct crypto_sha256 next;
        Chaperone__V1__Record *r =
            chaperone__v1__record__unpack(NULL, items[i].canonical.size, items[i].canonical.data);
        assert_non_null(r);
        assert_string_equal(r->sidecar, JOURNAL_STREAM);
        assert_int_equal(r->sequence, i + 1);
        assert_int_equal(r->salt.len, r->session[0] == '\0' ? 0 : 16);
        assert_memory_equal(r->previous.data, hash, STORE_HASH_SIZE);
        crypto_sha256_init(&next);
        crypto_sha256_update(&next, bytes_of("\0", 1));
        crypto_sha256_update(&next, items[i].canonical);
        crypto_sha256_finish(&next, hash);
        chaperone__v1__record__free_unpacked(r, NULL);
    }
    return count;
}

static void test_it_goes_on_after_a_restart(void **state)
{
    struct test *t = *state;
    struct journal *j = open_journal(t);
    assert_int_equal(decide(j, "A", "fine"), OK);
    assert_int_equal(order(j), OK);
    journal_destroy(j);
    j = open_journal(t);
    assert_int_equal(decide(j, "A", "no"), OK);
    journal_destroy(j);
    assert_int_equal(count_chained(t, &(struct store_audit_filter){.kinds = STORE_KINDS_ALL}), 3);
}

static void test_it_is_found_with_the_session_that_it_is_about(void **state)
{
    struct test *t = *state;
    struct journal *j = open_journal(t);
    struct found found = {.stop_after = 100};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct store_session session;
    buffer_init(&found.text, 4096);
    assert_int_equal(decide(j, "A", "fine"), OK);
    fixture_fill(t); /* session A arrives after what was decided of it */
    request.session = (char *)(uintptr_t) "A";
    assert_int_equal(audit_search_run(t->store, &request, answer_add, &found, NULL, NULL), OK);
    char *text = bytes_to_string(buffer_bytes(&found.text));
    assert_string_equal(text, "1 2 3 4 5 1");
    free(text);
    assert_int_equal(store_session_get(t->store, "A", t->arena, &session), OK);
    assert_string_equal(session.sidecar, "s1");
    buffer_finish(&found.text);
    journal_destroy(j);
}

enum { THREADS = 4, EACH = 20 };

static void *append_many(void *context)
{
    for (int i = 0; i < EACH; i++) {
        if (order(context) != OK) {
            return context;
        }
    }
    return NULL;
}

static void test_threads_take_turns(void **state)
{
    struct test *t = *state;
    struct journal *j = open_journal(t);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, j), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    journal_destroy(j);
    assert_int_equal(count_chained(t, &(struct store_audit_filter){.kinds = STORE_KINDS_ALL}),
                     THREADS * EACH);
}

static enum err refuse(void *context, const struct store_audit_write *write)
{
    (void)write;
    *(int *)context += 1;
    return ERR_EXISTS;
}

static void test_what_was_not_written_leaves_no_gap(void **state)
{
    struct test *t = *state;
    struct journal *j = open_journal(t);
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action}, nothing = {.session = "A"};
    int asked = 0;
    assert_int_equal(journal_append_with(j, &entry, 1, refuse, &asked, NULL), ERR_EXISTS);
    assert_int_equal(asked, 1);
    assert_int_equal(journal_append(j, &nothing, NULL), ERR_INVALID);
    assert_int_equal(order(j), OK);
    journal_destroy(j);
    assert_int_equal(count_chained(t, &(struct store_audit_filter){.kinds = STORE_KINDS_ALL}), 1);
}

static enum err find(struct journal *j, const char *kind)
{
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    const struct journal_entry entry = {.finding = &finding};
    finding.kind = (char *)(uintptr_t)kind;
    return journal_append(j, &entry, NULL);
}

static void test_findings_are_found_by_their_kind(void **state)
{
    struct test *t = *state;
    struct journal *j = open_journal(t);
    assert_int_equal(find(j, "gap"), OK);
    assert_int_equal(order(j), OK);
    journal_destroy(j);
    assert_int_equal(
        count_chained(t, &(struct store_audit_filter){.kinds = store_kind_bit(STORE_FINDING)}), 1);
}

/* Another control plane on the same store: its journal does not know what this one wrote. */
static void test_two_journals_write_one_stream(void **state)
{
    struct test *t = *state;
    struct journal *a = open_journal(t), *b = open_journal(t);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(order(a), OK);
        assert_int_equal(decide(b, "A", "fine"), OK);
        assert_int_equal(find(b, "gap"), OK);
    }
    journal_destroy(a);
    journal_destroy(b);
    assert_int_equal(count_chained(t, &(struct store_audit_filter){.kinds = STORE_KINDS_ALL}), 15);
}

static enum err write_revocation(void *context, const struct store_audit_write *audit)
{
    const struct store_revocation revocation = {
        .sidecar = "s1", .by = "root", .reason = "", .now_ns = 1, .audit = audit};
    return store_sidecar_revoke(context, &revocation);
}

/* Also where the record is written in the transaction of something else. */
static void test_two_journals_write_within_other_changes(void **state)
{
    struct test *t = *state;
    struct journal *a = open_journal(t), *b = open_journal(t);
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action};
    action.action = "sidecar_revoke";
    assert_int_equal(order(a), OK);
    assert_int_equal(order(b), OK);
    assert_int_equal(journal_append_with(a, &entry, 1, write_revocation, t->store, NULL), OK);
    assert_int_equal(journal_append_with(b, &entry, 1, write_revocation, t->store, NULL),
                     ERR_DENIED); /* it was revoked: not because the stream has moved */
    assert_int_equal(order(b), OK);
    journal_destroy(a);
    journal_destroy(b);
    assert_int_equal(count_chained(t, &(struct store_audit_filter){.kinds = STORE_KINDS_ALL}), 4);
}

static void test_two_journals_write_at_the_same_time(void **state)
{
    struct test *t = *state;
    struct journal *j[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        j[i] = open_journal(t);
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, j[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        journal_destroy(j[i]);
    }
    assert_int_equal(count_chained(t, &(struct store_audit_filter){.kinds = STORE_KINDS_ALL}),
                     THREADS * EACH);
}

static void test_a_sidecar_may_not_write_what_people_said(void **state)
{
    struct test *t = *state;
    static char requested[] = "requested", a[] = "A";
    static char forged[][20] = {"decided", "standing", "standing_used", "standing_revoked"};
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Approval approval = CHAPERONE__V1__APPROVAL__INIT;
    struct err_text why = {.text = ""};
    record.session = a;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_APPROVAL;
    record.approval = &approval;
    approval.state = requested;
    ProtobufCBinaryData own = stream_maker_add(&t->maker, &record);
    fixture_ship_ok(t, &own, 1);
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        struct stream_maker maker = t->maker;
        approval.state = forged[i];
        ProtobufCBinaryData one = stream_maker_add(&maker, &record);
        assert_int_equal(fixture_ship(t, &one, 1, &why), ERR_DENIED);
        assert_non_null(strstr(why.text, "only the control plane"));
    }
}

static void test_a_sidecar_may_not_write_findings(void **state)
{
    struct test *t = *state;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    struct err_text why = {.text = ""};
    record.event_case = CHAPERONE__V1__RECORD__EVENT_FINDING;
    record.finding = &finding;
    ProtobufCBinaryData forged = stream_maker_add(&t->maker, &record);
    assert_int_equal(fixture_ship(t, &forged, 1, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "only the control plane"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_it_goes_on_after_a_restart),
        FIXTURE_TEST(test_it_is_found_with_the_session_that_it_is_about),
        FIXTURE_TEST(test_threads_take_turns),
        FIXTURE_TEST(test_what_was_not_written_leaves_no_gap),
        FIXTURE_TEST(test_findings_are_found_by_their_kind),
        FIXTURE_TEST(test_two_journals_write_one_stream),
        FIXTURE_TEST(test_two_journals_write_within_other_changes),
        FIXTURE_TEST(test_two_journals_write_at_the_same_time),
        FIXTURE_TEST(test_a_sidecar_may_not_write_what_people_said),
        FIXTURE_TEST(test_a_sidecar_may_not_write_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
