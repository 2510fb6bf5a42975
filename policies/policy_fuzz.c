#include <assert.h>
#include <stdlib.h>

#include "policies/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A document; whatever compiles must answer any question, and always by the same rules:
 * a hold has terms, an allowed or held operation was understood, names and masks are there. */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const some_columns[] = {"id", "ssn"}, *const all_columns[] = {"*"};
static const struct policy_object objects[] = {
    {.kind = "table",
     .name = "public.orders",
     .access = "read",
     .columns = some_columns,
     .column_count = 2},
    {.kind = "table",
     .name = "public.orders",
     .access = "delete",
     .columns = all_columns,
     .column_count = 1},
    {.kind = "table", .name = "\"a\"\"b\".\"c", .access = "insert"},
    {.kind = "table",
     .name = "salaries",
     .access = "update",
     .columns = some_columns,
     .column_count = 2},
    {.kind = "table", .name = "salaries", .access = "read"},
    {.kind = "function", .name = "count", .access = "call"},
    {.kind = "function", .name = "pg_catalog.pg_sleep", .access = "call"},
    {.kind = "code", .name = "plpgsql", .access = "procedural"},
    {.kind = "setting", .name = "search_path", .access = "session"},
    {.kind = "schema", .name = "hr", .access = "drop"},
    {.kind = "type", .name = "hr.mood", .access = "create"},
    {.kind = "table", .name = "a.b.c.d", .access = "read"},
    {.kind = "x", .name = "", .access = "y"},
};

struct asked {
    const char *commands[3];
    size_t command_count;
    const char *accesses[2];
    size_t access_count;
    size_t from, to; /* of `objects` */
    bool without_where, is_known;
};

static const struct asked questions[] = {
    {.is_known = true},
    {{"SELECT"}, 1, {"read"}, 1, 0, 1, false, true},
    {{"DELETE"}, 1, {"read", "delete"}, 2, 0, 2, false, true},
    {{"DELETE"}, 1, {"delete"}, 1, 1, 2, true, true},
    {{"UPDATE", "COMMIT"}, 2, {"update", "transaction"}, 2, 3, 5, true, true},
    {{"COPY"}, 1, {"export", "read"}, 2, 0, 1, false, true},
    {{"COPY"}, 1, {"load", "insert"}, 2, 2, 3, false, true},
    {{"EXPLAIN", "FUNCTION CALL", "SET"}, 3, {"call"}, 1, 5, 9, false, true},
    {{"DROP SCHEMA"}, 1, {"drop"}, 1, 9, 10, false, true},
    {{"DO"}, 1, {"unsafe_io"}, 1, 7, 8, false, true},
    {{"SELECT", "UNKNOWN"}, 2, {"read"}, 1, 0, 1, false, false},
    {{"SELECT"}, 1, {"magic"}, 1, 0, COUNT(objects), false, false},
};

static struct policy_request who(size_t round)
{
    static const char *const groups[] = {"analysts", "writers", "support", "dba"};
    static const char *const behalf[] = {"ann@example.com"};
    static const struct policy_claim claims[] = {{"department", "care"},
                                                 {"realm_access.roles", "reader"}};
    return (struct policy_request){.subject = "repo:a/b",
                                   .groups = groups,
                                   .group_count = round % 5,
                                   .on_behalf_of = behalf,
                                   .on_behalf_of_count = round % 2,
                                   .claims = claims,
                                   .claim_count = round % 3,
                                   .resource = "shop",
                                   .protocol = "postgres",
                                   /* Three days and some hours each: days and nights. */
                                   .now_unix_s = 1790000000 + (int64_t)round * 280000};
}

/* ---- requests of HTTP ------------------------------------------------------------------ */

static const struct policy_pair query[] = {
    {"expand", "orders"}, {"expand[]", "cards"}, {"page", "3"}};
static const struct policy_pair headers[] = {{"x-team", "care"},
                                             {"x-http-method-override", "DELETE"}};
static const struct policy_pair body[] = {
    {"/amount", "99.99999999999999999999"}, {"/items/0/sku", "A-1"}, {"/currency", "EUR"}};

static const struct policy_http requests[] = {
    {.method = "GET",
     .host = "api.internal",
     .path = "/customers/42",
     .query = query,
     .query_count = 3},
    {.method = "HEAD",
     .host = "api.internal",
     .path = "/orders/1/lines",
     .headers = headers,
     .header_count = 1},
    {.method = "POST",
     .host = "api.internal",
     .path = "/orders",
     .headers = headers,
     .header_count = 2},
    {.method = "POST", .host = "::1", .path = "/Orders//;x/", .query = query, .query_count = 1},
    {.method = "GET", .host = "", .path = "/live", .is_websocket = true},
    {.method = "PROPFIND",
     .host = "api.internal",
     .path = "/",
     .headers = headers,
     .header_count = 1},
    {.method = "OPTIONS", .host = "api.internal", .path = "*"},
    {.method = "GET", .host = "api.internal", .path = "/a/../b"},
    {.method = "GET", .host = "api.internal", .path = "/a/%2e%2E/b"},
    {.method = "GET", .host = "api.internal", .path = ""},
    {.method = "", .host = "api.internal", .path = "/"},
};
enum { PLAIN_REQUESTS = 7 };

static struct policy_verdict decide_http(const struct policy *p, struct policy_http http,
                                         enum policy_body state, size_t round);

/* What is allowed with a body that nobody has read is allowed with every body. */
static void ask_http(const struct policy *p, size_t index, size_t round)
{
    struct policy_verdict none = decide_http(p, requests[index], POLICY_BODY_NONE, round);
    struct policy_verdict read = decide_http(p, requests[index], POLICY_BODY_READ, round);
    struct policy_verdict unread = decide_http(p, requests[index], POLICY_BODY_UNREAD, round);
    const struct policy_verdict *all[] = {&none, &read, &unread};
    for (size_t i = 0; i < COUNT(all); i++) {
        assert(all[i]->rule != NULL && all[i]->rule[0] != '\0');
        assert(index < PLAIN_REQUESTS || all[i]->effect == POLICY_DENY);
        assert(all[i]->rate_count <= POLICY_RATES_MAX);
        for (size_t j = 0; j < all[i]->rate_count; j++) {
            assert(all[i]->rates[j].requests > 0 && all[i]->rates[j].per_s > 0);
        }
        assert(all[i]->effect != POLICY_DENY || all[i]->rate_count == 0);
        /* More rules may cover it, with more rates than can be counted: then it is "default". */
        assert(unread.effect != POLICY_ALLOW || all[i]->effect == POLICY_ALLOW ||
               strcmp(all[i]->rule, "default") == 0);
    }
}

static void check_hold(const struct policy_verdict *v)
{
    const struct policy_hold *h = v->hold;
    assert((v->effect == POLICY_HOLD) == (h != NULL));
    if (h == NULL) {
        return;
    }
    assert(h->group_count > 0 && h->group_count <= POLICY_HOLD_GROUPS_MAX);
    for (size_t i = 0; i < h->group_count; i++) {
        assert(h->groups[i] != NULL && h->groups[i][0] != '\0');
    }
    assert(h->people >= 1 && h->people <= POLICY_HOLD_PEOPLE_MAX);
    assert(h->in_transaction_s >= 1 && h->in_transaction_s <= h->lifetime_s);
    assert(h->retry_window_s >= 10);
    assert(h->has_standing == (h->standing_s_max > 0 && h->standing_uses_max > 0));
    assert(h->explains || !h->runs_dry);
    assert(v->durability >= POLICY_HOST);
}

static void ask(const struct policy *p, const struct asked *a, size_t round)
{
    struct policy_request r = who(round);
    struct policy_verdict v = {0}, again = {0};
    r.commands = a->commands;
    r.command_count = a->command_count;
    r.accesses = a->accesses;
    r.access_count = a->access_count;
    r.without_where = a->without_where;
    r.objects = objects + a->from;
    r.object_count = a->to - a->from;
    policy_evaluate(p, &r, &v);
    assert(v.rule != NULL && v.rule[0] != '\0');
    assert(a->is_known || v.effect == POLICY_DENY);
    check_hold(&v);
    assert(!v.is_default_durability || v.durability == POLICY_HOST);
    policy_evaluate(p, &r, &again);
    assert(again.effect == v.effect && again.rule == v.rule && again.hold == v.hold);
}

static struct policy_verdict decide_http(const struct policy *p, struct policy_http http,
                                         enum policy_body state, size_t round)
{
    struct policy_request r = who(round);
    struct policy_verdict v = {0};
    r.protocol = "http";
    http.body_state = state;
    http.body = body;
    http.body_count = state == POLICY_BODY_READ ? COUNT(body) : 0;
    r.http = &http;
    policy_evaluate(p, &r, &v);
    check_hold(&v);
    (void)policy_reads_body(p, &r);
    return v;
}

/* What masks name may be asked of any column. */
static void mask(const struct policy *p, size_t round)
{
    const struct policy_request r = who(round);
    const struct policy_mask *masks[POLICY_MASKS_MAX];
    bool is_complete = false;
    size_t count = policy_masks(p, &r, masks, &is_complete);
    assert(count <= POLICY_MASKS_MAX && (count == 0 || policy_has_masks(p)));
    for (size_t i = 0; i < count; i++) {
        assert(masks[i]->rule != NULL);
        bool matches =
            policy_mask_matches(masks[i], "public", "customers", "ssn", "character varying[]");
        assert(masks[i]->names_columns || !matches);
        assert(masks[i]->names_columns || masks[i]->names_http || masks[i]->detector_count > 0);
        bool names = policy_mask_matches_field(masks[i], bytes_of_string("email")) ||
                     policy_mask_matches_pointer(masks[i], bytes_of_string("/a/0/ssn")) ||
                     policy_mask_matches_header(masks[i], bytes_of_string("x-email"));
        assert(masks[i]->names_http || !names);
        (void)policy_mask_trusts(masks[i], NULL, "f");
        (void)policy_mask_trusts(masks[i], "public", "f");
    }
}

/* The canonical form is what is signed and sent: it must be the same policy. */
static void reload(const uint8_t *data, size_t size)
{
    struct conf *c = NULL;
    struct policy *p = NULL;
    assert(conf_load_text("policy", bytes_of(data, size), &c, NULL) == OK);
    char *json = conf_to_json(conf_root(c));
    assert(json != NULL);
    assert(policy_compile(bytes_of_string(json), 1, &p, NULL) == OK);
    policy_destroy(p);
    free(json);
    conf_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *p = NULL;
    struct err_text why = {0};
    if (policy_compile(bytes_of(data, size), 1, &p, &why) != OK) {
        assert(why.text[0] != '\0');
        return 0;
    }
    for (size_t round = 0; round < COUNT(questions); round++) {
        ask(p, &questions[round], round);
        ask(p, &questions[round], round + 3);
        mask(p, round);
    }
    for (size_t i = 0; i < COUNT(requests); i++) {
        ask_http(p, i, i);
        ask_http(p, i, i + 3);
    }
    reload(data, size);
    policy_destroy(p);
    return 0;
}
