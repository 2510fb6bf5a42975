/* The engine on a store of its own, with a clock that the test sets; api-level tests are in
 * controlplane/server_approval_test.c. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/scratch.h"
#include "controlplane/approvals/approvals_internal.h"

#define ID "0199e9a2-0000-7000-8000-000000000001"
#define WAITS CHAPERONE__V1__APPROVAL_STATE__WAITING
#define APPROVED CHAPERONE__V1__APPROVAL_STATE__APPROVED
#define DENIED CHAPERONE__V1__APPROVAL_STATE__DENIED
#define EXPIRED CHAPERONE__V1__APPROVAL_STATE__EXPIRED
#define USED CHAPERONE__V1__APPROVAL_STATE__USED

static const int64_t second = 1000000000;

struct test {
    char directory[64], path[80];
    struct store *store;
    struct journal *journal;
    struct approvals *approvals;
    struct arena *arena;
    struct log log;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    int64_t now;
    unsigned changes;
    Chaperone__V1__ApprovalState last;
    bool last_by_sidecar;
};

static int64_t now_of(void *context)
{
    struct test *t = context;
    (void)pthread_mutex_lock(&t->mutex);
    int64_t now = t->now;
    (void)pthread_mutex_unlock(&t->mutex);
    return now;
}

static void set_clock(struct test *t, int64_t ns)
{
    (void)pthread_mutex_lock(&t->mutex);
    t->now = ns;
    (void)pthread_mutex_unlock(&t->mutex);
}

static void on_changed(void *context, const Chaperone__V1__HeldOperation *held, uint64_t cursor,
                       bool by_sidecar)
{
    struct test *t = context;
    (void)pthread_mutex_lock(&t->mutex);
    t->changes++;
    t->last = held->state;
    t->last_by_sidecar = by_sidecar;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->mutex);
    assert_true(cursor > 0);
}

/* Waits for a change that time makes. */
static void await_state(struct test *t, Chaperone__V1__ApprovalState state)
{
    struct timespec until;
    int rc = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    (void)pthread_mutex_lock(&t->mutex);
    while (t->last != state && rc == 0) {
        rc = pthread_cond_timedwait(&t->changed, &t->mutex, &until);
    }
    (void)pthread_mutex_unlock(&t->mutex);
    assert_int_equal(rc, 0);
}

static void open_all(struct test *t, const struct store_sqlite_options *options)
{
    const struct clock clock = {.wall_ns = now_of, .monotonic_ns = now_of, .context = t};
    assert_int_equal(store_open_sqlite(t->path, options, &t->store, NULL), OK);
    const struct journal_options journal = {.store = t->store, .clock = clock};
    t->journal = journal_create(&journal);
    assert_non_null(t->journal);
    const struct approvals_options approvals = {.store = t->store,
                                                .journal = t->journal,
                                                .clock = clock,
                                                .log = &t->log,
                                                .on_changed = on_changed,
                                                .context = t};
    assert_int_equal(approvals_create(&approvals, &t->approvals), OK);
}

static void close_all(struct test *t)
{
    approvals_destroy(t->approvals);
    journal_destroy(t->journal);
    store_close(t->store);
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    scratch_create(t->directory);
    (void)snprintf(t->path, sizeof(t->path), "%s/db", t->directory);
    (void)pthread_mutex_init(&t->mutex, NULL);
    (void)pthread_cond_init(&t->changed, NULL);
    t->log = (struct log){.fd = 2, .level = LOG_ERROR, .clock = clock_system()};
    t->now = 1000 * second;
    t->arena = arena_create(1 << 16, APPROVALS_ARENA_CAP);
    assert_non_null(t->arena);
    open_all(t, NULL);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    close_all(t);
    arena_destroy(t->arena);
    scratch_remove(t->directory);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->mutex);
    free(t);
    return 0;
}

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* An operation whose parts may be changed. */
struct operation {
    Chaperone__V1__HeldOperation held;
    Chaperone__V1__Identity identity;
    Chaperone__V1__Intent intent;
    Chaperone__V1__HoldTerms terms;
    Chaperone__V1__StandingTerms standing;
    Chaperone__V1__Delegate delegate, *delegates[1];
    char *groups[2];
    uint8_t digest[32];
};

static void operation_init(struct operation *o, const char *id)
{
    memset(o, 0, sizeof(*o));
    chaperone__v1__held_operation__init(&o->held);
    chaperone__v1__identity__init(&o->identity);
    chaperone__v1__intent__init(&o->intent);
    chaperone__v1__hold_terms__init(&o->terms);
    chaperone__v1__standing_terms__init(&o->standing);
    chaperone__v1__delegate__init(&o->delegate);
    o->delegates[0] = &o->delegate;
    o->groups[0] = text_of("dba");
    o->groups[1] = text_of("ops");
    o->identity.issuer = text_of("iss");
    o->identity.subject = text_of("bot");
    o->intent.rule = text_of("deletes");
    o->terms.groups = o->groups;
    o->terms.n_groups = 2;
    o->terms.people = 1;
    o->terms.excludes_requester = true;
    o->terms.retry_window_s = 600;
    o->standing.seconds_max = 3600;
    o->standing.uses_max = 10;
    o->held.id = text_of(id);
    o->held.session = text_of("A");
    o->held.resource = text_of("orders");
    o->held.identity = &o->identity;
    o->held.intent = &o->intent;
    o->held.terms = &o->terms;
    o->held.digest = (ProtobufCBinaryData){.data = o->digest, .len = sizeof(o->digest)};
    o->held.shape = text_of("shape");
}

static enum err ask(struct test *t, const struct operation *o, Chaperone__V1__ApprovalState *out)
{
    Chaperone__V1__RequestApprovalRequest request = CHAPERONE__V1__REQUEST_APPROVAL_REQUEST__INIT;
    Chaperone__V1__ApprovalDecided decided = CHAPERONE__V1__APPROVAL_DECIDED__INIT;
    request.held = (Chaperone__V1__HeldOperation *)(uintptr_t)&o->held;
    request.lifetime_ms = 60000;
    arena_reset(t->arena);
    enum err err = approvals_request(t->approvals, "s1", &request, t->arena, &decided, NULL);
    *out = decided.state;
    return err;
}

static void asks(struct test *t, const struct operation *o, Chaperone__V1__ApprovalState expected)
{
    Chaperone__V1__ApprovalState state = WAITS;
    assert_int_equal(ask(t, o, &state), OK);
    assert_int_equal(state, expected);
}

/* `seconds` 0: no standing approval. */
static enum err say(struct test *t, const char *id, const char *who, bool approve, int64_t seconds,
                    uint32_t uses)
{
    const char *group = "dba";
    const struct approvals_person person = {.issuer = "iss",
                                            .subject = who,
                                            .name = "",
                                            .groups = &group,
                                            .group_count = 1,
                                            .from = "ipv4:127.0.0.1:1"};
    const Chaperone__V1__HeldOperation *held = NULL;
    Chaperone__V1__DecideRequest request = CHAPERONE__V1__DECIDE_REQUEST__INIT;
    Chaperone__V1__Standing standing = CHAPERONE__V1__STANDING__INIT;
    standing.until_unix_ns = now_of(t) + seconds * second;
    standing.uses = uses;
    request.id = text_of(id);
    request.approve = approve;
    request.standing = seconds == 0 ? NULL : &standing;
    arena_reset(t->arena);
    return approvals_decide(t->approvals, &person, &request, t->arena, &held, NULL);
}

static enum err end(struct test *t, const char *id, Chaperone__V1__ApprovalState state)
{
    Chaperone__V1__EndApprovalRequest request = CHAPERONE__V1__END_APPROVAL_REQUEST__INIT;
    request.id = text_of(id);
    request.state = state;
    return approvals_end(t->approvals, "s1", &request, NULL);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_what_waits_expires_at_its_moment(void **state)
{
    struct test *t = *state;
    struct operation o;
    operation_init(&o, ID);
    asks(t, &o, WAITS);
    set_clock(t, 1059 * second);
    asks(t, &o, WAITS);
    set_clock(t, 1060 * second);
    /* Before the timer looked, as well. */
    enum err late = say(t, ID, "ann", true, 0, 0);
    assert_int_equal(late, ERR_CLOSED);
    await_state(t, EXPIRED);
    assert_false(t->last_by_sidecar); /* its sidecar is told */
    asks(t, &o, EXPIRED);
}

static void test_what_is_approved_is_not_approved_for_ever(void **state)
{
    struct test *t = *state;
    struct operation o;
    operation_init(&o, ID);
    asks(t, &o, WAITS);
    assert_int_equal(say(t, ID, "ann", true, 0, 0), OK);
    set_clock(t, (1060 + APPROVALS_RELEASE_S) * second);
    await_state(t, EXPIRED);
    assert_int_equal(end(t, ID, USED), ERR_CLOSED);
}

static void test_its_clock_goes_on_while_nobody_is_there(void **state)
{
    struct test *t = *state;
    struct operation o;
    operation_init(&o, ID);
    asks(t, &o, WAITS);
    close_all(t);
    t->last = WAITS;
    set_clock(t, 1061 * second);
    open_all(t, NULL);
    await_state(t, EXPIRED);
}

static void test_a_retry_has_its_window(void **state)
{
    struct test *t = *state;
    struct operation o;
    operation_init(&o, ID);
    o.terms.is_retry = true;
    asks(t, &o, WAITS);
    set_clock(t, 1050 * second);
    assert_int_equal(say(t, ID, "ann", true, 0, 0), OK);
    set_clock(t, 1649 * second); /* long after it would have expired undecided */
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000002");
    asks(t, &o, APPROVED);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000003");
    asks(t, &o, WAITS);
    assert_int_equal(say(t, o.held.id, "ann", false, 0, 0), OK);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000004");
    asks(t, &o, DENIED);
    set_clock(t, (1649 + 600) * second);
    asks(t, &o, WAITS); /* people may be asked again */
    assert_int_equal(say(t, o.held.id, "ann", true, 0, 0), OK);
    set_clock(t, (1649 + 1200) * second);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000005");
    asks(t, &o, WAITS); /* nobody came within the window */
}

static void test_an_end_may_overtake_its_request(void **state)
{
    struct test *t = *state;
    struct operation o;
    operation_init(&o, ID);
    assert_int_equal(end(t, ID, USED), ERR_NOT_FOUND);
    assert_int_equal(end(t, ID, CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN), OK);
    asks(t, &o, CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN);
    assert_int_equal(say(t, ID, "ann", true, 0, 0), ERR_NOT_FOUND); /* nobody was asked */
}

static void test_what_no_sidecar_waits_for_is_withdrawn(void **state)
{
    struct test *t = *state;
    struct operation o;
    char *named[] = {text_of(ID)};
    operation_init(&o, ID);
    asks(t, &o, WAITS);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000002");
    o.digest[0] = 1;
    asks(t, &o, WAITS);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000003");
    o.digest[0] = 2;
    o.terms.is_retry = true;
    asks(t, &o, WAITS);
    /* So new a request may have overtaken the Hello. */
    assert_int_equal(approvals_forsake(t->approvals, "s1", named, 1), OK);
    assert_int_equal(say(t, "0199e9a2-0000-7000-8000-000000000002", "ann", true, 0, 0), OK);
    set_clock(t, 1010 * second);
    assert_int_equal(approvals_forsake(t->approvals, "s2", NULL, 0), OK); /* another one's */
    assert_int_equal(approvals_forsake(t->approvals, "s1", named, 1), OK);
    assert_int_equal(end(t, "0199e9a2-0000-7000-8000-000000000002", USED), ERR_CLOSED);
    assert_int_equal(say(t, ID, "ann", true, 0, 0), OK);
    assert_int_equal(say(t, o.held.id, "ann", true, 0, 0), OK);
}

static enum err write_revocation(void *context, const struct store_audit_write *audit)
{
    const struct store_revocation revocation = {
        .sidecar = "s1", .by = "ann", .reason = "", .now_ns = second, .audit = audit};
    return store_sidecar_revoke(context, &revocation);
}

static void revoke_sidecar(struct test *t)
{
    const struct store_sidecar sidecar = {.id = "s1",
                                          .name = "",
                                          .version = "",
                                          .certificate_serial = "",
                                          .policy_state = "",
                                          .enrolled_by = ""};
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action};
    assert_int_equal(store_sidecar_add(t->store, &sidecar), OK);
    assert_int_equal(journal_append_with(t->journal, &entry, 1, write_revocation, t->store, NULL),
                     OK);
}

/* Its request came in before, and is looked at after that. */
static void test_a_revoked_sidecar_asks_nobody_and_uses_nothing(void **state)
{
    struct test *t = *state;
    struct operation o;
    Chaperone__V1__ApprovalState answer = WAITS;
    operation_init(&o, ID);
    o.terms.standing = &o.standing;
    asks(t, &o, WAITS);
    assert_int_equal(say(t, ID, "ann", true, 600, 2), OK);
    revoke_sidecar(t);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000002");
    assert_int_equal(ask(t, &o, &answer), ERR_DENIED); /* what stands would let it through */
    o.held.shape = text_of("another");
    assert_int_equal(ask(t, &o, &answer), ERR_DENIED);
    assert_int_equal(say(t, o.held.id, "ann", true, 0, 0), ERR_NOT_FOUND);
}

/* ---- standing approvals -----------------------------------------------------------------------
 */

static void test_all_who_approve_must_want_it_standing(void **state)
{
    struct test *t = *state;
    struct operation o;
    operation_init(&o, ID);
    o.terms.people = 2;
    o.terms.standing = &o.standing;
    asks(t, &o, WAITS);
    assert_int_equal(say(t, ID, "ann", true, 600, 5), OK);
    assert_int_equal(say(t, ID, "bob", true, 0, 0), OK);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000002");
    asks(t, &o, WAITS);
    assert_int_equal(say(t, o.held.id, "ann", true, 600, 5), OK);
    assert_int_equal(say(t, o.held.id, "bob", true, 300, 1), OK);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000003");
    asks(t, &o, APPROVED);
    o.held.id = text_of("0199e9a2-0000-7000-8000-000000000004");
    asks(t, &o, WAITS); /* the least of both: once */
}

/* ---- faults -----------------------------------------------------------------------------------
 */

static void test_what_cannot_be_recorded_is_not_decided(void **state)
{
    static uint8_t text[300 << 10]; /* more than is left where one more does not fit */
    struct test *t = *state;
    const struct store_sqlite_options small = {.page_count_max = 700};
    const Chaperone__V1__HeldOperation *held = NULL;
    struct operation o;
    Chaperone__V1__ApprovalState first = WAITS;
    char id[37];
    enum err err = OK;
    close_all(t);
    open_all(t, &small);
    operation_init(&o, ID);
    o.intent.text = (ProtobufCBinaryData){.data = text, .len = sizeof(text)};
    asks(t, &o, WAITS);
    for (int i = 2; err == OK; i++) {
        (void)snprintf(id, sizeof(id), "0199e9a2-0000-7000-8000-%012d", i);
        o.held.id = id;
        err = ask(t, &o, &first);
    }
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(say(t, ID, "ann", true, 0, 0), ERR_FULL);
    arena_reset(t->arena);
    assert_int_equal(approvals_get(t->approvals, ID, t->arena, &held, NULL), OK);
    assert_int_equal(held->state, WAITS);
    assert_int_equal(held->n_decisions, 0);
    close_all(t);
    open_all(t, NULL);
    assert_int_equal(say(t, ID, "ann", true, 0, 0), OK);
}

/* ---- terms ------------------------------------------------------------------------------------
 */

static void test_who_asks_is_known_under_each_name(void **state)
{
    (void)state;
    struct operation o;
    const char *groups[] = {"x", "ops"};
    struct approvals_person alice = {
        .issuer = "iss", .subject = "alice", .groups = groups, .group_count = 2};
    Chaperone__V1__DecideRequest request = CHAPERONE__V1__DECIDE_REQUEST__INIT;
    const struct {
        const char *issuer;
        Chaperone__V1__Assurance assurance;
        bool of_statement;
    } table[] = {
        {"iss", CHAPERONE__V1__ASSURANCE__VERIFIED, false},
        {"iss", CHAPERONE__V1__ASSURANCE__VERIFIED, true},
        {"", CHAPERONE__V1__ASSURANCE__VERIFIED, false},
        {"other", CHAPERONE__V1__ASSURANCE__VERIFIED, false},
        {"other", CHAPERONE__V1__ASSURANCE__DECLARED, true},
        {"other", CHAPERONE__V1__ASSURANCE__ASSURANCE_UNSPECIFIED, true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        operation_init(&o, ID);
        o.delegate.issuer = text_of(table[i].issuer);
        o.delegate.subject = text_of("alice");
        o.delegate.assurance = table[i].assurance;
        o.held.n_on_behalf_of = table[i].of_statement ? 0 : 1;
        o.held.on_behalf_of = o.delegates;
        o.intent.n_on_behalf_of = table[i].of_statement ? 1 : 0;
        o.intent.on_behalf_of = o.delegates;
        request.approve = true;
        assert_int_equal(terms_check_person(&o.held, &alice, &request, NULL), ERR_DENIED);
        request.approve = false;
        assert_int_equal(terms_check_person(&o.held, &alice, &request, NULL), ERR_DENIED);
        o.terms.excludes_requester = false;
        assert_int_equal(terms_check_person(&o.held, &alice, &request, NULL), OK);
    }
    groups[1] = "OPS"; /* groups are compared exactly */
    assert_int_equal(terms_check_person(&o.held, &alice, &request, NULL), ERR_DENIED);
}

static void test_a_standing_key_changes_with_each_part(void **state)
{
    (void)state;
    struct operation o;
    uint8_t first[STORE_HASH_SIZE], key[STORE_HASH_SIZE];
    operation_init(&o, ID);
    o.terms.standing = &o.standing;
    terms_make_key(&o.held, first);
    for (int i = 0; i < 13; i++) {
        operation_init(&o, "0199e9a2-0000-7000-8000-000000000002");
        o.terms.standing = &o.standing;
        o.held.session = text_of("B");
        o.digest[0] = 1;
        terms_make_key(&o.held, key);
        assert_memory_equal(key, first, sizeof(key)); /* another operation of the same kind */
        switch (i) {
        case 0: o.held.shape = text_of("other"); break;
        case 1: o.identity.subject = text_of("eve"); break;
        case 2: o.identity.issuer = text_of("other"); break;
        case 3: o.held.resource = text_of("stock"); break;
        case 4: o.held.database = text_of("stock"); break;
        case 5: o.held.target_user = text_of("root"); break;
        case 6: o.intent.rule = text_of("other"); break;
        case 7: o.terms.people = 2; break;
        case 8: o.terms.n_groups = 1; break;
        case 9: o.standing.uses_max = 11; break;
        case 10:
            o.held.on_behalf_of = o.delegates;
            o.held.n_on_behalf_of = 1;
            break;
        case 11: o.terms.needs_reason = true; break;
        default: /* the same bytes, parted elsewhere */
            o.identity.issuer = text_of("is");
            o.identity.subject = text_of("sbot");
            break;
        }
        terms_make_key(&o.held, key);
        assert_memory_not_equal(key, first, sizeof(key));
    }
}

static void test_who_may_take_back_what_stands(void **state)
{
    (void)state;
    struct operation o;
    const char *dba = "dba", *guests = "guests";
    operation_init(&o, ID);
    o.terms.forbids_linked = true;
    o.terms.needs_reason = true; /* of who approves */
    const struct {
        struct approvals_person person;
        enum err expected;
    } table[] = {
        {{.subject = "ann", .groups = &dba, .group_count = 1}, OK},
        {{.subject = "ann", .groups = &guests, .group_count = 1}, ERR_DENIED},
        {{.subject = "ann", .groups = &dba, .group_count = 1, .is_linked = true}, ERR_DENIED},
        {{.subject = "ann", .groups = &dba, .group_count = 1, .is_delegated = true}, ERR_DENIED},
        {{.subject = "bot", .groups = &dba, .group_count = 1}, ERR_DENIED}, /* asked for it */
        {{.subject = "ann", .groups = &guests, .group_count = 1, .is_admin = true}, OK},
        {{.subject = "bot", .groups = &guests, .group_count = 1, .is_admin = true}, OK},
        {{.subject = "ann",
          .groups = &dba,
          .group_count = 1,
          .is_admin = true,
          .is_delegated = true},
         ERR_DENIED},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(terms_check_revoker(&o.held, &table[i].person, NULL), table[i].expected);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_what_waits_expires_at_its_moment),
        CASE(test_what_is_approved_is_not_approved_for_ever),
        CASE(test_its_clock_goes_on_while_nobody_is_there),
        CASE(test_a_retry_has_its_window),
        CASE(test_an_end_may_overtake_its_request),
        CASE(test_what_no_sidecar_waits_for_is_withdrawn),
        CASE(test_a_revoked_sidecar_asks_nobody_and_uses_nothing),
        CASE(test_all_who_approve_must_want_it_standing),
        CASE(test_what_cannot_be_recorded_is_not_decided),
        cmocka_unit_test(test_who_asks_is_known_under_each_name),
        cmocka_unit_test(test_a_standing_key_changes_with_each_part),
        cmocka_unit_test(test_who_may_take_back_what_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
