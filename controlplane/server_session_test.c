/* OpenSession: what a sidecar gets for an agent's token, and what the agent is told when it gets
 * none. */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/fixture.h"

struct asking {
    const char *resource, *database, *user, *token;
};

static struct answer ask(struct sidecar *s, struct asking what)
{
    Chaperone__V1__OpenSessionRequest request = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    request.session = (char *)(uintptr_t) "0199e9a2-0000-7000-8000-000000000001";
    request.resource = (char *)(uintptr_t)what.resource;
    request.protocol = (char *)(uintptr_t) "postgres";
    request.database = (char *)(uintptr_t)(what.database == NULL ? "" : what.database);
    request.user = (char *)(uintptr_t)(what.user == NULL ? "me" : what.user);
    request.token.data = (uint8_t *)(uintptr_t)what.token;
    request.token.len = what.token == NULL ? 0 : strlen(what.token);
    return fixture_call(s->channel, &chaperone__v1__sidecar__descriptor, "OpenSession",
                        &request.base, NULL, 0);
}

static void a_granted_agent_gets_target_and_credential(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const char *agents = "agents", *chain[] = {"orchestrator", "alice"};
    const struct issuer_token token = {.subject = "bot",
                                       .groups = &agents,
                                       .group_count = 1,
                                       .on_behalf_of = chain,
                                       .on_behalf_of_count = 2,
                                       .reason = "ticket 7",
                                       .extra_claims = "{\"department\":\"support\"}"};
    char *text = fixture_special_token(f, &token);
    struct answer a =
        ask(&s, (struct asking){.resource = "orders", .database = "me", .token = text});
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__OpenSessionResponse *r =
        (const Chaperone__V1__OpenSessionResponse *)a.reply;
    assert_string_equal(r->identity->subject, "bot");
    assert_int_equal(r->identity->assurance, CHAPERONE__V1__ASSURANCE__VERIFIED);
    assert_string_equal(r->identity->groups[0], "agents");
    bool has_department = false;
    for (size_t i = 0; i < r->identity->n_claims; i++) {
        const Chaperone__V1__Claim *claim = r->identity->claims[i];
        has_department |=
            strcmp(claim->path, "department") == 0 && strcmp(claim->value, "support") == 0;
    }
    assert_true(has_department);
    assert_int_equal(r->n_on_behalf_of, 2);
    assert_string_equal(r->on_behalf_of[0]->subject, "orchestrator");
    assert_string_equal(r->on_behalf_of[1]->subject, "alice");
    assert_int_equal(r->n_reasons, 1);
    assert_string_equal(r->reasons[0]->text, "ticket 7");
    assert_string_equal(r->target->host, "db.example");
    assert_int_equal(r->target->port, 5432);
    assert_string_equal(r->target->database, "shop");
    assert_int_equal(r->target->tls, CHAPERONE__V1__TLS_MODE__TLS_VERIFY_FULL);
    assert_string_equal(r->credential->user, "app");
    assert_true(bytes_equal_string(
        bytes_of(r->credential->password.data, r->credential->password.len), FIXTURE_PASSWORD));
    assert_string_equal(r->grant, "bots");
    assert_int_equal(r->policy_revision, 1);
    assert_true(r->expires_unix_ns > 0);
    answer_finish(&a);
    free(text);
    sidecar_finish(&s);
}

static void each_refusal_says_why(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *bot = fixture_token(f, "bot", "agents"), *nobody = fixture_token(f, "nobody", NULL);
    const struct issuer_token expired = {.subject = "bot", .lifetime_s = -60};
    const struct issuer_token other = {.subject = "bot", .audience = "other"};
    char *late = fixture_special_token(f, &expired), *elsewhere = fixture_special_token(f, &other);
    const struct {
        struct asking what;
        enum rpc_code code;
        const char *words;
    } table[] = {
        {{"orders", NULL, NULL, NULL}, RPC_UNAUTHENTICATED, "no token"},
        {{"orders", NULL, NULL, late}, RPC_UNAUTHENTICATED, "expired"},
        {{"orders", NULL, NULL, elsewhere}, RPC_UNAUTHENTICATED, ""},
        {{"orders", NULL, NULL, "a.b.c"}, RPC_UNAUTHENTICATED, ""},
        {{"orders", NULL, NULL, nobody},
         RPC_PERMISSION_DENIED,
         "\"nobody\" has no grant for the resource \"orders\""},
        {{"none", NULL, NULL, bot}, RPC_NOT_FOUND, "no resource named \"none\""},
        {{"orders", "payroll", NULL, bot}, RPC_PERMISSION_DENIED, "\"payroll\""},
        {{"broken", NULL, NULL, bot}, RPC_UNAVAILABLE, "\"broken\" cannot be reached"},
        {{"orders", "stock", NULL, bot}, RPC_OK, ""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_answer(ask(&s, table[i].what), table[i].code, table[i].words);
    }
    free(bot);
    free(nobody);
    free(late);
    free(elsewhere);
    sidecar_finish(&s);
}

static void the_reason_inside_is_for_the_operator_only(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *bot = fixture_token(f, "bot", "agents");
    struct answer a = ask(&s, (struct asking){.resource = "broken", .token = bot});
    assert_null(strstr(a.status.message, "FIXTURE_NOT_SET"));
    answer_finish(&a);
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "the environment variable FIXTURE_NOT_SET is not set"));
    free(log);
    free(bot);
    sidecar_finish(&s);
}

/* A copy; 32 bytes. */
static void ask_for_masking_key(struct sidecar *s, const char *token, uint8_t out[32])
{
    struct answer a = ask(s, (struct asking){.resource = "orders", .token = token});
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__OpenSessionResponse *r =
        (const Chaperone__V1__OpenSessionResponse *)a.reply;
    assert_int_equal(r->masking_key.len, 32);
    memcpy(out, r->masking_key.data, 32);
    answer_finish(&a);
}

static void equal_values_mask_alike_after_a_restart(void **state)
{
    struct fixture *f = *state;
    char *bot = fixture_token(f, "bot", "agents");
    uint8_t first[32], second[32];
    struct sidecar s = fixture_sidecar(f);
    ask_for_masking_key(&s, bot, first);
    ask_for_masking_key(&s, bot, second);
    assert_memory_equal(first, second, sizeof(first));
    sidecar_finish(&s);
    fixture_restart(f);
    s = fixture_sidecar(f);
    ask_for_masking_key(&s, bot, second);
    assert_memory_equal(first, second, sizeof(first));
    assert_memory_not_equal(first, (uint8_t[32]){0}, sizeof(first));
    sidecar_finish(&s);
    free(bot);
}

static void two_deployments_mask_differently(void **state)
{
    struct fixture *one = *state;
    void *other = NULL;
    assert_int_equal(fixture_setup(&other), 0);
    struct fixture *two = other;
    uint8_t first[32], second[32];
    struct sidecar s = fixture_sidecar(one), t = fixture_sidecar(two);
    char *a = fixture_token(one, "bot", "agents"), *b = fixture_token(two, "bot", "agents");
    ask_for_masking_key(&s, a, first);
    ask_for_masking_key(&t, b, second);
    assert_memory_not_equal(first, second, sizeof(first));
    free(a);
    free(b);
    sidecar_finish(&s);
    sidecar_finish(&t);
    assert_int_equal(fixture_teardown(&other), 0);
}

static void the_masking_key_is_in_no_log(void **state)
{
    struct fixture *f = *state;
    char *bot = fixture_token(f, "bot", "agents");
    uint8_t key[32];
    char hex[65];
    struct sidecar s = fixture_sidecar(f);
    ask_for_masking_key(&s, bot, key);
    for (size_t i = 0; i < sizeof(key); i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", key[i]);
    }
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "session_granted"));
    assert_null(strcasestr(log, hex));
    assert_null(memmem(log, strlen(log), key, sizeof(key)));
    free(log);
    free(bot);
    sidecar_finish(&s);
}

static void an_issuer_that_is_down_is_no_refusal_for_good(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *bot = fixture_token(f, "bot", "agents");
    struct err_text why = {0};
    /* Another leeway, another verifier: it starts without keys. */
    fixture_write_config(f, &(struct fixture_config){.leeway = "1s"});
    issuer_stop(f->issuer);
    assert_int_equal(server_reload(f->server, &why), OK);
    assert_answer(ask(&s, (struct asking){.resource = "orders", .token = bot}), RPC_UNAVAILABLE,
                  "");
    free(bot);
    sidecar_finish(&s);
}

static void a_reload_changes_who_may(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct err_text why = {0};
    char *bot = fixture_token(f, "bot", "agents");
    assert_answer(ask(&s, (struct asking){.resource = "orders", .token = bot}), RPC_OK, "");
    fixture_write_config(f, &(struct fixture_config){.agents = "x"});
    assert_int_equal(server_reload(f->server, &why), OK);
    assert_answer(ask(&s, (struct asking){.resource = "orders", .token = bot}),
                  RPC_PERMISSION_DENIED, "has no grant");
    free(bot);
    sidecar_finish(&s);
}

static void a_bad_reload_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct err_text why = {0};
    char *bot = fixture_token(f, "bot", "agents");
    fixture_write_config(f, &(struct fixture_config){.extra = "grant: []\n"});
    assert_int_equal(server_reload(f->server, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "did you mean `grants`?"));
    fixture_write_config(f, &(struct fixture_config){
                                .extra = "policy: {file: cp.yaml}\nsession: {kill_timeout: 9h}\n"});
    assert_int_equal(server_reload(f->server, &why), ERR_INVALID);
    assert_answer(ask(&s, (struct asking){.resource = "orders", .token = bot}), RPC_OK, "");
    free(bot);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_granted_agent_gets_target_and_credential),
        CASE(each_refusal_says_why),
        CASE(the_reason_inside_is_for_the_operator_only),
        CASE(equal_values_mask_alike_after_a_restart),
        CASE(two_deployments_mask_differently),
        CASE(the_masking_key_is_in_no_log),
        CASE(an_issuer_that_is_down_is_no_refusal_for_good),
        CASE(a_reload_changes_who_may),
        CASE(a_bad_reload_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
