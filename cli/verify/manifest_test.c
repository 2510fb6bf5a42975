#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/verify/manifest.h"

#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define FILES                                                                                      \
    "[{\"name\":\"b\",\"size\":2,\"sha256\":\"" ZERO "\"},"                                        \
    "{\"name\":\"a\",\"size\":1,\"sha256\":\"" ZERO "\"}]"
#define COUNTS                                                                                     \
    "{\"entries\":1,\"erased\":2,\"sessions\":3,\"approvals\":4,\"policies\":5,"                   \
    "\"sidecars\":6,\"issuer_keys\":7,\"tiles\":8}"
#define FILTER                                                                                     \
    "{\"since\":\"2026-10-01T00:00:00Z\",\"until\":null,\"identity\":\"x\","                       \
    "\"resource\":null,\"session\":null}"
#define CHECKPOINT "{\"origin\":\"log.example\",\"size\":9,\"root\":\"" ZERO "\"}"
#define SAMPLE "{\"seed\":\"s\",\"of\":\"intent\",\"population\":9,\"positions\":[3,1]}"

struct parts {
    const char *format, *made, *filter, *counts, *kinds, *checkpoint, *sample, *files, *more;
};

static const struct parts good = {.format = "chaperone-evidence/1",
                                  .made = "\"2026-11-21T08:43:00.1Z\"",
                                  .filter = FILTER,
                                  .counts = COUNTS,
                                  .kinds = "{\"intent\":5,\"unknown\":1}",
                                  .checkpoint = CHECKPOINT,
                                  .sample = SAMPLE,
                                  .files = FILES,
                                  .more = ""};

static enum err parse(const struct parts *p, struct manifest **out)
{
    struct buffer json;
    struct err_text why = {0};
    buffer_init(&json, 1 << 16);
    assert_int_equal(
        buffer_append_format(&json,
                             "{\"format\":\"%s\",\"made\":%s,\"made_by\":\"a\",\"version\":\"1\","
                             "\"reason\":\"\",\"filter\":%s,\"counts\":%s,\"kinds\":%s,"
                             "\"checkpoint\":%s,\"sample\":%s,\"files\":%s%s}\n",
                             p->format, p->made, p->filter, p->counts, p->kinds, p->checkpoint,
                             p->sample, p->files, p->more),
        OK);
    enum err e = manifest_parse(buffer_bytes(&json), out, &why);
    assert_true(e == OK || why.text[0] != '\0');
    buffer_finish(&json);
    return e;
}

static void test_all_of_it(void **state)
{
    (void)state;
    struct manifest *m = NULL;
    assert_int_equal(parse(&good, &m), OK);
    const struct manifest_view *v = manifest_view(m);
    assert_string_equal(v->identity, "x");
    assert_null(v->resource);
    assert_int_equal(v->since_ns, 1790812800000000000);
    assert_int_equal(v->until_ns, 0);
    assert_int_equal(v->entries, 1);
    assert_int_equal(v->tiles, 8);
    assert_int_equal(v->kinds[SCAN_INTENT], 5);
    assert_int_equal(v->kinds[SCAN_UNKNOWN], 1);
    assert_string_equal(v->origin, "log.example");
    assert_int_equal(v->size, 9);
    assert_non_null(v->sample);
    assert_int_equal(v->sample->count, 2);
    assert_int_equal(v->sample->positions[0], 3);
    assert_int_equal(v->file_count, 2);
    assert_int_equal(manifest_find(m, "a")->size, 1);
    assert_int_equal(manifest_find(m, "b")->size, 2);
    assert_null(manifest_find(m, "c"));
    manifest_destroy(m);
}

static void expect_refused(struct parts p)
{
    struct manifest *m = NULL;
    assert_int_equal(parse(&p, &m), ERR_INVALID);
    assert_null(m);
}

static void test_what_is_not_as_it_must_be(void **state)
{
    (void)state;
    struct parts p = good;
    p.format = "chaperone-evidence/2", expect_refused(p), p = good;
    p.made = "\"yesterday\"", expect_refused(p), p = good;
    p.made = "null", expect_refused(p), p = good;
    p.made = "\"2h\"", expect_refused(p), p = good;
    p.filter = "{}", expect_refused(p), p = good;
    p.counts = "{\"entries\":1}", expect_refused(p), p = good;
    p.kinds = "{\"intents\":1}", expect_refused(p), p = good;
    p.kinds = "{\"intent\":0}", expect_refused(p), p = good;
    p.kinds = "{\"intent\":1,\"intent\":2}", expect_refused(p), p = good;
    p.checkpoint = "{\"origin\":\"x\",\"size\":-1,\"root\":\"" ZERO "\"}", expect_refused(p),
    p = good;
    p.checkpoint = "{\"origin\":\"x\",\"size\":1.5,\"root\":\"" ZERO "\"}", expect_refused(p),
    p = good;
    p.checkpoint = "{\"origin\":\"x\",\"size\":1,\"root\":\"00\"}", expect_refused(p), p = good;
    p.sample = "{}", expect_refused(p), p = good;
    p.sample = "{\"seed\":\"s\",\"of\":\"intent\",\"population\":9,\"positions\":[\"3\"]}";
    expect_refused(p), p = good;
    p.files = "{}", expect_refused(p), p = good;
    p.files = "[{\"name\":\"a\",\"size\":1,\"sha256\":\"" ZERO "\"},"
              "{\"name\":\"a\",\"size\":1,\"sha256\":\"" ZERO "\"}]";
    expect_refused(p), p = good;
    p.more = ",\"made_by\":\"b\"", expect_refused(p), p = good;
    p.more = ",\"other\":1", expect_refused(p), p = good;
    p.more = "}{", expect_refused(p);
}

static void test_what_is_no_json(void **state)
{
    (void)state;
    struct manifest *m = NULL;
    static const uint8_t with_nul[] = "{\"format\":\"chaperone-evidence/1\"}\0";
    assert_int_equal(manifest_parse(bytes_of(NULL, 0), &m, NULL), ERR_INVALID);
    assert_int_equal(manifest_parse(bytes_of_string("{\"format\""), &m, NULL), ERR_INVALID);
    assert_int_equal(manifest_parse(bytes_of_string("null"), &m, NULL), ERR_INVALID);
    assert_int_equal(manifest_parse(bytes_of(with_nul, sizeof(with_nul)), &m, NULL), ERR_INVALID);
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it),
        cmocka_unit_test(test_what_is_not_as_it_must_be),
        cmocka_unit_test(test_what_is_no_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
