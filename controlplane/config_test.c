#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/scratch.h"
#include "controlplane/config_fixture.h"

static const char complete[] =
    "listen: 0.0.0.0:7443\n"
    "data: /var/lib/chaperone\n"
    "hostnames: [chaperone.example, 10.0.0.1]\n"
    "log: {level: warn, format: human}\n"
    "identity_providers:\n"
    "  - name: ci\n"
    "    issuer: https://ci.example\n"
    "    audience: chaperone\n"
    "    groups_claim: realm_access.roles\n"
    "    algorithms: [ES256]\n"
    "    leeway: 5s\n"
    "  - {name: people, issuer: 'https://id.example', audiences: [a, b], gives_roles: false}\n"
    "roles: {admin: [ops], auditor: [audit, ops], bot: [chatops]}\n"
    "credentials:\n"
    "  - {name: orders, user: app, password: {env: ORDERS_PASSWORD}}\n"
    "  - {name: billing, user: bill, password: {file: secrets/billing}}\n"
    "  - {name: stored, user: s, password: {store: stored}}\n"
    "resources:\n"
    "  - name: orders\n"
    "    protocol: postgres\n"
    "    address: db.example:5433\n"
    "    databases: ['*', orders, other]\n"
    "    tls: {mode: verify-ca, server_name: pg.example}\n"
    "    credential: orders\n"
    "  - {name: local, protocol: postgres, address: /run/postgresql, database: x, credential: "
    "stored}\n"
    "grants:\n"
    "  - {name: bots, resources: ['ord*'], subjects: [bot], groups: [agents], providers: [ci]}\n"
    "enrolment: {certificate_lifetime: 2h, join_tokens: false, oidc: {groups: [nodes]}}\n"
    "session: {kill_timeout: 3s}\n"
    "audit_log:\n"
    "  origin: log.example/audit\n"
    "  checkpoint_interval: 500ms\n"
    "  key_overlap: 7d\n"
    "  witnesses: [{url: 'https://w1/', key: k1}, {url: 'https://w2/', key: k2}]\n"
    "  quorum: 2\n"
    "watch: {silent_after: 30s, lost_after: 1h}\n";

static void a_complete_file_is_read(void **state)
{
    (void)state;
    struct config *c = config_fixture_load(complete);
    assert_string_equal(c->listen.host, "0.0.0.0");
    assert_int_equal(c->listen.port, 7443);
    assert_int_equal(c->hostnames.count, 2);
    assert_int_equal(c->log.level, LOG_WARN);
    assert_int_equal(c->log.format, LOG_HUMAN);
    assert_int_equal(c->identity_providers.count, 2);
    const struct config_identity_provider *p = config_find_provider(c, "https://ci.example");
    assert_string_equal(p->audiences.items[0], "chaperone");
    assert_string_equal(p->groups_claim, "realm_access.roles");
    assert_int_equal(p->leeway_ns, INT64_C(5000000000));
    assert_true(p->gives_roles);
    assert_false(c->identity_providers.items[1].gives_roles);
    assert_int_equal(c->roles.groups[0].count, 1);
    assert_int_equal(c->roles.groups[1].count, 0);
    assert_int_equal(c->roles.groups[2].count, 2);
    assert_string_equal(c->roles.groups[3].items[0], "chatops");
    assert_int_equal(c->credentials.items[0].password.source, CONFIG_SECRET_ENV);
    assert_string_equal(c->credentials.items[0].password.at, "ORDERS_PASSWORD");
    assert_string_equal(c->credentials.items[1].password.at, "/etc/chaperone/secrets/billing");
    assert_int_equal(c->credentials.items[2].password.source, CONFIG_SECRET_STORE);
    const struct config_resource *r = config_find_resource(c, "orders");
    assert_string_equal(r->host, "db.example");
    assert_int_equal(r->port, 5433);
    assert_true(r->any_database);
    assert_string_equal(r->database, "orders");
    assert_int_equal(r->databases.count, 2);
    assert_int_equal(r->tls, CONFIG_TLS_VERIFY_CA);
    assert_string_equal(r->credential->user, "app");
    r = config_find_resource(c, "local");
    assert_string_equal(r->host, "/run/postgresql");
    assert_int_equal(r->port, 5432);
    assert_int_equal(r->tls, CONFIG_TLS_DISABLE);
    assert_false(r->any_database);
    assert_string_equal(r->databases.items[0], "x");
    assert_null(config_find_resource(c, "none"));
    assert_string_equal(c->grants.items[0].whom.providers.items[0], "ci");
    assert_int_equal(c->enrolment.certificate_lifetime_ns, INT64_C(7200000000000));
    assert_false(c->enrolment.join_tokens);
    assert_string_equal(c->enrolment.oidc.groups.items[0], "nodes");
    assert_int_equal(c->session.kill_timeout_ns, INT64_C(3000000000));
    assert_string_equal(c->audit_log.origin, "log.example/audit");
    assert_int_equal(c->audit_log.interval_ns, 500000000);
    assert_int_equal(c->audit_log.key_overlap_ns, INT64_C(7) * 86400 * 1000000000);
    assert_int_equal(c->audit_log.witnesses.count, 2);
    assert_string_equal(c->audit_log.witnesses.items[1].url, "https://w2/");
    assert_string_equal(c->audit_log.witnesses.items[1].key, "k2");
    assert_null(c->audit_log.witnesses.items[1].ca_file);
    assert_int_equal(c->audit_log.quorum, 2);
    assert_int_equal(c->watch.silent_after_ns, INT64_C(30000000000));
    assert_int_equal(c->watch.lost_after_ns, INT64_C(3600000000000));
    assert_null(c->policy_file);
    config_release(c);
}

static void only_the_data_directory_is_required(void **state)
{
    (void)state;
    struct config *c = config_fixture_load("data: state\n");
    assert_string_equal(c->data, "/etc/chaperone/state");
    assert_string_equal(c->listen.host, "127.0.0.1");
    assert_int_equal(c->listen.port, 7443);
    assert_int_equal(c->hostnames.count, 2);
    assert_int_equal(c->enrolment.certificate_lifetime_ns, INT64_C(86400000000000));
    assert_true(c->enrolment.join_tokens);
    assert_int_equal(c->enrolment.oidc.groups.count, 0);
    assert_int_equal(c->log.level, LOG_INFO);
    config_release(c);
}

static void a_target_is_verified_in_full_by_default(void **state)
{
    (void)state;
    struct config *c =
        config_fixture_load("data: d\n"
                            "credentials: [{name: c, user: u}]\n"
                            "resources: [{name: r, protocol: postgres, address: '[::1]:5432', "
                            "databases: [a], credential: c}]\n");
    assert_int_equal(c->resources.items[0].tls, CONFIG_TLS_VERIFY_FULL);
    assert_string_equal(c->resources.items[0].host, "::1");
    config_release(c);
}

static void a_reference_keeps_it_alive(void **state)
{
    (void)state;
    struct config *c = config_fixture_load(complete), *second = config_retain(c);
    config_release(c);
    assert_string_equal(second->data, "/var/lib/chaperone");
    config_release(second);
}

#define PROVIDER "identity_providers: [{name: p, issuer: 'https://p', audience: a}]\n"
#define CREDENTIAL "credentials: [{name: c, user: u}]\n"
#define RESOURCE(rest) "data: d\n" CREDENTIAL "resources:\n  - {name: r, " rest "}\n"
#define SOUND "protocol: postgres, address: 'h:1', databases: [a], credential: c"

static const struct config_mistake mistakes[] = {
    {"{}", "cp.yaml:1:1: data: required, but missing"},
    {"data: d\nlisten: x\n", "cp.yaml:2:9: listen: expected HOST:PORT with a port between 0 and"},
    {"data: d\nlisten: 'x:99999'\n", "cp.yaml:2:9: listen: expected HOST:PORT"},
    {"data: d\nlisten: ':1'\n", "cp.yaml:2:9: listen: expected HOST:PORT"},
    {"data: d\nlisten: '::1:7443'\n", "cp.yaml:2:9: listen: expected HOST:PORT"},
    {"data: d\nlisten: '[::1]'\n", "cp.yaml:2:9: listen: expected HOST:PORT"},
    {"data: d\nlisten: 'x:1y'\n", "cp.yaml:2:9: listen: expected HOST:PORT"},
    {"data: d\nlisten: 'x:-1'\n", "cp.yaml:2:9: listen: expected HOST:PORT"},
    {"data: d\nlistne: x\n", "did you mean `listen`?"},
    {"data: [a]\n", "cp.yaml:1:1: data: expected a string, found a list"},
    {"data: d\nhostnames: {a: b}\n", "hostnames: expected a list of strings, found a map"},
    {"data: d\nhostnames:\n", "hostnames: expected a list of strings, found nothing"},
    {"data: d\nhostnames: [[a]]\n", "hostnames[0]: expected a string, found a list"},
    {"data: d\nlog: {level: loud}\n", "cp.yaml:2:14: log.level: expected"},
    {"data: d\nlog: {format: xml}\n", "cp.yaml:2:15: log.format: expected"},
    {"data: d\nlog: {colour: red}\n", "cp.yaml:2:7: log: unknown key `colour`"},
    {"data: d\nca: {certificate: /etc/hostname}\n", "ca.key: required, but missing"},
    {"data: d\ntls: {certificate: /none, key: /etc/hostname}\n",
     "tls.certificate: expected a file that can be read, found none at \"/none\""},
    {"data: d\npolicy: {}\n", "policy.file: required, but missing"},
    {"data: d\npolicy: {file: /none}\n", "policy.file: expected a file that can be read"},
    {"data: d\npolicy: x\n", "cp.yaml:2:9: policy: expected a map, found \"x\""},
    {"data: d\nidentity_providers: {name: x}\n", "identity_providers: expected a list"},
    {"data: d\nidentity_providers:\n  - issuer: https://x\n",
     "cp.yaml:3:5: identity_providers[0].name: required, but missing"},
    {"data: d\nidentity_providers: [{name: x}]\n", "identity_providers[0].issuer: required"},
    {"data: d\nidentity_providers: [{name: x, issuer: x}]\n",
     "identity_providers[0].issuer: expected the issuer's URL (https://...), found \"x\""},
    {"data: d\nidentity_providers: [{name: x, issuer: 'https://x'}]\n",
     "identity_providers[0]: expected `audience`"},
    {"data: d\nidentity_providers: [{name: x, issuer: 'https://x', audience: a, "
     "algorithms: [none]}]\n",
     "identity_providers[0].algorithms: expected RS256, PS256, ES256, EdDSA or a longer form of "
     "these, found \"none\""},
    {"data: d\nidentity_providers: [{name: x, issuer: 'https://x', audience: a, "
     "algorithms: [HS256]}]\n",
     "longer form of these, found \"HS256\""},
    {"data: d\nidentity_providers: [{name: x, issuer: 'https://x', audience: a, leeway: 2h}]\n",
     "identity_providers[0].leeway: expected"},
    {"data: d\n" PROVIDER "identity_providers: []\n", "identity_providers"},
    {"data: d\nidentity_providers: [{name: p, issuer: 'https://p', audience: a},"
     " {name: q, issuer: 'https://p', audience: a}]\n",
     "identity_providers[1].issuer: expected an issuer that no other provider has"},
    {"data: d\nidentity_providers: [{name: p, issuer: 'https://p', audience: a},"
     " {name: p, issuer: 'https://q', audience: a}]\n",
     "identity_providers[1].name: expected a name that no other has, found \"p\" twice"},
    {"data: d\nroles: {root: [a]}\n", "roles: unknown key `root`"},
    {"data: d\nroles: {admin: {a: b}}\n", "roles.admin: expected a list of strings"},
    {"data: d\ncredentials: [{name: c}]\n", "credentials[0].user: required"},
    {"data: d\ncredentials: [{name: c, user: u, password: {env: A, file: B}}]\n",
     "credentials[0].password: expected one of {env: VARIABLE}"},
    {"data: d\ncredentials: [{name: c, user: u, password: {vault: A}}]\n",
     "credentials[0].password: unknown key `vault`"},
    {"data: d\ncredentials: [{name: c, user: u, certificate: {file: A}}]\n",
     "credentials[0]: expected `certificate` and `key` together"},
    {RESOURCE("address: 'h:1'"), "cp.yaml:4:5: resources[0].protocol: required"},
    {RESOURCE("protocol: mysql"), "resources[0].protocol: expected"},
    {RESOURCE("protocol: postgres"), "resources[0].address: required"},
    {RESOURCE("protocol: postgres, address: h"), "resources[0].address: expected HOST:PORT"},
    {RESOURCE("protocol: postgres, address: 'h:0'"), "a port between 1 and 65535"},
    {RESOURCE("protocol: postgres, address: 'h:1'"), "resources[0]: expected `databases`"},
    {RESOURCE("protocol: postgres, address: 'h:1', databases: [a], database: b"),
     "resources[0].database: expected one of `databases`, found \"b\""},
    {RESOURCE("protocol: postgres, address: 'h:1', databases: [a]"),
     "resources[0].credential: required"},
    {RESOURCE("protocol: postgres, address: 'h:1', databases: [a], credential: x"),
     "resources[0].credential: expected the name of one of `credentials`, found \"x\""},
    {RESOURCE(SOUND ", tls: {mode: off}"), "resources[0].tls.mode: expected"},
    {RESOURCE(SOUND ", tls: {ca_file: /none}"), "resources[0].tls.ca_file: expected a file"},
    {RESOURCE(SOUND ", password: x"), "resources[0]: unknown key `password`"},
    {RESOURCE("protocol: postgres, address: /run, databases: [a], credential: c, "
              "tls: {mode: require}"),
     "resources[0].tls: expected \"disable\""},
    {RESOURCE(SOUND) "grants: [{name: g, subjects: [a]}]\n", "grants[0].resources: required"},
    {RESOURCE(SOUND) "grants: [{name: g, resources: [r]}]\n",
     "grants[0]: expected `subjects` or `groups`"},
    {RESOURCE(SOUND) "grants: [{name: g, resources: [x], subjects: [a]}]\n",
     "grants[0].resources: expected names of `resources` or patterns of them, found \"x\""},
    {RESOURCE(SOUND) "grants: [{name: g, resources: [r], subjects: [a], providers: [x]}]\n",
     "grants[0].providers: expected names of identity_providers, found \"x\""},
    {"data: d\nenrolment: {certificate_lifetime: 1s}\n",
     "enrolment.certificate_lifetime: expected"},
    {"data: d\nenrolment: {join_tokens: maybe}\n", "enrolment.join_tokens: expected"},
    {"data: d\nenrolment: {oidc: {subject: x}}\n", "enrolment.oidc: unknown key `subject`"},
    {"data: d\nsession: {kill_timeout: 0s}\n", "session.kill_timeout: expected"},
    {"data: d\naudit_log: {quorum: 1}\n", "audit_log.quorum: expected"},
    {"data: d\naudit_log: {witnesses: [{url: 'https://w/'}]}\n",
     "audit_log.witnesses[0].key: required"},
    {"data: d\naudit_log: {checkpoint_interval: 1ms}\n", "audit_log.checkpoint_interval: expected"},
    {"data: d\naudit_log: {witness: x}\n", "did you mean `witnesses`?"},
    {"data: d\nwatch: {silent_after: 0s}\n", "watch.silent_after: expected"},
    {"data: d\nwatch: {lost_after: 1s}\n", "watch: expected `lost_after`"},
};

static void each_mistake_is_named_where_it_is(void **state)
{
    (void)state;
    config_fixture_refuse_each(mistakes, sizeof(mistakes) / sizeof(mistakes[0]), "", NULL);
}

static void a_secret_in_the_file_is_not_repeated(void **state)
{
    (void)state;
    static const char text[] = "data: d\ncredentials: [{name: c, user: u, password: s3cret}]\n";
    struct err_text why =
        config_fixture_refuse(text, "", "a secret is never written into the configuration");
    assert_null(strstr(why.text, "s3cret"));
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct err_text why = {0};
    assert_int_equal(config_load("/none/cp.yaml", &c, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "/none/cp.yaml"));
}

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The example of the documentation, with the files that it names. */
static void the_example_is_right(void **state)
{
    (void)state;
    static const char *const files[] = {
        "policy.yaml",        "pki/ca.pem",         "pki/ca.key",        "pki/server.pem",
        "pki/server.key",     "pki/server-ca.pem",  "pki/corporate.pem", "pki/db-ca.pem",
        "pki/witness-ca.pem", "pki/internal-ca.pem"};
    char directory[SCRATCH_SIZE], path[256], text[16384] = "";
    FILE *example = fopen("controlplane/example.yaml", "r");
    assert_non_null(example);
    assert_true(fread(text, 1, sizeof(text) - 1, example) > 0);
    assert_int_equal(fclose(example), 0);
    scratch_create(directory);
    (void)snprintf(path, sizeof(path), "%s/pki", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        write_text(directory, files[i], "");
    }
    (void)snprintf(path, sizeof(path), "%s/example.yaml", directory);
    struct config *c = NULL;
    struct err_text why = {0};
    if (config_load_text(path, bytes_of_string(text), &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(c->resources.count, 5);
    assert_int_equal(c->grants.count, 2);
    config_release(c);
    scratch_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_file_is_read),
        cmocka_unit_test(only_the_data_directory_is_required),
        cmocka_unit_test(a_target_is_verified_in_full_by_default),
        cmocka_unit_test(a_reference_keeps_it_alive),
        cmocka_unit_test(each_mistake_is_named_where_it_is),
        cmocka_unit_test(a_secret_in_the_file_is_not_repeated),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(the_example_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
