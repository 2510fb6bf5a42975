#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf/conf.h"

static struct conf *load(const char *text)
{
    struct conf *c = NULL;
    struct err_text error = {0};
    enum err e = conf_load_text("t.yaml", bytes_of_string(text), &c, &error);
    if (e != OK) {
        fail_msg("%s", error.text);
    }
    return c;
}

static void expect_refused(struct bytes text, enum err code, const char *sentence)
{
    struct conf *c = NULL;
    struct err_text error = {0};
    assert_int_equal(conf_load_text("t.yaml", text, &c, &error), code);
    assert_null(c);
    assert_string_equal(error.text, sentence);
}

static void test_a_tree_is_walked_in_the_order_of_the_document(void **state)
{
    (void)state;
    struct conf *c = load("zeta: 1\nalpha:\n  - x\n  - {y: [a, b]}\n");
    const struct conf_node *root = conf_root(c);
    assert_int_equal(conf_kind(root), CONF_MAP);
    assert_int_equal(conf_count(root), 2);
    const struct conf_node *zeta = conf_first(root);
    assert_string_equal(conf_key(zeta), "zeta");
    const struct conf_node *alpha = conf_next(zeta);
    assert_ptr_equal(alpha, conf_get(root, "alpha"));
    assert_null(conf_next(alpha));
    assert_null(conf_get(root, "beta"));
    assert_null(conf_get(alpha, "x"));
    const struct conf_node *y = conf_get(conf_next(conf_first(alpha)), "y");
    const struct conf_node *b = conf_next(conf_first(y));
    char path[CONF_PATH_SIZE];
    conf_path(b, path);
    assert_string_equal(path, "alpha[1].y[1]");
    assert_string_equal(conf_file(b), "t.yaml");
    assert_int_equal(conf_line(b), 4);
    assert_int_equal(conf_column(b), 13);
    assert_null(conf_key(b));
    conf_destroy(c);
}

static void test_every_value_is_found_among_many_keys(void **state)
{
    (void)state;
    char text[8192];
    size_t size = 0;
    for (int i = 0; i < 300; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "k%d: %d\n", i * 7 % 300, i);
    }
    struct conf *c = load(text);
    for (int i = 0; i < 300; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i * 7 % 300);
        int64_t value = -1;
        assert_int_equal(conf_read_integer(conf_root(c), key, "a number", 0, 300, &value, NULL),
                         OK);
        assert_int_equal(value, i);
    }
    conf_destroy(c);
}

static void test_values_are_read_by_type(void **state)
{
    (void)state;
    struct conf *c = load("name: 1234\nquoted: 'true'\non: true\noff: false\nport: 5432\nlow: -3\n"
                          "ms: 250ms\ns: 30s\nm: 5m\nh: 2h\nd: 7d\nzero: 0s\n"
                          "plain: 512\nkib: 64KiB\nmib: 1MiB\ngib: 2GiB\nlevel: host\n"
                          "max: 9223372036854775807\nmin: -9223372036854775808\n");
    const struct conf_node *root = conf_root(c);
    const char *text = NULL;
    bool flag = false;
    int64_t n = 0;
    uint64_t bytes = 0;
    int choice = 0;
    assert_int_equal(conf_read_string(root, "name", &text, NULL), OK);
    assert_string_equal(text, "1234");
    assert_int_equal(conf_read_string(root, "quoted", &text, NULL), OK);
    assert_string_equal(text, "true");
    assert_int_equal(conf_read_bool(root, "on", &flag, NULL), OK);
    assert_true(flag);
    assert_int_equal(conf_read_bool(root, "off", &flag, NULL), OK);
    assert_false(flag);
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"port", 5432}, {"low", -3}, {"max", INT64_MAX}, {"min", INT64_MIN}};
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        assert_int_equal(
            conf_read_integer(root, integers[i].key, "a number", INT64_MIN, INT64_MAX, &n, NULL),
            OK);
        assert_true(n == integers[i].value);
    }
    static const struct {
        const char *key;
        int64_t ns;
    } durations[] = {{"ms", 250000000},
                     {"s", 30000000000},
                     {"m", 300000000000},
                     {"h", INT64_C(7200000000000)},
                     {"d", INT64_C(604800000000000)},
                     {"zero", 0}};
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        assert_int_equal(conf_read_duration(root, durations[i].key, 0, INT64_MAX, &n, NULL), OK);
        assert_true(n == durations[i].ns);
    }
    static const struct {
        const char *key;
        uint64_t bytes;
    } sizes[] = {{"plain", 512}, {"kib", 65536}, {"mib", 1048576}, {"gib", UINT64_C(2147483648)}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(conf_read_size(root, sizes[i].key, 0, UINT64_MAX >> 1, &bytes, NULL), OK);
        assert_true(bytes == sizes[i].bytes);
    }
    static const struct conf_choice levels[] = {{"process", 1}, {"host", 2}, {NULL, 0}};
    assert_int_equal(conf_read_choice(root, "level", levels, &choice, NULL), OK);
    assert_int_equal(choice, 2);
    conf_destroy(c);
}

static void test_a_missing_key_keeps_the_default(void **state)
{
    (void)state;
    struct conf *c = load("a: 1\n");
    const struct conf_node *root = conf_root(c), *list = NULL;
    int64_t port = 5432;
    const char *text = "default";
    assert_int_equal(conf_read_integer(root, "port", "a port", 1, 65535, &port, NULL), OK);
    assert_int_equal(port, 5432);
    assert_int_equal(conf_read_string(root, "text", &text, NULL), OK);
    assert_string_equal(text, "default");
    assert_int_equal(conf_read_list(root, "list", &list, NULL), OK);
    assert_null(list);
    conf_destroy(c);
}

/* Reads the member `value` of the map `here` in `text` by the reader that `kind` names. */
static void expect_error(const char *kind, const char *text, const char *sentence)
{
    static const struct conf_choice levels[] = {
        {"process", 1}, {"host", 2}, {"fleet", 3}, {NULL, 0}};
    static const char *const keys[] = {"address", "port", NULL};
    struct conf *c = load(text);
    const struct conf_node *here = conf_get(conf_root(c), "here");
    struct err_text error = {0};
    enum err e = OK;
    const char *string = "untouched";
    const struct conf_node *node = NULL;
    bool flag = false;
    int64_t integer = 77;
    uint64_t bytes = 77;
    int choice = 77;
    switch (kind[0]) {
    case 's': e = conf_read_string(here, "value", &string, &error); break;
    case 'b': e = conf_read_bool(here, "value", &flag, &error); break;
    case 'i':
        e = conf_read_integer(here, "value", "a port number", 1, 65535, &integer, &error);
        break;
    case 'd':
        e = conf_read_duration(here, "value", 1000000000, INT64_C(3600000000000), &integer, &error);
        break;
    case 'z': e = conf_read_size(here, "value", 4096, 1 << 20, &bytes, &error); break;
    case 'c': e = conf_read_choice(here, "value", levels, &choice, &error); break;
    case 'm': e = conf_read_map(here, "value", &node, &error); break;
    case 'l': e = conf_read_list(here, "value", &node, &error); break;
    case 'r': e = conf_require(here, "value", &error); break;
    case 'k': e = conf_check_keys(here, keys, &error); break;
    default: fail();
    }
    assert_int_equal(e, ERR_INVALID);
    assert_string_equal(error.text, sentence);
    assert_string_equal(string, "untouched");
    assert_int_equal(integer, 77);
    assert_int_equal(bytes, 77);
    assert_int_equal(choice, 77);
    assert_null(node);
    conf_destroy(c);
}

static void test_each_mistake_is_named_where_it_was_made(void **state)
{
    (void)state;
    expect_error(
        "integer", "\nhere:\n  value: abc\n",
        "t.yaml:3:10: here.value: expected a port number between 1 and 65535, found \"abc\"");
    expect_error(
        "integer", "here: {value: 65536}",
        "t.yaml:1:15: here.value: expected a port number between 1 and 65535, found \"65536\"");
    expect_error("integer", "here: {value: '80'}",
                 "t.yaml:1:15: here.value: expected a port number between 1 and 65535, found "
                 "\"80\" in quotes");
    expect_error(
        "integer", "here: {value: 080}",
        "t.yaml:1:15: here.value: expected a port number between 1 and 65535, found \"080\"");
    expect_error("integer", "here: {value: 99999999999999999999}",
                 "t.yaml:1:15: here.value: expected a port number between 1 and 65535, found "
                 "\"99999999999999999999\"");
    expect_error(
        "integer", "here:\n  value:\n",
        "t.yaml:2:3: here.value: expected a port number between 1 and 65535, found nothing");
    expect_error("string", "here:\n  value: [a]\n",
                 "t.yaml:2:3: here.value: expected a string, found a list");
    expect_error("string", "here:\n  value: ''\n",
                 "t.yaml:2:10: here.value: expected a string, found an empty one");
    expect_error("string", "here: [a]", "t.yaml:1:1: here: expected a map, found a list");
    expect_error("bool", "here:\n  value: yes\n",
                 "t.yaml:2:10: here.value: expected true or false, found \"yes\"");
    expect_error("bool", "here:\n  value:\n    deeper: 1\n",
                 "t.yaml:2:3: here.value: expected true or false, found a map");
    expect_error("duration", "here: {value: 30}",
                 "t.yaml:1:15: here.value: expected a duration between 1s and 1h, such as \"30s\", "
                 "\"5m\", \"2h\" or \"7d\", found \"30\"");
    expect_error("duration", "here: {value: 2h}",
                 "t.yaml:1:15: here.value: expected a duration between 1s and 1h, such as \"30s\", "
                 "\"5m\", \"2h\" or \"7d\", found \"2h\"");
    expect_error("duration", "here: {value: 9223372036854775807d}",
                 "t.yaml:1:15: here.value: expected a duration between 1s and 1h, such as \"30s\", "
                 "\"5m\", \"2h\" or \"7d\", found \"9223372036854775807d\"");
    expect_error("z", "here: {value: 64KB}",
                 "t.yaml:1:15: here.value: expected a size in bytes between 4KiB and 1MiB, such as "
                 "\"64KiB\", \"1MiB\" or \"2GiB\", found \"64KB\"");
    expect_error("choice", "here: {value: hots}",
                 "t.yaml:1:15: here.value: expected one of \"process\", \"host\", \"fleet\", found "
                 "\"hots\"; did you mean \"host\"?");
    expect_error("choice", "here: {value: disk}",
                 "t.yaml:1:15: here.value: expected one of \"process\", \"host\", \"fleet\", found "
                 "\"disk\"");
    expect_error("map", "here: {value: 1}", "t.yaml:1:15: here.value: expected a map, found \"1\"");
    expect_error("list", "here: {value: 1}",
                 "t.yaml:1:15: here.value: expected a list, found \"1\"");
    expect_error("require", "\nhere:\n  a: 1\n", "t.yaml:2:1: here.value: required, but missing");
    expect_error("require", "here: ~", "t.yaml:1:1: here: expected a map, found nothing");
    expect_error("keys", "here:\n  port: 1\n  adress: x\n",
                 "t.yaml:3:3: here: unknown key `adress`; did you mean `address`?");
    expect_error("keys", "here:\n  colour: x\n", "t.yaml:2:3: here: unknown key `colour`");
    expect_error("keys", "here: 5",
                 "t.yaml:1:7: here: expected a map with the key `address` and others");
}

static void test_a_near_name_is_suggested_and_a_far_one_not(void **state)
{
    (void)state;
    static const char *const names[] = {"SELECT", "INSERT", "DELETE", NULL};
    assert_string_equal(conf_nearest("SELEKT", names), "SELECT");
    assert_string_equal(conf_nearest("DELET", names), "DELETE");
    assert_null(conf_nearest("colour", names));
    assert_null(conf_nearest("", names));
    assert_null(conf_nearest("x", (const char *const[]){NULL}));
}

static void test_what_was_found_is_printed_safely(void **state)
{
    (void)state;
    expect_error("bool", "here: {value: \"a\\tb\\n[31m\"}",
                 "t.yaml:1:15: here.value: expected true or false, found \"a?b?[31m\"");
    /* Cut between characters, not in one. */
    expect_error("bool", "here: {value: \"ééééééééééééééééééééééééééééééééééééé\"}",
                 "t.yaml:1:15: here.value: expected true or false, found "
                 "\"ééééééééééééééééééééééééééé...\"");
}

static void test_a_long_path_is_cut_at_its_front(void **state)
{
    (void)state;
    char key[101] = {0};
    memset(key, 'k', 100);
    char text[512];
    (void)snprintf(text, sizeof(text), "%s: {%s: {last: [1]}}", key, key);
    struct conf *c = load(text);
    const struct conf_node *n = conf_first(conf_first(conf_first(conf_first(conf_root(c)))));
    char path[CONF_PATH_SIZE], wanted[CONF_PATH_SIZE];
    conf_path(n, path);
    (void)snprintf(wanted, sizeof(wanted), "....%s.last[0]", key);
    assert_string_equal(path, wanted);
    conf_destroy(c);
}

static void test_an_error_of_the_root_has_no_path(void **state)
{
    (void)state;
    struct conf *c = load("a: 1\n");
    struct err_text error = {0};
    assert_int_equal(conf_require(conf_root(c), "version", &error), ERR_INVALID);
    assert_string_equal(error.text, "t.yaml:1:1: version: required, but missing");
    assert_int_equal(conf_fail(conf_root(c), &error, "no %s", "good"), ERR_INVALID);
    assert_string_equal(error.text, "t.yaml:1:1: no good");
    conf_destroy(c);
}

static void test_documents_that_hide_something_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
        enum err code;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: a: this key was given already in line 1", ERR_INVALID},
        {"x:\n  a: 1\n  a: 3\n", "t.yaml:3:3: x.a: this key was given already in line 2",
         ERR_INVALID},
        {"a: &x 1\n", "t.yaml:1:4: anchors and tags (`&`, `!`) are not allowed here", ERR_INVALID},
        {"a: &x [1]\n", "t.yaml:1:4: anchors and tags (`&`, `!`) are not allowed here",
         ERR_INVALID},
        {"a: &x {b: 1}\n", "t.yaml:1:4: anchors and tags (`&`, `!`) are not allowed here",
         ERR_INVALID},
        {"\na: *x\n", "t.yaml:2:4: aliases (`*name`) are not allowed here", ERR_INVALID},
        {"a: !!str 1\n", "t.yaml:1:4: anchors and tags (`&`, `!`) are not allowed here",
         ERR_INVALID},
        {"a\n---\nb\n", "t.yaml:2:1: a second document (`---`) in one file", ERR_INVALID},
        {"? [a]\n: 1\n", "t.yaml:1:3: a key must be plain text, not a list or map", ERR_INVALID},
        {"a: \"x\\0y\"\n", "t.yaml:1:4: control or invisible characters in a string", ERR_INVALID},
        {"a: \"\\e[2J\"\n", "t.yaml:1:4: control or invisible characters in a string", ERR_INVALID},
        {"a: \"\\u2028\"\n", "t.yaml:1:4: control or invisible characters in a string",
         ERR_INVALID},
        {"a: user\u202e txt\n", "t.yaml:1:4: control or invisible characters in a string",
         ERR_INVALID},
        {"a: 1\n b: 2\n",
         "t.yaml:2:3: not valid YAML: mapping values are not allowed in this context", ERR_INVALID},
        {"a: [1, 2\n",
         "t.yaml:2:1: not valid YAML: did not find expected ',' or ']', while parsing a flow "
         "sequence "
         "(line 1)",
         ERR_INVALID},
        {"a: 1\nb: \xff\n", "t.yaml:2:4: not UTF-8 text: invalid leading UTF-8 octet", ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refused(bytes_of_string(cases[i].text), cases[i].code, cases[i].sentence);
    }
}

static void test_the_caps_hold(void **state)
{
    (void)state;
    static char text[CONF_SIZE_MAX + 2];
    memset(text, ' ', sizeof(text) - 1);
    expect_refused(bytes_of(text, CONF_SIZE_MAX + 1), ERR_LIMIT,
                   "t.yaml: larger than 4194304 bytes");
    memset(text, '[', 33);
    expect_refused(bytes_of(text, 33), ERR_LIMIT, "t.yaml:1:33: nested deeper than 32 levels");
    memset(text + 32, ']', 32);
    struct conf *c = NULL;
    assert_int_equal(conf_load_text("t.yaml", bytes_of(text, 64), &c, NULL), OK);
    conf_destroy(c);
    memset(text, 'k', 161);
    text[161] = ':';
    expect_refused(bytes_of(text, 164), ERR_LIMIT, "t.yaml:1:1: a key longer than 160 bytes");
    /* A million small values. */
    text[0] = '[';
    for (size_t i = 1; i < 2000001; i += 2) {
        text[i] = '1';
        text[i + 1] = ',';
    }
    text[2000001] = ']';
    expect_refused(bytes_of(text, 2000002), ERR_LIMIT,
                   "t.yaml:1:1000000: more than 500000 values in one document");
    /* A hundred thousand levels must not recurse anywhere. */
    memset(text, '[', 100000);
    expect_refused(bytes_of(text, 100000), ERR_LIMIT, "t.yaml:1:33: nested deeper than 32 levels");
}

static void expect_json(const char *text, const char *json)
{
    struct conf *c = load(text);
    char *first = conf_to_json(conf_root(c));
    assert_string_equal(first, json);
    conf_destroy(c);
    c = load(json);
    char *second = conf_to_json(conf_root(c));
    assert_string_equal(second, json);
    conf_destroy(c);
    free(first);
    free(second);
}

static void test_the_canonical_form(void **state)
{
    (void)state;
    expect_json("b: 1   # a comment\na: [x, 'y']\n", "{\"a\":[\"x\",\"y\"],\"b\":1}");
    expect_json("{\"b\" : 1, \"a\":[ \"x\", \"y\" ] }", "{\"a\":[\"x\",\"y\"],\"b\":1}");
    expect_json("[~, null, true, false, True, 'true', '']",
                "[null,null,true,false,\"True\",\"true\",\"\"]");
    expect_json(
        "[1, -1, 9007199254740993, 1000000000000000, '1', 007, 1.10, 1e3, 0x10, -0]",
        "[1,-1,9007199254740993,1000000000000000,\"1\",\"007\",\"1.10\",\"1e3\",\"0x10\",\"-0\"]");
    expect_json("a: {}\nb: []\n", "{\"a\":{},\"b\":[]}");
    expect_json("t: |\n  one\n  \"two\"\n", "{\"t\":\"one\\n\\\"two\\\"\\n\"}");
    expect_json("é: ü\nz: \"\\u20ac\"\n", "{\"z\":\"€\",\"é\":\"ü\"}");
    expect_json("", "null");
}

static void test_a_file_is_loaded_and_its_absence_told(void **state)
{
    (void)state;
    const char *directory = getenv("TEST_TMPDIR");
    char path[512], wanted[600];
    (void)snprintf(path, sizeof(path), "%s/conf.yaml", directory == NULL ? "/tmp" : directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs("port: x\n", f) > 0);
    assert_int_equal(fclose(f), 0);
    struct conf *c = NULL;
    struct err_text error = {0};
    int64_t port;
    assert_int_equal(conf_load_file(path, &c, &error), OK);
    assert_int_equal(conf_read_integer(conf_root(c), "port", "a port", 1, 2, &port, &error),
                     ERR_INVALID);
    (void)snprintf(wanted, sizeof(wanted),
                   "%s:1:7: port: expected a port between 1 and 2, found \"x\"", path);
    assert_string_equal(error.text, wanted);
    conf_destroy(c);
    c = NULL;
    /* One byte more than the cap. */
    assert_int_equal(truncate(path, CONF_SIZE_MAX + 1), 0);
    assert_int_equal(conf_load_file(path, &c, &error), ERR_LIMIT);
    assert_int_equal(truncate(path, (off_t)CONF_SIZE_MAX * 4), 0);
    assert_int_equal(conf_load_file(path, &c, &error), ERR_LIMIT);
    (void)snprintf(wanted, sizeof(wanted), "%s: larger than 4194304 bytes", path);
    assert_string_equal(error.text, wanted);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(conf_load_file(path, &c, &error), ERR_NOT_FOUND);
    (void)snprintf(wanted, sizeof(wanted), "%s: cannot be read: No such file or directory", path);
    assert_string_equal(error.text, wanted);
    assert_int_equal(conf_load_file("/", &c, &error), ERR_IO);
    assert_string_equal(error.text, "/: cannot be read: Is a directory");
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tree_is_walked_in_the_order_of_the_document),
        cmocka_unit_test(test_every_value_is_found_among_many_keys),
        cmocka_unit_test(test_values_are_read_by_type),
        cmocka_unit_test(test_a_missing_key_keeps_the_default),
        cmocka_unit_test(test_each_mistake_is_named_where_it_was_made),
        cmocka_unit_test(test_a_near_name_is_suggested_and_a_far_one_not),
        cmocka_unit_test(test_what_was_found_is_printed_safely),
        cmocka_unit_test(test_a_long_path_is_cut_at_its_front),
        cmocka_unit_test(test_an_error_of_the_root_has_no_path),
        cmocka_unit_test(test_documents_that_hide_something_are_refused),
        cmocka_unit_test(test_the_caps_hold),
        cmocka_unit_test(test_the_canonical_form),
        cmocka_unit_test(test_a_file_is_loaded_and_its_absence_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
