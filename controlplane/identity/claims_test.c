#include "controlplane/identity/claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/strict_json.h"

static const int64_t NOW_S = 1795251600; /* 2026-11-21T09:00:00Z */

static struct identity_provider_config provider(void)
{
    static const char *const audiences[] = {"chaperone", "chaperone-cli"};
    struct identity_provider_config p = identity_provider_config_default();
    p.name = "test";
    p.issuer = "https://issuer.test";
    p.audiences = audiences;
    p.audience_count = 2;
    return p;
}

static struct err_text why;

/* `claims` are the members beside iss, aud, exp. */
static enum err read_with(const struct identity_provider_config *p, const char *claims,
                          struct identity **out)
{
    char *text = NULL;
    cJSON *json = NULL;
    assert_true(asprintf(&text,
                         "{\"iss\":\"https://issuer.test\",\"aud\":\"chaperone\",\"exp\":%ld,%s}",
                         (long)NOW_S + 600, claims) > 0);
    enum err e = strict_json_parse(bytes_of_string(text), "the claims", &json, &why);
    assert_int_equal(e, OK);
    free(text);
    e = claims_read(p, json, NOW_S * INT64_C(1000000000), out, &why);
    if (e != OK) {
        cJSON_Delete(json);
    }
    return e;
}

static struct identity *accept(const char *claims)
{
    struct identity_provider_config p = provider();
    struct identity *id = NULL;
    if (read_with(&p, claims, &id) != OK) {
        fail_msg("%s: %s", claims, why.text);
    }
    return id;
}

static void refuse(const char *claims, const char *expected)
{
    struct identity_provider_config p = provider();
    struct identity *id = NULL;
    assert_int_equal(read_with(&p, claims, &id), ERR_DENIED);
    assert_null(id);
    if (strstr(why.text, expected) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", claims, why.text, expected);
    }
}

/* As refuse and accept, of whole claims. */
static enum err read_whole(const char *claims, struct identity **out)
{
    struct identity_provider_config p = provider();
    cJSON *json = NULL;
    assert_int_equal(strict_json_parse(bytes_of_string(claims), "the claims", &json, &why), OK);
    enum err e = claims_read(&p, json, NOW_S * INT64_C(1000000000), out, &why);
    if (e != OK) {
        cJSON_Delete(json);
    }
    return e;
}

static void test_plain_token(void **state)
{
    (void)state;
    struct identity *id = accept("\"sub\":\"agent-1\",\"groups\":[\"ci\",\"readers\"],"
                                 "\"name\":\"The agent\",\"reason\":\"INC-7\"");
    assert_string_equal(id->subject, "agent-1");
    assert_string_equal(id->issuer, "https://issuer.test");
    assert_string_equal(id->provider, "test");
    assert_string_equal(id->name, "The agent");
    assert_string_equal(id->audience, "chaperone");
    assert_int_equal(id->expires_ns, (NOW_S + 600) * INT64_C(1000000000));
    assert_int_equal(id->group_count, 2);
    assert_true(identity_has_group(id, "readers"));
    assert_false(identity_has_group(id, "reader"));
    assert_int_equal(id->on_behalf_of_count, 0);
    assert_int_equal(id->may_act_count, 0);
    assert_int_equal(id->reason_count, 1);
    assert_string_equal(id->reasons[0].text, "INC-7");
    assert_string_equal(id->reasons[0].source, "token:reason");
    identity_destroy(id);
}

static void test_missing_optional_claims(void **state)
{
    (void)state;
    struct identity *id = accept("\"sub\":\"a\"");
    assert_string_equal(id->name, "");
    assert_int_equal(id->group_count, 0);
    assert_int_equal(id->reason_count, 0);
    identity_destroy(id);
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *times;
        const char *refused; /* NULL: accepted */
    } cases[] = {
        {"\"exp\":1795251601", NULL},
        {"\"exp\":1795251571", NULL}, /* within the leeway of 30 s */
        {"\"exp\":1795251570", "the token expired at 2026-11-21T08:59:30.000000Z (now it is "
                               "2026-11-21T09:00:00.000000Z)"},
        {"\"exp\":1795252200.5", NULL},
        {"\"exp\":0", "expired at 1970-01-01"},
        {"\"exp\":1e300", NULL},
        {"\"exp\":-1", "exp is not a time"},
        {"\"exp\":1e999", "exp is not a time"},
        {"\"exp\":\"1795252200\"", "exp is not a time"},
        {"\"exp\":null", "exp is not a time"},
        {"\"x\":1", "never expires"},
        {"\"exp\":1795252200,\"nbf\":1795251630", NULL},
        {"\"exp\":1795252200,\"nbf\":1795251631", "not valid before 2026-11-21T09:00:31"},
        {"\"exp\":1795252200,\"nbf\":1e300", "not valid before"},
        {"\"exp\":1795252200,\"nbf\":true", "nbf is not a time"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        struct identity *id = NULL;
        (void)snprintf(text, sizeof text, "{\"sub\":\"a\",\"aud\":\"chaperone\",%s}",
                       cases[i].times);
        enum err e = read_whole(text, &id);
        if ((e == OK) != (cases[i].refused == NULL) ||
            (e != OK && strstr(why.text, cases[i].refused) == NULL)) {
            fail_msg("%s: %s %s", cases[i].times, err_name(e), why.text);
        }
        identity_destroy(id);
    }
}

static void test_audiences(void **state)
{
    (void)state;
    static const struct {
        const char *audience;
        const char *matched; /* NULL: refused */
    } cases[] = {
        {"\"aud\":\"chaperone\",", "chaperone"},
        {"\"aud\":[\"other\",\"chaperone-cli\"],", "chaperone-cli"},
        {"\"aud\":\"chaperone2\",", NULL},
        {"\"aud\":\"\",", NULL},
        {"\"aud\":[],", NULL},
        {"\"aud\":[1,{\"chaperone\":1}],", NULL},
        {"\"aud\":{\"chaperone\":\"chaperone\"},", NULL},
        {"\"aud\":null,", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        struct identity *id = NULL;
        (void)snprintf(text, sizeof text, "{%s\"sub\":\"a\",\"exp\":1795252200}",
                       cases[i].audience);
        if (cases[i].matched != NULL) {
            assert_int_equal(read_whole(text, &id), OK);
            assert_string_equal(id->audience, cases[i].matched);
        } else {
            assert_int_equal(read_whole(text, &id), ERR_DENIED);
            assert_non_null(strstr(why.text, "for the audience"));
            assert_non_null(strstr(why.text, "\"chaperone\""));
        }
        identity_destroy(id);
    }
}

static void test_subjects(void **state)
{
    (void)state;
    char text[400];
    refuse("\"name\":\"x\"", "the token's subject (sub) is missing");
    refuse("\"sub\":\"\"", "is empty");
    refuse("\"sub\":7", "not a text");
    refuse("\"sub\":\"a\\nb\"", "control character");
    refuse("\"sub\":\"a\\u007f\"", "control character");
    (void)snprintf(text, sizeof text, "\"sub\":\"%0256d\"", 0);
    refuse(text, "too long");
    (void)snprintf(text, sizeof text, "\"sub\":\"%0255d\"", 0);
    identity_destroy(accept(text));
    struct identity *id = accept("\"sub\":\"J\xc3\xbcrgen\"");
    assert_string_equal(id->subject, "J\xc3\xbcrgen");
    identity_destroy(id);
}

static void test_groups(void **state)
{
    (void)state;
    struct identity *id = accept("\"sub\":\"a\",\"groups\":\"one group\"");
    assert_int_equal(id->group_count, 1);
    assert_string_equal(id->groups[0], "one group");
    identity_destroy(id);
    id = accept("\"sub\":\"a\",\"groups\":null");
    assert_int_equal(id->group_count, 0);
    identity_destroy(id);
    refuse("\"sub\":\"a\",\"groups\":[\"a\",1]", "a group of the token (groups) is not a text");
    refuse("\"sub\":\"a\",\"groups\":{\"a\":true}", "not a text");
    refuse("\"sub\":\"a\",\"groups\":[\"\"]", "empty");
    refuse("\"sub\":\"a\",\"groups\":[[\"admin\"]]", "not a text");
}

static void test_claim_paths(void **state)
{
    (void)state;
    struct identity_provider_config p = provider();
    p.groups_claim = "realm_access.roles";
    p.subject_claim = "ext.user.email";
    p.reason_claim = "https://example.test/reason";
    p.name_claim = "https://example.test/profile.name";
    struct identity *id = NULL;
    assert_int_equal(
        read_with(
            &p,
            "\"sub\":\"ignored\",\"groups\":[\"ignored\"],\"realm_access\":{\"roles\":[\"dba\"]},"
            "\"ext\":{\"user\":{\"email\":\"a@b.test\"}},"
            "\"https://example.test/reason\":[\"first\",\"second\"],"
            "\"https://example.test/profile\":{\"name\":\"N\"}",
            &id),
        OK);
    assert_string_equal(id->subject, "a@b.test");
    assert_string_equal(id->name, "N");
    assert_int_equal(id->group_count, 1);
    assert_string_equal(id->groups[0], "dba");
    assert_int_equal(id->reason_count, 2);
    assert_string_equal(id->reasons[1].text, "second");
    assert_string_equal(id->reasons[1].source, "token:https://example.test/reason");
    identity_destroy(id);
    refuse("\"sub\":\"a\",\"reason\":[1]", "reason (reason) is not a text");
}

static void test_act_chain(void **state)
{
    (void)state;
    struct identity *id =
        accept("\"sub\":\"alice\",\"groups\":[\"staff\"],\"act\":{\"sub\":\"agent-1\",\"act\":"
               "{\"sub\":\"orchestrator\",\"iss\":\"https://other.test\"}}");
    assert_string_equal(id->subject, "agent-1");
    assert_int_equal(id->on_behalf_of_count, 2);
    assert_string_equal(id->on_behalf_of[0].subject, "orchestrator");
    assert_string_equal(id->on_behalf_of[0].issuer, "https://other.test");
    assert_string_equal(id->on_behalf_of[0].source, "token:act");
    assert_string_equal(id->on_behalf_of[1].subject, "alice");
    assert_string_equal(id->on_behalf_of[1].issuer, "https://issuer.test");
    assert_string_equal(id->on_behalf_of[1].source, "token:sub");
    assert_true(identity_has_group(id, "staff"));
    identity_destroy(id);
}

/* "sub":"s" with `depth` actors a0, a1, ... */
static void make_chain(char *out, size_t size, int depth)
{
    size_t at = (size_t)snprintf(out, size, "\"sub\":\"s\"");
    for (int i = 0; i < depth; i++) {
        at += (size_t)snprintf(out + at, size - at, ",\"act\":{\"sub\":\"a%d\"", i);
    }
    for (int i = 0; i < depth; i++) {
        at += (size_t)snprintf(out + at, size - at, "}");
    }
    assert_true(at < size);
}

static void test_act_depth(void **state)
{
    (void)state;
    char text[1024];
    make_chain(text, sizeof text, CLAIMS_ACTORS_MAX);
    struct identity *id = accept(text);
    assert_string_equal(id->subject, "a0");
    assert_int_equal(id->on_behalf_of_count, CLAIMS_ACTORS_MAX);
    assert_string_equal(id->on_behalf_of[CLAIMS_ACTORS_MAX - 1].subject, "s");
    identity_destroy(id);
    make_chain(text, sizeof text, CLAIMS_ACTORS_MAX + 1);
    refuse(text, "chain of actors (act) is longer than 8");
}

static void test_bad_delegation(void **state)
{
    (void)state;
    refuse("\"sub\":\"a\",\"act\":\"agent\"", "the subject (sub) of the claim act is missing");
    refuse("\"sub\":\"a\",\"act\":{}", "the subject (sub) of the claim act is missing");
    refuse("\"sub\":\"a\",\"act\":null", "of the claim act is missing");
    refuse("\"sub\":\"a\",\"act\":{\"sub\":\"b\",\"act\":[]}", "of the claim act is missing");
    refuse("\"sub\":\"a\",\"act\":{\"sub\":\"b\",\"iss\":\"https://other.test\"}",
           "the token's actor (act) is of another issuer, \"https://other.test\"");
    refuse("\"sub\":\"a\",\"act\":{\"sub\":\"b\",\"iss\":1}", "issuer (iss) of the claim act");
    refuse("\"sub\":\"a\",\"on_behalf_of\":3", "not a text");
    refuse("\"sub\":\"a\",\"obo\":{\"iss\":\"x\"}", "subject (sub) of the claim obo is missing");
    refuse("\"sub\":\"a\",\"may_act\":\"b\"", "subject (sub) of the claim may_act is missing");
    refuse("\"act\":{\"sub\":\"agent\"}", "the token's subject (sub) is missing");
}

static void test_custom_delegation(void **state)
{
    (void)state;
    struct identity *id = accept("\"sub\":\"agent\",\"on_behalf_of\":\"alice\","
                                 "\"obo\":{\"sub\":\"team\",\"iss\":\"https://hr.test\"}");
    assert_string_equal(id->subject, "agent");
    assert_int_equal(id->on_behalf_of_count, 2);
    assert_string_equal(id->on_behalf_of[0].subject, "team");
    assert_string_equal(id->on_behalf_of[0].issuer, "https://hr.test");
    assert_string_equal(id->on_behalf_of[0].source, "token:obo");
    assert_string_equal(id->on_behalf_of[1].subject, "alice");
    assert_string_equal(id->on_behalf_of[1].source, "token:on_behalf_of");
    identity_destroy(id);
}

static void test_may_act_is_no_delegation(void **state)
{
    (void)state;
    struct identity *id = accept("\"sub\":\"alice\",\"may_act\":{\"sub\":\"agent\"}");
    assert_string_equal(id->subject, "alice");
    assert_int_equal(id->on_behalf_of_count, 0);
    assert_int_equal(id->may_act_count, 1);
    assert_string_equal(id->may_act[0].subject, "agent");
    assert_string_equal(id->may_act[0].source, "token:may_act");
    identity_destroy(id);
}

static void test_any_claim(void **state)
{
    (void)state;
    struct identity *id =
        accept("\"sub\":\"a\",\"kubernetes.io\":{\"namespace\":\"prod\",\"pod\":{\"name\":\"p\"}},"
               "\"level\":3,\"robot\":true,\"scopes\":[\"read\",\"write\"],\"nothing\":null");
    struct identity_claim claim = identity_claim(id, "kubernetes.io.namespace");
    assert_int_equal(claim.kind, IDENTITY_CLAIM_TEXT);
    assert_string_equal(claim.text, "prod");
    claim = identity_claim(id, "kubernetes.io.pod.name");
    assert_string_equal(claim.text, "p");
    claim = identity_claim(id, "kubernetes.io");
    assert_int_equal(claim.kind, IDENTITY_CLAIM_OBJECT);
    assert_int_equal(claim.count, 2);
    claim = identity_claim(id, "level");
    assert_int_equal(claim.kind, IDENTITY_CLAIM_NUMBER);
    assert_true(claim.number == 3);
    claim = identity_claim(id, "robot");
    assert_int_equal(claim.kind, IDENTITY_CLAIM_BOOL);
    assert_true(claim.truth);
    assert_int_equal(identity_claim(id, "nothing").kind, IDENTITY_CLAIM_NONE);
    assert_int_equal(identity_claim(id, "missing").kind, IDENTITY_CLAIM_NONE);
    assert_int_equal(identity_claim(id, "sub.x").kind, IDENTITY_CLAIM_NONE);
    assert_int_equal(identity_claim(id, "").kind, IDENTITY_CLAIM_NONE);
    claim = identity_claim(id, "scopes");
    assert_int_equal(claim.kind, IDENTITY_CLAIM_LIST);
    assert_int_equal(claim.count, 2);
    assert_string_equal(identity_claim_item(id, "scopes", 1).text, "write");
    assert_int_equal(identity_claim_item(id, "scopes", 2).kind, IDENTITY_CLAIM_NONE);
    assert_int_equal(identity_claim_item(id, "sub", 0).kind, IDENTITY_CLAIM_NONE);
    assert_true(identity_claim_has(id, "scopes", "read"));
    assert_false(identity_claim_has(id, "scopes", "rea"));
    assert_true(identity_claim_has(id, "sub", "a"));
    assert_false(identity_claim_has(id, "missing", "a"));
    identity_destroy(id);
}

/* As "path=value path=value". */
static char *join_scalars(const struct identity *id)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    for (size_t i = 0; i < id->scalar_count; i++) {
        (void)fprintf(out, "%s%s=%s", i == 0 ? "" : " ", id->scalars[i].path, id->scalars[i].value);
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *claims, *expected;
    } table[] = {
        {"\"sub\":\"a\"", ""},
        {"\"sub\":\"a\",\"nbf\":1,\"iat\":1,\"jti\":\"x\",\"nonce\":\"n\",\"at_hash\":\"h\"", ""},
        {"\"sub\":\"a\",\"dept\":\"sales\",\"level\":3,\"share\":0.5,\"on\":true,\"off\":false,"
         "\"no\":null",
         "dept=sales level=3 off=false on=true share=0.5"},
        {"\"sub\":\"a\",\"realm_access\":{\"roles\":[\"z\",\"b\"],\"n\":[]},\"x\":{\"y\":{\"z\":"
         "\"deep\"}}",
         "x.y.z=deep realm_access.roles=z realm_access.roles=b"},
        /* The inner ones of skipped names are somebody else's. */
        {"\"sub\":\"a\",\"act\":{\"sub\":\"b\"}", "act.sub=b"},
        {"\"sub\":\"a\",\"l\":[1,[2,{\"k\":\"v\"}]]", "l=1 l=2 l.k=v"},
        /* One path, two claims: the one that all others read. */
        {"\"sub\":\"a\",\"r\":{\"role\":\"admin\"},\"r.role\":\"user\"", "r.role=user"},
        {"\"sub\":\"a\",\"r\":[{\"role\":\"admin\"}],\"r.role\":[\"user\"]", "r.role=user"},
        {"\"sub\":\"a\",\"\":\"x\",\"e\":{\"\":\"y\"},\"t\":\"\"", "t="},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct identity *id = accept(table[i].claims);
        char *text = join_scalars(id);
        assert_string_equal(text, table[i].expected);
        free(text);
        identity_destroy(id);
    }
}

static void test_scalar_order_is_the_claims_own(void **state)
{
    (void)state;
    struct identity *one =
        accept("\"sub\":\"a\",\"b\":1,\"c\":[\"x\",\"y\"],\"a\":{\"k\":2,\"j\":3}");
    struct identity *two =
        accept("\"a\":{\"j\":3,\"k\":2},\"c\":[\"x\",\"y\"],\"sub\":\"a\",\"b\":1");
    char *first = join_scalars(one), *second = join_scalars(two);
    assert_string_equal(first, "a.j=3 a.k=2 b=1 c=x c=y");
    assert_string_equal(first, second);
    free(first);
    free(second);
    identity_destroy(one);
    identity_destroy(two);
}

static void test_scalar_limits(void **state)
{
    (void)state;
    char *claims = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&claims, &size);
    assert_non_null(out);
    (void)fprintf(out,
                  "\"sub\":\"a\",\"fits\":\"%0256d\",\"long\":\"%0257d\",\"%0257d\":1,\"list\":[",
                  1, 1, 1);
    for (int i = 0; i < 200; i++) {
        (void)fprintf(out, "%d,", i);
    }
    (void)fputs("0],\"zone\":\"last by name, but plain\"", out);
    assert_int_equal(fclose(out), 0);
    struct identity *id = accept(claims);
    assert_int_equal(id->scalar_count, CLAIMS_SCALARS_MAX);
    assert_string_equal(id->scalars[0].path, "fits");
    assert_string_equal(id->scalars[1].path, "zone");
    assert_string_equal(id->scalars[2].path, "list");
    assert_string_equal(id->scalars[2].value, "0");
    assert_string_equal(id->scalars[CLAIMS_SCALARS_MAX - 1].value, "61");
    identity_destroy(id);
    free(claims);
}

static void test_strict_json(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *refused;
    } cases[] = {
#define TEXT(t) t, sizeof(t) - 1
        {TEXT(""), "it is empty"},
        {TEXT("{"), "not valid JSON"},
        {TEXT("{} x"), "not valid JSON"},
        {TEXT("[]"), "not a JSON object"},
        {TEXT("\"x\""), "not a JSON object"},
        {TEXT("{\"sub\":\"a\",\"sub\":\"b\"}"), "the member \"sub\" twice"},
        {TEXT("{\"a\":{\"x\":1,\"\\u0078\":2}}"), "the member \"x\" twice"},
        {TEXT("{\"a\":[{\"b\":1,\"b\":1}]}"), "the member \"b\" twice"},
        {TEXT("{\"sub\":\"admin\\u0000x\"}"), "NUL"},
        {TEXT("{\"sub\":\"admin\0x\"}"), "NUL"},
        {TEXT("{\"sub\":\"\xff\"}"), "not UTF-8"},
        {TEXT("{\"sub\":\"\xc0\x80\"}"), "not UTF-8"},
        {TEXT("{\"sub\":\"\xed\xa0\x80\"}"), "not UTF-8"},
        {TEXT("{\"sub\":\"\xf4\x90\x80\x80\"}"), "not UTF-8"},
        {TEXT("{\"sub\":\"\xe2\x82"), "not UTF-8"},
        {TEXT("{\"sub\":\"\\ud800\"}"), "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cJSON *json = NULL;
        enum err e = strict_json_parse(bytes_of(cases[i].text, cases[i].size), "it", &json, &why);
        assert_int_equal(e, ERR_INVALID);
        assert_null(json);
        if (strstr(why.text, cases[i].refused) == NULL) {
            fail_msg("case %zu: %s", i, why.text);
        }
    }
    cJSON *json = NULL;
    assert_int_equal(strict_json_parse(bytes_of_string(" {\"a\":[1,\"\xf0\x9f\x98\x80\"]}\r\n"),
                                       "it", &json, &why),
                     OK);
    cJSON_Delete(json);
}

static void test_strict_json_depth(void **state)
{
    (void)state;
    for (int depth = STRICT_JSON_DEPTH_MAX; depth <= STRICT_JSON_DEPTH_MAX + 1; depth++) {
        char text[STRICT_JSON_DEPTH_MAX * 8];
        size_t at = 0;
        for (int i = 1; i < depth; i++) {
            at += (size_t)snprintf(text + at, sizeof text - at, "{\"a\":");
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "{}");
        memset(text + at, '}', (size_t)depth - 1);
        at += (size_t)depth - 1;
        cJSON *json = NULL;
        enum err e = strict_json_parse(bytes_of(text, at), "it", &json, &why);
        assert_int_equal(e, depth == STRICT_JSON_DEPTH_MAX ? OK : ERR_INVALID);
        cJSON_Delete(json);
    }
}

static void test_quote(void **state)
{
    (void)state;
    char out[STRICT_JSON_QUOTE_SIZE];
    char text[300];
    assert_string_equal(strict_json_quote("a\n\"b\xc3\xbc", out), "\"a??b??\"");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)strict_json_quote(text, out);
    assert_true(strlen(out) < sizeof out);
    assert_string_equal(out + strlen(out) - 4, "...\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_token),
        cmocka_unit_test(test_missing_optional_claims),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_audiences),
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_claim_paths),
        cmocka_unit_test(test_act_chain),
        cmocka_unit_test(test_act_depth),
        cmocka_unit_test(test_bad_delegation),
        cmocka_unit_test(test_custom_delegation),
        cmocka_unit_test(test_may_act_is_no_delegation),
        cmocka_unit_test(test_any_claim),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_scalar_order_is_the_claims_own),
        cmocka_unit_test(test_scalar_limits),
        cmocka_unit_test(test_strict_json),
        cmocka_unit_test(test_strict_json_depth),
        cmocka_unit_test(test_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
