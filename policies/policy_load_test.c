#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "policies/policy.h"

static void expect_refused(const char *text, enum err code, const char *sentence)
{
    struct conf *c = NULL;
    struct policy *p = NULL;
    struct err_text why = {0};
    assert_int_equal(conf_load_text("p.yaml", bytes_of_string(text), &c, &why), OK);
    assert_int_equal(policy_compile_conf(conf_root(c), 1, &p, &why), code);
    assert_string_equal(why.text, sentence);
    assert_null(p);
    conf_destroy(c);
}

#define RULE "version: 1\nrules:\n  - name: a\n    effect: allow\n"
#define DENY "version: 1\nrules:\n  - name: a\n    effect: deny\n"

static void test_each_mistake_is_named_where_it_was_made(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "p.yaml:1:1: expected a map with the key `version` and others"},
        {"rules: []\n", "p.yaml:1:1: version: required, but missing"},
        {"version: 2\nrules: []\n",
         "p.yaml:1:10: version: expected a version between 1 and 1, found \"2\""},
        {"version: 1\n", "p.yaml:1:1: rules: required, but missing"},
        {"version: 1\nrules: {}\n", "p.yaml:2:1: rules: expected a list, found a map"},
        {"version: 1\nrule: []\n", "p.yaml:2:1: unknown key `rule`; did you mean `rules`?"},
        {"version: 1\ndefault: allow\nrules: []\n",
         "p.yaml:2:10: default: expected one of \"deny\", found \"allow\""},
        {"version: 1\nrules:\n  - effect: allow\n",
         "p.yaml:3:5: rules[0].name: required, but missing"},
        {"version: 1\nrules:\n  - name: a\n", "p.yaml:3:5: rules[0].effect: required, but missing"},
        {"version: 1\nrules:\n  - name: a\n    effect: alow\n",
         "p.yaml:4:13: rules[0].effect: expected one of \"allow\", \"deny\", \"hold\", found "
         "\"alow\"; "
         "did you mean \"allow\"?"},
        {"version: 1\nrules:\n  - name: a\n    effect: hold\n",
         "p.yaml:3:5: rules[0].hold: required, but missing"},
        {"version: 1\nrules:\n  - name: A b\n    effect: deny\n",
         "p.yaml:3:11: rules[0].name: expected a name of at most 64 lower-case letters, digits and "
         "-_. , found \"A b\""},
        {"version: 1\nrules:\n  - name: default\n    effect: deny\n",
         "p.yaml:3:11: rules[0].name: \"default\" is the name of the refusal when no rule matches"},
        {RULE "  - name: b\n    effect: deny\n  - name: a\n    effect: deny\n",
         "p.yaml:7:11: rules[2].name: another rule has the name \"a\" already"},
        {RULE "    message: hello\n", "p.yaml:5:14: rules[0].message: a rule with `effect: allow` "
                                      "and without `mask` has nothing to say to the agent"},
        {RULE "    matches: {}\n",
         "p.yaml:5:5: rules[0]: unknown key `matches`; did you mean `match`?"},
        {RULE "    match: {identity: {}}\n",
         "p.yaml:5:13: rules[0].match: unknown key `identity`; did you mean `identities`?"},
        {RULE "    match: {identities: {group: [a]}}\n",
         "p.yaml:5:26: rules[0].match.identities: unknown key `group`; did you mean `groups`?"},
        {RULE "    match: {identities: {groups: a}}\n",
         "p.yaml:5:34: rules[0].match.identities.groups: expected a list, found \"a\""},
        {RULE "    match: {identities: {groups: [[a]]}}\n",
         "p.yaml:5:35: rules[0].match.identities.groups[0]: expected a string, found a list"},
        {RULE "    match: {resources: []}\n", "p.yaml:5:13: rules[0].match.resources: expected at "
                                              "least one item; leave `resources` out to "
                                              "match any"},
        {RULE "    match: {sql: {columns: [a]}}\n",
         "p.yaml:5:29: rules[0].match.sql.columns[0]: expected SCHEMA.TABLE.COLUMN such as "
         "public.customers.ssn, public.customers.* or \"*.*.password\", found \"a\""},
        {RULE "    match: {sql: {colour: [a]}}\n",
         "p.yaml:5:19: rules[0].match.sql: unknown key `colour`"},
        {RULE "    match: {sql: {commands: [SELEKT]}}\n",
         "p.yaml:5:30: rules[0].match.sql.commands[0]: expected a class (read, write, ddl, admin, "
         "privilege, maintenance, transaction, session, lock, notify, call, procedural, unsafe_io) "
         "or a command such as SELECT or CREATE TABLE, found \"SELEKT\"; did you mean \"SELECT\"?"},
        {RULE
         "    match:\n      sql:\n        tables:\n          - public.orders\n          - a.b.c\n",
         "p.yaml:9:13: rules[0].match.sql.tables[1]: expected a name such as public.orders, "
         "public.* "
         "or "
         "\"Sales\".\"Order Lines\", found \"a.b.c\""},
        {RULE "    match: {sql: {tables: ['a b']}}\n",
         "p.yaml:5:28: rules[0].match.sql.tables[0]: expected a name such as public.orders, "
         "public.* "
         "or "
         "\"Sales\".\"Order Lines\", found \"a b\""},
        {RULE "    obligations: {masks: [ssn]}\n",
         "p.yaml:5:19: rules[0].obligations: unknown key `masks`; did you mean `mask`?"},
        {RULE "    obligations: {durability: disk}\n",
         "p.yaml:5:31: rules[0].obligations.durability: expected one of \"process\", \"host\", "
         "\"fleet\", found \"disk\""},
        {DENY "    obligations: {durability: host}\n",
         "p.yaml:5:5: rules[0].obligations: a rule with `effect: deny` has no obligations: nothing "
         "is done"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refused(cases[i].text, ERR_INVALID, cases[i].sentence);
    }
}

#define MASK(item)                                                                                 \
    "version: 1\ntags: {pii: [a.b.c]}\nrules:\n  - name: a\n    effect: allow\n    obligations:\n" \
    "      mask:\n        - {" item "}\n"
#define WHEN(text) RULE "    match: {when: {" text "}}\n"

static void test_mistakes_in_what_a_rule_matches(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {RULE "    mode: shadw\n", "p.yaml:5:11: rules[0].mode: expected one of \"enforce\", "
                                   "\"shadow\", found \"shadw\"; did you mean \"shadow\"?"},
        {"version: 1\nmode: on\nrules: []\n",
         "p.yaml:2:7: mode: expected one of \"enforce\", \"shadow\", found \"on\""},
        {"version: 1\nrules:\n  - name: shadow\n    effect: deny\n",
         "p.yaml:3:11: rules[0].name: \"shadow\" is the name under which a policy in shadow "
         "allows"},
        {RULE "    match: {identities: {claims: [a]}}\n",
         "p.yaml:5:26: rules[0].match.identities.claims: expected a map, found a list"},
        {RULE "    match: {identities: {claims: {}}}\n",
         "p.yaml:5:26: rules[0].match.identities.claims: expected at least one claim; leave "
         "`claims` "
         "out to match any"},
        {RULE "    match: {identities: {claims: {department: care}}}\n",
         "p.yaml:5:47: rules[0].match.identities.claims.department: expected a list, found "
         "\"care\""},
        {RULE "    match: {identities: {claims: {department: []}}}\n",
         "p.yaml:5:35: rules[0].match.identities.claims.department: expected at least one item; "
         "leave "
         "`department` out to match any"},
        {RULE "    match: {sql: {schemas: [a.b]}}\n",
         "p.yaml:5:29: rules[0].match.sql.schemas[0]: expected a schema such as public, hr_* or "
         "\"Sales\", found \"a.b\""},
        {RULE "    match: {sql: {columns: [customers.ssn]}}\n",
         "p.yaml:5:29: rules[0].match.sql.columns[0]: expected SCHEMA.TABLE.COLUMN such as "
         "public.customers.ssn, public.customers.* or \"*.*.password\", found \"customers.ssn\""},
        {RULE "    match: {sql: {columns: [a.b.c.d]}}\n",
         "p.yaml:5:29: rules[0].match.sql.columns[0]: expected SCHEMA.TABLE.COLUMN such as "
         "public.customers.ssn, public.customers.* or \"*.*.password\", found \"a.b.c.d\""},
        {RULE "    match: {sql: {copy: [to]}}\n",
         "p.yaml:5:26: rules[0].match.sql.copy[0]: expected one of \"in\", \"out\", found \"to\""},
        {RULE "    match: {sql: {without_where: true}}\n",
         "p.yaml:5:34: rules[0].match.sql.without_where: a rule with `effect: allow` cannot ask "
         "for "
         "it; forbid it with a rule of its own"},
        {RULE "    match: {sql: {multi_statement: true}}\n",
         "p.yaml:5:36: rules[0].match.sql.multi_statement: a rule with `effect: allow` cannot ask "
         "for "
         "it; forbid it with a rule of its own"},
        {DENY "    match: {sql: {without_where: true, commands: [read, TRUNCATE]}}\n",
         "p.yaml:5:34: rules[0].match.sql.without_where: it is about UPDATE and DELETE, but "
         "`commands` has neither"},
        {DENY "    match: {sql: {without_where: 1}}\n",
         "p.yaml:5:34: rules[0].match.sql.without_where: expected true or false, found \"1\""},
        {RULE "    match: {sql: {commands: [updat]}}\n",
         "p.yaml:5:30: rules[0].match.sql.commands[0]: expected a class (read, write, ddl, admin, "
         "privilege, maintenance, transaction, session, lock, notify, call, procedural, unsafe_io) "
         "or a command such as SELECT or CREATE TABLE, found \"updat\"; did you mean \"UPDATE\"?"},
        /* Times. */
        {RULE "    match: {when: {}}\n",
         "p.yaml:5:13: rules[0].match.when: expected at least one of days, from, until, not_before "
         "and not_after; leave `when` out for always"},
        {WHEN("day: [mon]"),
         "p.yaml:5:20: rules[0].match.when: unknown key `day`; did you mean `days`?"},
        {WHEN("days: [monday]"),
         "p.yaml:5:27: rules[0].match.when.days[0]: expected one of \"mon\", \"tue\", \"wed\", "
         "\"thu\", \"fri\", \"sat\", \"sun\", found \"monday\""},
        {WHEN("from: 8"), "p.yaml:5:26: rules[0].match.when.from: expected a time of day such as "
                          "\"08:00\", found \"8\""},
        {WHEN("from: '24:00'"),
         "p.yaml:5:26: rules[0].match.when.from: expected a time of day such "
         "as \"08:00\", found \"24:00\""},
        {WHEN("until: '24:01'"),
         "p.yaml:5:27: rules[0].match.when.until: expected a time of day such "
         "as \"08:00\", found \"24:01\""},
        {WHEN("until: '12:60'"),
         "p.yaml:5:27: rules[0].match.when.until: expected a time of day such "
         "as \"08:00\", found \"12:60\""},
        {WHEN("until: '+1:00'"),
         "p.yaml:5:27: rules[0].match.when.until: expected a time of day such "
         "as \"08:00\", found \"+1:00\""},
        {WHEN("from: '08:00', until: '08:00'"),
         "p.yaml:5:13: rules[0].match.when: there is no such time; the rule would never hold"},
        {WHEN("from: '00:00', until: '00:00'"),
         "p.yaml:5:13: rules[0].match.when: there is no such time; the rule would never hold"},
        {WHEN("from: '08:00', utc_offset: 1"),
         "p.yaml:5:47: rules[0].match.when.utc_offset: expected an offset such as \"+01:00\" or "
         "\"Z\", at most 14 hours, found \"1\""},
        {WHEN("from: '08:00', utc_offset: '+15:00'"),
         "p.yaml:5:47: rules[0].match.when.utc_offset: expected an offset such as \"+01:00\" or "
         "\"Z\", at most 14 hours, found \"+15:00\""},
        {WHEN("not_before: tomorrow"),
         "p.yaml:5:32: rules[0].match.when.not_before: expected a time "
         "such as 2026-01-31T08:00:00Z, found \"tomorrow\""},
        {WHEN("not_before: 2026-02-30T00:00:00Z"), "p.yaml:5:32: rules[0].match.when.not_before: "
                                                   "expected a time such as 2026-01-31T08:00:00Z, "
                                                   "found \"2026-02-30T00:00:00Z\""},
        {WHEN("not_after: 2026-02-03T00:00:00"), "p.yaml:5:31: rules[0].match.when.not_after: "
                                                 "expected a time such as 2026-01-31T08:00:00Z, "
                                                 "found \"2026-02-03T00:00:00\""},
        {WHEN("not_before: 2026-02-03T00:00:00Z, not_after: '2026-02-03T00:59:59+01:00'"),
         "p.yaml:5:65: rules[0].match.when.not_after: it is before `not_before`; the rule would "
         "never "
         "hold"},
        /* From Monday to Thursday there is no weekend. */
        {WHEN(
             "days: [sat, sun], not_before: 2026-11-23T00:00:00Z, not_after: 2026-11-26T00:00:00Z"),
         "p.yaml:5:13: rules[0].match.when: there is no such time; the rule would never hold"},
        {WHEN("from: '10:00', until: '11:00', not_before: 2026-11-23T11:00:00Z, not_after: "
              "2026-11-24T09:59:59Z"),
         "p.yaml:5:13: rules[0].match.when: there is no such time; the rule would never hold"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refused(cases[i].text, ERR_INVALID, cases[i].sentence);
    }
}

static void test_times_that_come_but_once_are_no_mistake(void **state)
{
    (void)state;
    static const char *const cases[] = {
        WHEN("days: [thu], not_before: 2026-11-23T00:00:00Z, not_after: 2026-11-26T00:00:00Z"),
        WHEN("from: '10:00', until: '11:00', not_before: 2026-11-23T11:00:00Z, not_after: "
             "2026-11-24T10:00:00Z"),
        WHEN("from: '22:00', until: '00:00'"),
        WHEN("from: '00:00', until: '24:00', utc_offset: '-14:00'"),
        WHEN("not_before: 2026-02-03T00:00:00Z, not_after: 2026-02-03T00:00:00Z"),
        WHEN("days: [sun], from: '23:00', until: '01:00', not_before: 2026-11-23T00:30:00Z, "
             "not_after: 2026-11-23T00:40:00Z"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy *p = NULL;
        struct err_text why = {0};
        if (policy_compile(bytes_of_string(cases[i]), 1, &p, &why) != OK) {
            fail_msg("%s", why.text);
        }
        policy_destroy(p);
    }
}

static void test_mistakes_in_masks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {DENY "    obligations: {mask: [{columns: [a.b.c]}]}\n",
         "p.yaml:5:5: rules[0].obligations: a rule with `effect: deny` has no obligations: nothing "
         "is done"},
        {RULE "    obligations: {mask: []}\n",
         "p.yaml:5:19: rules[0].obligations.mask: expected at "
         "least one item; leave `mask` out to match any"},
        {RULE "    obligations: {mask: [ssn]}\n",
         "p.yaml:5:26: rules[0].obligations.mask[0]: expected a map with the key `columns` and "
         "others"},
        {RULE "    obligations: {max_rows: 0}\n",
         "p.yaml:5:29: rules[0].obligations.max_rows: expected a number of rows between 1 and "
         "1000000000000, found \"0\""},
        {RULE "    obligations: {record: none}\n",
         "p.yaml:5:27: rules[0].obligations.record: expected one of \"full\", \"no_results\", "
         "\"no_values\", found \"none\""},
        {MASK("with: hash"),
         "p.yaml:8:11: rules[0].obligations.mask[0]: it masks nothing: expected "
         "`columns`, `tags` or `types`, `fields`, `json` or `headers`, or `detect`"},
        {MASK("with: {date: month}"),
         "p.yaml:8:11: rules[0].obligations.mask[0]: it masks nothing: "
         "expected `columns`, `tags` or `types`, "
         "`fields`, `json` or `headers`, or `detect`"},
        {MASK("column: [a.b.c]"), "p.yaml:8:12: rules[0].obligations.mask[0]: unknown key "
                                  "`column`; did you mean `columns`?"},
        {MASK("columns: [ssn]"),
         "p.yaml:8:22: rules[0].obligations.mask[0].columns[0]: expected SCHEMA.TABLE.COLUMN such "
         "as "
         "public.customers.ssn, public.customers.* or \"*.*.password\", found \"ssn\""},
        {MASK("tags: [pi]"), "p.yaml:8:19: rules[0].obligations.mask[0].tags[0]: expected one of "
                             "\"pii\", found \"pi\"; did you mean \"pii\"?"},
        {RULE "    obligations: {mask: [{tags: [pii]}]}\n",
         "p.yaml:5:34: rules[0].obligations.mask[0].tags[0]: the policy has no `tags`, found "
         "\"pii\""},
        {"version: 1\ntags: {pii: []}\nrules: []\n",
         "p.yaml:2:8: tags.pii: expected at least one item; leave `pii` out to match any"},
        {"version: 1\ntags: {P I: [a.b.c]}\nrules: []\n",
         "p.yaml:2:8: tags.P I: expected a name of at most 64 lower-case letters, digits and -_. , "
         "found \"P I\""},
        {MASK("types: ['varchar(20)']"),
         "p.yaml:8:20: rules[0].obligations.mask[0].types[0]: expected a type without its length, "
         "found \"varchar(20)\""},
        {MASK("detect: [emial]"),
         "p.yaml:8:21: rules[0].obligations.mask[0].detect[0]: expected one of \"email\", "
         "\"card\", "
         "\"iban\", \"ssn\", \"dni\", \"codice_fiscale\", \"steuer_id\", \"ahv\", \"phone\", "
         "\"private_key\", \"jwt\", \"api_key\", found \"emial\"; did you mean \"email\"?"},
        {MASK("detect: [email, email]"),
         "p.yaml:8:28: rules[0].obligations.mask[0].detect[1]: \"email\" is in this list already"},
        {MASK("detect: [{name: x}]"),
         "p.yaml:8:21: rules[0].obligations.mask[0].detect[0].pattern: required, but missing"},
        {MASK("detect: [{name: email, pattern: x}]"),
         "p.yaml:8:28: rules[0].obligations.mask[0].detect[0].name: \"email\" is a built-in "
         "detector"},
        {MASK("detect: [{name: x, pattern: a}]}\n        - {detect: [{name: x, pattern: b}]"),
         "p.yaml:9:21: rules[0].obligations.mask[1].detect[0]: \"x\" has another pattern already"},
        {MASK("detect: [email], computed: null"),
         "p.yaml:8:29: rules[0].obligations.mask[0].computed: it is about columns, but the item "
         "has "
         "no `columns`, `tags` or `types`"},
        {MASK("detect: [email], trusted_functions: [f]"),
         "p.yaml:8:29: rules[0].obligations.mask[0].trusted_functions: it is about columns, but "
         "the "
         "item has no `columns`, `tags` or `types`"},
        {MASK("columns: [a.b.c], detect: [email], with: {date: year}"),
         "p.yaml:8:47: rules[0].obligations.mask[0].with: what `detect` finds is text, not a date; "
         "make two items of it"},
        {MASK("columns: [a.b.c], predicates: null"),
         "p.yaml:8:30: rules[0].obligations.mask[0].predicates: expected a string, found nothing"},
        {MASK("columns: [a.b.c], computed: allow"),
         "p.yaml:8:40: rules[0].obligations.mask[0].computed: expected one of \"refuse\", "
         "\"null\", "
         "found \"allow\""},
        {MASK("columns: [a.b.c], with: hsah"),
         "p.yaml:8:36: rules[0].obligations.mask[0].with: expected one of \"null\", \"hash\", "
         "\"digits\", found \"hsah\"; did you mean \"hash\"?"},
        {MASK("columns: [a.b.c], with: date"), "p.yaml:8:36: rules[0].obligations.mask[0].with: "
                                               "`date` needs to know how; such as {date: month}"},
        {MASK("columns: [a.b.c], with: [hash]"),
         "p.yaml:8:30: rules[0].obligations.mask[0].with: expected a string, found a list"},
        {MASK("columns: [a.b.c], with: {hash: {}, digits: {}}"),
         "p.yaml:8:30: rules[0].obligations.mask[0].with: expected one of fixed, partial, hash, "
         "digits and date, found 2"},
        {MASK("columns: [a.b.c], with: {}"),
         "p.yaml:8:30: rules[0].obligations.mask[0].with: expected one of fixed, partial, hash, "
         "digits and date, found 0"},
        {MASK("columns: [a.b.c], with: {hash: {kye: a}}"),
         "p.yaml:8:44: rules[0].obligations.mask[0].with.hash: unknown key `kye`; did you mean "
         "`key`?"},
        {MASK("columns: [a.b.c], with: {hash: {key: A}}"),
         "p.yaml:8:49: rules[0].obligations.mask[0].with.hash.key: expected a name of at most 64 "
         "lower-case letters, digits and -_. , found \"A\""},
        {MASK("columns: [a.b.c], with: {date: week}"),
         "p.yaml:8:43: rules[0].obligations.mask[0].with.date: expected one of \"year\", "
         "\"month\", "
         "\"day\", found \"week\""},
        {MASK("columns: [a.b.c], with: {partial: {keep_last: 2000}}"),
         "p.yaml:8:58: rules[0].obligations.mask[0].with.partial.keep_last: expected a number of "
         "characters between 0 and 1024, found \"2000\""},
        {MASK("columns: [a.b.c], with: {partial: {character: xx}}"),
         "p.yaml:8:58: rules[0].obligations.mask[0].with.partial.character: expected one character "
         "of "
         "ASCII, found \"xx\""},
        {MASK("columns: [a.b.c], with: {partial: {character: é}}"),
         "p.yaml:8:58: rules[0].obligations.mask[0].with.partial.character: expected one character "
         "of "
         "ASCII, found \"é\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refused(cases[i].text, ERR_INVALID, cases[i].sentence);
    }
}

/* An expression of 512 bytes is one, of 513 is not; of 33 in a policy one is too many. */
static void test_the_caps_of_detectors(void **state)
{
    (void)state;
    char pattern[514], text[1024];
    struct policy *p = NULL;
    struct err_text why = {0};
    memset(pattern, 'x', sizeof(pattern));
    for (size_t size = 512; size <= 513; size++) {
        (void)snprintf(text, sizeof(text),
                       RULE "    obligations: {mask: [{detect: [{name: n, pattern: %.*s}]}]}\n",
                       (int)size, pattern);
        assert_int_equal(policy_compile(bytes_of_string(text), 1, &p, &why),
                         size == 512 ? OK : ERR_INVALID);
        policy_destroy(p);
        p = NULL;
    }
    assert_non_null(strstr(why.text, "expected a pattern of at most 512 bytes, found 513"));
    for (int count = 32; count <= 33; count++) {
        struct buffer b;
        buffer_init(&b, 1 << 16);
        assert_int_equal(buffer_append_string(&b, RULE "    obligations:\n      mask:\n"), OK);
        for (int i = 0; i < count; i++) {
            assert_int_equal(
                buffer_append_format(&b, "      - {detect: [{name: n%d, pattern: x}]}\n", i), OK);
        }
        assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, &why),
                         count == 32 ? OK : ERR_LIMIT);
        policy_destroy(p);
        p = NULL;
        buffer_finish(&b);
    }
    assert_non_null(strstr(why.text, "at most 32 patterns are allowed in a policy"));
}

static int64_t cpu_ms(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What is written to exhaust the reader is refused at once. */
static void test_bombs(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct err_text why = {0};
    int64_t start = cpu_ms();
    static const char laughs[] = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nrules: *c\n";
    assert_int_equal(policy_compile(bytes_of_string(laughs), 1, &p, &why), ERR_INVALID);
    assert_string_equal(why.text, "policy:1:4: anchors and tags (`&`, `!`) are not allowed here");
    static const char cycle[] = "rules: &a [*a]\n";
    assert_int_equal(policy_compile(bytes_of_string(cycle), 1, &p, &why), ERR_INVALID);
    /* As many rules as fit into the size: 4 MiB of `- a` are 1.4 million. */
    struct buffer b;
    buffer_init(&b, CONF_SIZE_MAX);
    assert_int_equal(buffer_append_string(&b, "version: 1\nrules:\n"), OK);
    while (buffer_append_string(&b, "- a\n") == OK) {
    }
    assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "more than 500000 values in one document"));
    /* 4,096 rules that each mask by a tag of many columns share them. */
    buffer_clear(&b);
    assert_int_equal(buffer_append_string(&b, "version: 1\ntags:\n  t: ["), OK);
    for (int i = 0; i < 50000; i++) {
        assert_int_equal(buffer_append_string(&b, "a.b.c,"), OK);
    }
    assert_int_equal(buffer_append_string(&b, "a.b.c]\nrules:\n"), OK);
    for (int i = 0; i < POLICY_RULES_MAX; i++) {
        assert_int_equal(buffer_append_format(&b,
                                              "- {name: r%d, effect: allow, obligations: {mask: "
                                              "[{tags: [t]}, {tags: [t]}]}}\n",
                                              i),
                         OK);
    }
    assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, &why), OK);
    policy_destroy(p);
    buffer_finish(&b);
    /* A second each, as an optimised build has it; sanitizers take some ten times as long. */
    assert_true(cpu_ms() - start < 20000);
}

static void test_names_that_are_no_patterns(void **state)
{
    (void)state;
    static const char *const names[] = {".",      "a.",  ".a",  "a..b",     "\\\"a", "\\\"a\\\"b",
                                        "a.\\\"", "a;b", "a-b", "\\\"\\\"", "(a)",   "a,b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), RULE "    match: {sql: {tables: [\"%s\"]}}\n", names[i]);
        struct policy *p = NULL;
        struct err_text why = {0};
        assert_int_equal(policy_compile(bytes_of_string(text), 1, &p, &why), ERR_INVALID);
        assert_non_null(
            strstr(why.text, "policy:5:28: rules[0].match.sql.tables[0]: expected a name"));
    }
}

static void test_too_many_rules_are_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, CONF_SIZE_MAX);
    assert_int_equal(buffer_append_string(&b, "version: 1\nrules:\n"), OK);
    for (int i = 0; i <= POLICY_RULES_MAX; i++) {
        assert_int_equal(buffer_append_format(&b, "- {name: r%d, effect: deny}\n", i), OK);
    }
    struct policy *p = NULL;
    struct err_text why = {0};
    assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, &why), ERR_LIMIT);
    assert_string_equal(why.text, "policy:2:1: rules: 4097 rules, at most 4096 are allowed");
    buffer_finish(&b);
    /* A million of them are refused by their size before anything is built. */
    buffer_init(&b, 64 << 20);
    for (int i = 0; i < 1000000; i++) {
        assert_int_equal(buffer_append_format(&b, "- {name: r%d, effect: deny}\n", i), OK);
    }
    assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, &why), ERR_LIMIT);
    assert_string_equal(why.text, "policy: larger than 4194304 bytes");
    assert_null(p);
    buffer_finish(&b);
}

static void test_the_shipped_policies_compile_and_so_do_their_canonical_forms(void **state)
{
    (void)state;
    static const char *const files[] = {
        "policies/library/allow-all.yaml",     "policies/library/read-only-analyst.yaml",
        "policies/library/migration-bot.yaml", "policies/library/break-glass-administrator.yaml",
        "policies/library/support-agent.yaml", "policies/library/api-client.yaml"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct conf *c = NULL;
        struct policy *p = NULL;
        struct err_text why = {0};
        assert_int_equal(conf_load_file(files[i], &c, &why), OK);
        assert_int_equal(policy_compile_conf(conf_root(c), 1, &p, &why), OK);
        policy_destroy(p);
        char *json = conf_to_json(conf_root(c));
        assert_non_null(json);
        assert_int_equal(policy_compile(bytes_of_string(json), 1, &p, &why), OK);
        policy_destroy(p);
        free(json);
        conf_destroy(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_is_named_where_it_was_made),
        cmocka_unit_test(test_mistakes_in_what_a_rule_matches),
        cmocka_unit_test(test_times_that_come_but_once_are_no_mistake),
        cmocka_unit_test(test_mistakes_in_masks),
        cmocka_unit_test(test_the_caps_of_detectors),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_names_that_are_no_patterns),
        cmocka_unit_test(test_too_many_rules_are_refused),
        cmocka_unit_test(test_the_shipped_policies_compile_and_so_do_their_canonical_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
