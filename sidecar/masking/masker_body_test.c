/* Bodies, header fields and queries under the masks of a policy; each at every split. */
#include "sidecar/masking/masker_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/masking/masker_body_support.h"

#define BYTES(literal) ((struct bytes){(const uint8_t *)"" literal, sizeof(literal) - 1})
#define CARD "4111111111111111"

enum { OUT_MAX = 64 << 20 };

static const char fields_fixed[] = "[{'fields':['email','*_token'],'json':['/customers/*/ssn'],"
                                   "'headers':['x-email','x-secret-*'],'with':{'fixed':'[m]'}}]";
static const char detects[] = "[{'detect':['email','card','api_key'],'with':{'fixed':'[d]'}}]";
static const char both[] = "[{'fields':['email','n'],'with':{'fixed':'[m]'}},"
                           "{'detect':['email','card'],'with':{'fixed':'[d]'}}]";
static const char keep_four[] = "[{'fields':['card','at'],'with':{'partial':{'keep_last':4}}}]";
static const char hashes[] = "[{'fields':['id'],'with':{'hash':{'key':'k'}}}]";
static const char digits[] = "[{'fields':['phone'],'with':{'digits':{}}}]";
static const char months[] = "[{'fields':['born'],'with':{'date':'month'}}]";
static const char nulls[] = "[{'fields':['email']}]";
static const char two[] = "[{'fields':['email'],'with':{'fixed':'a'}},"
                          "{'fields':['e*'],'with':{'fixed':'b'}}]";

struct vector {
    const char *masks;
    struct bytes in, out;
};

#define SAME(masks, literal) masks, BYTES(literal), BYTES(literal)

static struct masker *of(const char *masks)
{
    struct masker *m = masker_of(masks);
    assert_non_null(m);
    return m;
}

static void assert_bytes(struct bytes found, struct bytes expected)
{
    if (!bytes_equal(found, expected)) {
        fail_msg("found    %.*s\nexpected %.*s", (int)found.size, (const char *)found.data,
                 (int)expected.size, (const char *)expected.data);
    }
}

/* Byte by byte where `at` is 0, and in two pieces, cut there, where not; the second one may be
 * empty. Replaces what is in `out`. */
static void feed_cut(struct masker *m, enum masker_body_kind kind, struct bytes in, size_t at,
                     enum err expected, struct buffer *out)
{
    buffer_clear(out);
    enum err e =
        at == 0 ? masker_feed_all(m, kind, in, 1, out) : masker_feed_two(m, kind, in, at, out);
    if (e != expected) {
        fail_msg("%s of %.*s", err_name(e), (int)in.size, (const char *)in.data);
    }
}

/* However it comes. */
static void assert_body(struct masker *m, enum masker_body_kind kind, struct bytes in,
                        struct bytes expected)
{
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    for (size_t at = 0; at <= in.size; at++) {
        feed_cut(m, kind, in, at, OK, &out);
        assert_bytes(buffer_bytes(&out), expected);
    }
    buffer_finish(&out);
}

static void assert_vectors(enum masker_body_kind kind, const struct vector *vectors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct masker *m = of(vectors[i].masks);
        assert_body(m, kind, vectors[i].in, vectors[i].out);
        masker_destroy(m);
    }
}

/* However it comes, and with nothing of `secret` given out before it fails. */
static void assert_refused(const char *masks, enum masker_body_kind kind, struct bytes in,
                           enum err expected)
{
    struct masker *m = of(masks);
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    for (size_t at = 0; at <= in.size; at++) {
        feed_cut(m, kind, in, at, expected, &out);
        if (buffer_size(&out) > 0) {
            assert_null(memmem(buffer_bytes(&out).data, buffer_size(&out), "secret", 6));
        }
    }
    buffer_finish(&out);
    masker_destroy(m);
}

static void assert_all_refused(enum masker_body_kind kind, const struct bytes *bad, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_refused(fields_fixed, kind, bad[i], ERR_INVALID);
    }
}

#define LIST(list) (list), sizeof(list) / sizeof((list)[0])

/* ---- JSON ----------------------------------------------------------------------------------- */

static void json_is_masked_by_name_and_place(void **state)
{
    (void)state;
    const struct vector v[] = {
        {fields_fixed, BYTES("{\"email\":\"a@b.co\",\"name\":\"Jane\"}"),
         BYTES("{\"email\":\"[m]\",\"name\":\"Jane\"}")},
        {fields_fixed, BYTES(" { \"em\\u0061il\" : \"x\" } "), BYTES("{\"email\":\"[m]\"}")},
        {fields_fixed, BYTES("{\"EMAIL\":\"x\",\"Email\":1}"),
         BYTES("{\"EMAIL\":\"[m]\",\"Email\":\"[m]\"}")},
        {fields_fixed, BYTES("[[[{\"a\":{\"access_token\":\"x\"}}]]]"),
         BYTES("[[[{\"a\":{\"access_token\":\"[m]\"}}]]]")},
        {fields_fixed, BYTES("{\"email\":[\"a\",1,1.5e3,true,false,null,{\"x\":\"y\",\"z\":[2]}]}"),
         BYTES("{\"email\":[\"[m]\",\"[m]\",\"[m]\",\"[m]\",\"[m]\",null,"
               "{\"x\":\"[m]\",\"z\":[\"[m]\"]}]}")},
        {fields_fixed, BYTES("{\"email\":\"a\",\"email\":\"b\",\"x\":\"c\"}"),
         BYTES("{\"email\":\"[m]\",\"email\":\"[m]\",\"x\":\"c\"}")},
        {fields_fixed,
         BYTES("{\"customers\":[{\"ssn\":\"1\",\"n\":\"2\"},{\"ssn\":\"3\"}],\"ssn\":\"4\"}"),
         BYTES("{\"customers\":[{\"ssn\":\"[m]\",\"n\":\"2\"},{\"ssn\":\"[m]\"}],\"ssn\":\"4\"}")},
        {fields_fixed, BYTES("{\"customers\":{\"a\":{\"ssn\":1},\"b\":{\"x\":{\"ssn\":2}}}}"),
         BYTES("{\"customers\":{\"a\":{\"ssn\":\"[m]\"},\"b\":{\"x\":{\"ssn\":2}}}}")},
        {SAME(fields_fixed, "{\"customers/0/ssn\":1,\"a\":2}")},
        {nulls, BYTES("{\"email\":\"x\",\"a\":\"y\"}"), BYTES("{\"email\":null,\"a\":\"y\"}")},
        {two, BYTES("{\"email\":\"x\",\"else\":\"y\"}"), BYTES("{\"email\":null,\"else\":\"b\"}")},
        {keep_four, BYTES("{\"card\":\"" CARD "\",\"a\":\"" CARD "\"}"),
         BYTES("{\"card\":\"************1111\",\"a\":\"" CARD "\"}")},
        {keep_four, BYTES("{\"card\":" CARD "}"), BYTES("{\"card\":null}")},
        {keep_four, BYTES("{\"card\":true,\"at\":null}"), BYTES("{\"card\":null,\"at\":null}")},
        {months, BYTES("{\"born\":\"1980-05-17\"}"), BYTES("{\"born\":\"1980-05-01\"}")},
        {months, BYTES("{\"born\":\"1980-05-17T10:11:12.5Z\"}"),
         BYTES("{\"born\":\"1980-05-01T00:00:00Z\"}")},
        {months, BYTES("{\"born\":\"1980-05-17 10:11:12\"}"),
         BYTES("{\"born\":\"1980-05-01 00:00:00\"}")},
        {months, BYTES("{\"born\":\"in May\",\"x\":1980}"), BYTES("{\"born\":null,\"x\":1980}")},
    };
    assert_vectors(MASKER_BODY_JSON, LIST(v));
}

static void json_stays_what_it_was(void **state)
{
    (void)state;
    const struct vector v[] = {
        {SAME(fields_fixed, "")},
        {SAME(fields_fixed, "[1,-0,0.10,1E+400,12345678901234567890123,1e-7]")},
        {SAME(fields_fixed, "[{},[],\"\",{\"\":\"\"},true,false,null]")},
        {fields_fixed, BYTES("\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\\\/\\u00e9\\ud83d\\ude00\""),
         BYTES("\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\xc3\xa9\xf0\x9f\x98\x80\"")},
        {SAME(fields_fixed, "\"\xc3\xa9\xf0\x9f\x98\x80\x7f\"")},
        /* Surrogates of no pair: the @ that some would read behind one stays an @. */
        {detects, BYTES("[\"a\\ud800b\",\"\\udc00\",\"\\ud83d\\u0041\",\"\\ud800\\ud83d\\ude00\"]"),
         BYTES("[\"a\xef\xbf\xbd"
               "b\",\"\xef\xbf\xbd\",\"\xef\xbf\xbd"
               "A\",\"\xef\xbf\xbd\xf0\x9f\x98\x80\"]")},
        {detects, BYTES("\"jane\\ud800\\u0040b.co\""), BYTES("\"[d]\"")},
        {SAME(fields_fixed, "\"\\\\ud800\"")},
        /* One after another. */
        {fields_fixed, BYTES("{\"email\":1}\n{\"email\":2}\n"),
         BYTES("{\"email\":\"[m]\"}\n{\"email\":\"[m]\"}\n")},
        {fields_fixed, BYTES("1\r\n2\r\n\"x\"\n\n"), BYTES("1\n2\n\"x\"\n\n")},
        {fields_fixed, BYTES("{} {}[]\t[1]"), BYTES("{}\n{}\n[]\n[1]")},
        {fields_fixed,
         BYTES("\x1e{\"email\":1}\n\x1e"
               "2\n\x1e"
               "3"),
         BYTES("\x1e{\"email\":\"[m]\"}\n\x1e"
               "2\n\x1e"
               "3")},
        {SAME(fields_fixed, "\x1e"
                            "1\x1e"
                            "2")},
        {fields_fixed, BYTES(" \n"), BYTES("\n")},
        {SAME(fields_fixed, "42")},
        {fields_fixed, BYTES("\xef\xbb\xbf{\"email\":1}"), BYTES("{\"email\":\"[m]\"}")},
    };
    assert_vectors(MASKER_BODY_JSON, LIST(v));
}

static void json_is_looked_through(void **state)
{
    (void)state;
    const struct vector v[] = {
        {detects, BYTES("{\"a\":\"to jane@example.org now\"}"), BYTES("{\"a\":\"to [d] now\"}")},
        {detects, BYTES("\"j\\u0061ne\\u0040example.org\""), BYTES("\"[d]\"")},
        {detects, BYTES("{\"jane@example.org\":{\"x\":1}}"), BYTES("{\"[d]\":{\"x\":1}}")},
        {detects, BYTES("[" CARD "]"), BYTES("[\"[d]\"]")},
        {detects, BYTES("[" CARD ".0,-" CARD "]"), BYTES("[\"[d].0\",\"-[d]\"]")},
        {detects, BYTES("[4.111111111111111e15,41111111111111110E-1]"),
         BYTES("[\"[d]\",\"[d].0\"]")},
        {detects, BYTES("\"{\\\"a\\\":\\\"jane\\\\u0040b.co\\\"}\""),
         BYTES("\"{\\\"a\\\":\\\"[d]\\\"}\"")},
        {detects, BYTES("{\"aws_secret_access_key\":\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"}"),
         BYTES("{\"aws_secret_access_key\":\"[d]\"}")},
        {SAME(detects, "{\"x\":\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"}")},
        {both, BYTES("{\"email\":{\"jane@b.co\":\"x\"},\"n\":1,\"o\":\"jane@b.co\"}"),
         BYTES("{\"email\":{\"[d]\":\"[m]\"},\"n\":\"[m]\",\"o\":\"[d]\"}")},
    };
    assert_vectors(MASKER_BODY_JSON, LIST(v));
}

/* As logs and queues have it: a string of JSON, with names of its own. */
static void json_within_strings_is_masked(void **state)
{
    (void)state;
    const struct vector v[] = {
        {fields_fixed, BYTES("{\"body\":\"{ \\\"email\\\": \\\"x\\\", \\\"a\\\": 1 }\"}"),
         BYTES("{\"body\":\"{\\\"email\\\":\\\"[m]\\\",\\\"a\\\":1}\"}")},
        {fields_fixed, BYTES("[\" [{\\\"b\\\":\\\"{\\\\\\\"email\\\\\\\":1}\\\"}]\"]"),
         BYTES("[\"[{\\\"b\\\":\\\"{\\\\\\\"email\\\\\\\":\\\\\\\"[m]\\\\\\\"}\\\"}]\"]")},
        /* Nothing to mask, or no JSON. */
        {SAME(fields_fixed, "[\"{ \\\"a\\\" : 1 }\",\"[draft] email\",\"{email: x}\"]")},
        {both, BYTES("[\"{\\\"email\\\":1,\\\"o\\\":\\\"jane\\\\u0040b.co\\\"}\"]"),
         BYTES("[\"{\\\"email\\\":\\\"[m]\\\",\\\"o\\\":\\\"[d]\\\"}\"]")},
    };
    assert_vectors(MASKER_BODY_JSON, LIST(v));
    assert_refused(fields_fixed, MASKER_BODY_JSON,
                   BYTES("[\"[\\\"[\\\\\\\"[\\\\\\\\\\\\\\\"{}\\\\\\\\\\\\\\\"]\\\\\\\"]\\\"]\"]"),
                   ERR_LIMIT);
}

/* Equal values stay equal; a number stays one. */
static void json_is_hashed(void **state)
{
    (void)state;
    struct masker *m = of(hashes);
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(masker_feed_all(m, MASKER_BODY_JSON,
                                     BYTES("[{\"id\":12345},{\"id\":\"v\"},{\"id\":12345}]"), 0,
                                     &out),
                     OK);
    assert_int_equal(buffer_append(&out, BYTES("\0")), OK);
    const char *text = (const char *)buffer_bytes(&out).data;
    int64_t first = 0, second = 0;
    char hash[64] = "";
    assert_int_equal(
        sscanf(text, "[{\"id\":%ld},{\"id\":\"%32[0-9a-f]\"},{\"id\":%ld}]", &first, hash, &second),
        3);
    assert_int_equal(first, second);
    assert_int_not_equal(first, 12345);
    assert_int_equal(strlen(hash), 32);
    masker_destroy(m);
    m = of(digits);
    buffer_clear(&out);
    assert_int_equal(
        masker_feed_all(m, MASKER_BODY_JSON, BYTES("{\"phone\":\"+49 123\"}"), 0, &out), OK);
    struct bytes made = buffer_bytes(&out);
    assert_int_equal(made.size, strlen("{\"phone\":\"+49 123\"}"));
    assert_int_equal(made.data[10], '+');
    assert_memory_not_equal(made.data + 10, "+49 123", 7);
    buffer_finish(&out);
    masker_destroy(m);
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        BYTES("{\"email\":\"secret"),
        BYTES("{\"email\":\"secret\""),
        BYTES("{\"email\":\"secret\"]"),
        BYTES("{\"email\":tru"),
        BYTES("<html>secret</html>"),
        BYTES("secret"),
        BYTES("{\"a\":1}secret"),
        BYTES("{\"a\":1}\"secret"),
        BYTES("// secret\n1"),
        BYTES("/* secret */1"),
        BYTES("{\"a\":'secret'}"),
        BYTES("{a:\"secret\"}"),
        BYTES("[1,]"),
        BYTES("[01]"),
        BYTES("01"),
        BYTES("1.e2"),
        BYTES("+1"),
        BYTES("4111-1111-1111-1111"),
        BYTES("4111 1111 1111 1111"),
        BYTES("\"a\"\"b\""),
        BYTES("NaN"),
        BYTES("\"\x01\""),
        BYTES("\"a\nb\""),
        BYTES("\"\\x\""),
        BYTES("\"\\u12g4\""),
        BYTES("\"\xff\""),
        BYTES("\"\xc1\x80\""),
        BYTES("\"\xed\xa0\x80\""),
        BYTES("\"\xf5\x80\x80\x80\""),
        BYTES("{\"\xc0\xaf\":1}"),
        BYTES("[1,\x1e"
              "2]"),
        BYTES("\"a\x1e"
              "b\""),
        BYTES("{\"a\":1}\0"),
        BYTES("\0{\0}\0"),
        BYTES("]"),
        BYTES("{]"),
    };
    assert_all_refused(MASKER_BODY_JSON, LIST(bad));
}

/* ---- forms ---------------------------------------------------------------------------------- */

static void forms_are_masked(void **state)
{
    (void)state;
    const struct vector v[] = {
        {SAME(fields_fixed, "")},
        {fields_fixed, BYTES("a=1&email=x%40y&b=2"), BYTES("a=1&email=%5Bm%5D&b=2")},
        {fields_fixed, BYTES("em%61il=x&E%4dAIL=y"), BYTES("em%61il=%5Bm%5D&E%4dAIL=%5Bm%5D")},
        {fields_fixed, BYTES("user[email]=x&user%5Bemail%5D=y&user.email=z&email[]=w"),
         BYTES("user[email]=%5Bm%5D&user%5Bemail%5D=%5Bm%5D&user.email=%5Bm%5D&email[]=%5Bm%5D")},
        {fields_fixed, BYTES("a=1;email=x&&=&email"), BYTES("a=1;email=%5Bm%5D&&=&email")},
        {fields_fixed, BYTES("email=x=y%26z"), BYTES("email=%5Bm%5D")},
        {fields_fixed, BYTES("filter={\"email\":\"x\"}&f=%7B%22email%22:1%7D&g=%5B1%5D"),
         BYTES("filter=%7B%22email%22%3A%22%5Bm%5D%22%7D&f=%7B%22email%22%3A%22%5Bm%5D%22%7D&g=%5B1"
               "%5D")},
        {nulls, BYTES("email=x&a=b+c%20d%2B"), BYTES("email=&a=b+c%20d%2B")},
        {keep_four, BYTES("card=1111+2222&x=+"), BYTES("card=*****2222&x=+")},
        {detects, BYTES("q=to+jane%40b.co+now&jane@b.co=1"), BYTES("q=%5Bd%5D+now&%5Bd%5D=1")},
        {detects, BYTES("q=a+b@example.org"), BYTES("q=%5Bd%5D")},
        {detects, BYTES("q=" CARD "&r=4111+1111+1111+1111"), BYTES("q=%5Bd%5D&r=%5Bd%5D")},
    };
    assert_vectors(MASKER_BODY_FORM, LIST(v));
    static const struct bytes bad[] = {BYTES("a=%"), BYTES("a=%4"), BYTES("a=%zz"), BYTES("%=b"),
                                       BYTES("email=%secret")};
    assert_all_refused(MASKER_BODY_FORM, LIST(bad));
}

/* ---- header fields and queries -------------------------------------------------------------- */

/* Of a field of this name; NULL: of a query. What stood in the buffer before is left alone. */
static void assert_field(const char *masks, const char *name, const char *value,
                         const char *expected)
{
    struct masker *m = of(masks);
    struct buffer out;
    struct bytes in = bytes_of_string(value);
    buffer_init(&out, OUT_MAX);
    bool is_changed = strcmp(value, expected) != 0, said = !is_changed;
    assert_int_equal(buffer_append(&out, BYTES("before ")), OK);
    assert_int_equal(name == NULL ? masker_query(m, in, &out, &said)
                                  : masker_header(m, bytes_of_string(name), in, &out, &said),
                     OK);
    assert_int_equal(said, is_changed);
    buffer_consume(&out, 7);
    assert_bytes(buffer_bytes(&out), bytes_of_string(expected));
    buffer_finish(&out);
    masker_destroy(m);
}

static void header_fields_are_masked(void **state)
{
    (void)state;
    assert_field(fields_fixed, "x-email", "a", "[m]");
    assert_field(fields_fixed, "X-Secret-Thing", "a", "[m]");
    assert_field(fields_fixed, "x-other", "jane@b.co", "jane@b.co");
    assert_field("[{'headers':['x'],'with':{'fixed':'a\\r\\nb: c'}}]", "x", "1", "a  b: c");
    assert_field(fields_fixed, "Location", "https://a/b?c=d&email=x%40y&e=f#g",
                 "https://a/b?c=d&email=%5Bm%5D&e=f#g");
    assert_field(fields_fixed, "location", "/b?email=x", "/b?email=%5Bm%5D");
    assert_field(fields_fixed, "location", "/b?", "/b?");
    assert_field(fields_fixed, "x-other", "/b?email=x", "/b?email=x");
    assert_field("[{'headers':['x']}]", "x", "1", "");
    assert_field(detects, "link", "<mailto:jane@b.co>; rel=x", "<mailto:[d]>; rel=x");
    assert_field(detects, "location", "/u/jane%40b.co/x%2Fy", "[d]/x%2Fy");
    assert_field(detects, "set-cookie", "u=jane%40b%2Eco%3B; Path=/", "[d]%3B; Path=/");
    assert_field(detects, "etag", "\"%\"", "\"%\"");
}

static void queries_are_masked(void **state)
{
    (void)state;
    assert_field(fields_fixed, NULL, "", "");
    assert_field(fields_fixed, NULL, "a=b&email=c", "a=b&email=%5Bm%5D");
    assert_field(fields_fixed, NULL, "a=100%&email=%&b=%zz", "a=100%&email=%5Bm%5D&b=%zz");
    assert_field(detects, NULL, "jane@b.co", "%5Bd%5D");
    assert_field(detects, NULL, "q=%zz%jane%40b.co", "q=%5Bd%5D");
}

/* ---- texts ---------------------------------------------------------------------------------- */

static void texts_are_looked_through(void **state)
{
    (void)state;
    const struct vector v[] = {
        {SAME(detects, "")},
        {SAME(detects, "nothing\n")},
        {detects, BYTES("to jane@b.co, joe@b.co\n" CARD "\n"), BYTES("to [d], [d]\n[d]\n")},
        {detects, BYTES("{\"a\":\"jane\\u0040b.co\"}"), BYTES("{\"a\":\"[d]\"}")},
        {detects, BYTES(" \n [\"j\\u0061ne@b.co\",\"x\"]\nrest"),
         BYTES(" \n [\"[d]\",\"x\"]\nrest")},
        {"[{'detect':[{'name':'t','pattern':'tck-[0-9]{4,8}'}],'with':{'fixed':'T'}}]",
         BYTES("a tck-123\nb tck-1234567890"), BYTES("a tck-123\nb T90")},
    };
    assert_vectors(MASKER_BODY_TEXT, LIST(v));
    assert_refused(fields_fixed, MASKER_BODY_TEXT, BYTES("secret"), ERR_DENIED);
    const struct vector open[] = {
        {"[{'fields':['email'],'unknown_origin':'allow'}]", BYTES("email: a@b.co"),
         BYTES("email: a@b.co")},
        {"[{'fields':['email'],'unknown_origin':'allow'},{'detect':['email']}]",
         BYTES("email: a@b.co!"), BYTES("email: !")},
    };
    assert_vectors(MASKER_BODY_TEXT, LIST(open));
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void what_is_masked_is_counted(void **state)
{
    (void)state;
    struct masker *m = of(both);
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(
        masker_feed_all(m, MASKER_BODY_JSON,
                        BYTES("[{\"email\":\"a\",\"n\":null},{\"email\":{\"x\":1,\"y\":2}},"
                              "\"a@b.co and c@b.co\",\"x\",\"{\\\"email\\\":1, no\"]"),
                        1, &out),
        OK);
    const struct masker_count *counts = NULL;
    assert_int_equal(masker_counts(m, &counts), 2);
    assert_int_equal(counts[0].rule, 0);
    assert_int_equal(counts[0].rows, 3); /* a null has nothing to mask */
    assert_int_equal(counts[0].column, MASKER_BODY_COLUMN);
    assert_false(counts[0].by_content);
    assert_int_equal(counts[1].rule, 1);
    assert_int_equal(counts[1].rows, 1);
    assert_true(counts[1].by_content);
    buffer_finish(&out);
    masker_destroy(m);
}

static void assert_http(const struct masker *m, bool is_masked, bool allows_unknown)
{
    assert_int_equal(masker_masks_http(m), is_masked);
    assert_int_equal(masker_allows_unknown(m), allows_unknown);
}

static void what_masks_nothing_of_http_passes(void **state)
{
    (void)state;
    struct masker *m = NULL;
    assert_int_equal(masker_create(NULL, 0, (struct bytes){0}, &m, NULL), OK);
    assert_http(m, false, true);
    assert_body(m, MASKER_BODY_JSON, BYTES("{ no JSON"), BYTES("{ no JSON"));
    masker_destroy(m);
    m = of(detects);
    assert_http(m, true, false);
    masker_destroy(m);
    m = of("[{'fields':['email'],'unknown_origin':'allow'}]");
    assert_http(m, true, true);
    masker_destroy(m);
    m = of("[{'headers':['x']}]"); /* bodies are none of its business */
    assert_http(m, true, true);
    assert_body(m, MASKER_BODY_JSON, BYTES("{ no JSON"), BYTES("{ no JSON"));
    assert_body(m, MASKER_BODY_TEXT, BYTES("text"), BYTES("text"));
    masker_destroy(m);
    m = of("[{'headers':['x']},{'detect':['email'],'with':{'fixed':'[d]'}}]");
    assert_http(m, true, false);
    assert_body(m, MASKER_BODY_TEXT, BYTES("to a@b.co"), BYTES("to [d]"));
    masker_destroy(m);
}

static void repeat(struct buffer *b, const char *text, size_t count)
{
    while (count-- > 0) {
        assert_int_equal(buffer_append_string(b, text), OK);
    }
}

static void assert_limit(const char *masks, enum masker_body_kind kind, struct buffer *in,
                         size_t piece, enum err expected)
{
    struct masker *m = of(masks);
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(masker_feed_all(m, kind, buffer_bytes(in), piece, &out), expected);
    if (expected == OK && kind == MASKER_BODY_JSON) {
        assert_bytes(buffer_bytes(&out), buffer_bytes(in));
    }
    buffer_finish(&out);
    masker_destroy(m);
    buffer_clear(in);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct buffer in;
    buffer_init(&in, OUT_MAX);
    for (size_t over = 0; over < 2; over++) {
        enum err expected = over == 0 ? OK : ERR_LIMIT;
        repeat(&in, "[", MASKER_BODY_DEPTH_MAX + over);
        repeat(&in, "]", MASKER_BODY_DEPTH_MAX + over);
        assert_limit(fields_fixed, MASKER_BODY_JSON, &in, 7, expected);
        repeat(&in, "1", 4096 + over);
        assert_limit(fields_fixed, MASKER_BODY_JSON, &in, 7, expected);
        repeat(&in, "\"", 1);
        repeat(&in, "0123456789abcdef", MASKER_BODY_VALUE_MAX / 16 - 1);
        repeat(&in, "0123456789abcd", 1);
        repeat(&in, "x", over);
        repeat(&in, "\"", 1);
        assert_limit(fields_fixed, MASKER_BODY_JSON, &in, 16000, expected);
        repeat(&in, "{\"", 1);
        repeat(&in, "k", MASKER_BODY_PATH_MAX - 1 + over);
        repeat(&in, "\":1}", 1);
        assert_limit(fields_fixed, MASKER_BODY_JSON, &in, 0, expected);
        repeat(&in, "0123456789abcdef", MASKER_BODY_VALUE_MAX / 16);
        repeat(&in, "x", over);
        assert_limit(fields_fixed, MASKER_BODY_FORM, &in, 16000, expected);
    }
    /* A private key without an end. */
    repeat(&in, "-----BEGIN PRIVATE KEY-----\n", 1);
    repeat(&in, "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n", 8192);
    assert_limit("[{'detect':['private_key']}]", MASKER_BODY_TEXT, &in, 4096, ERR_LIMIT);
    buffer_finish(&in);
}

/* A long string in small pieces costs as much as in one: it is read once. */
static void small_pieces_are_no_burden(void **state)
{
    (void)state;
    struct masker *m = of(fields_fixed);
    struct buffer in, out;
    buffer_init(&in, OUT_MAX);
    buffer_init(&out, OUT_MAX);
    repeat(&in, "\"", 1);
    repeat(&in, "\\\"0123456789abc", 1 << 16);
    repeat(&in, "\"", 1);
    assert_int_equal(masker_feed_all(m, MASKER_BODY_JSON, buffer_bytes(&in), 3, &out), OK);
    assert_bytes(buffer_bytes(&out), buffer_bytes(&in));
    buffer_finish(&in);
    buffer_finish(&out);
    masker_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_masked_by_name_and_place),
        cmocka_unit_test(json_stays_what_it_was),
        cmocka_unit_test(json_is_looked_through),
        cmocka_unit_test(json_within_strings_is_masked),
        cmocka_unit_test(json_is_hashed),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(forms_are_masked),
        cmocka_unit_test(header_fields_are_masked),
        cmocka_unit_test(queries_are_masked),
        cmocka_unit_test(texts_are_looked_through),
        cmocka_unit_test(what_is_masked_is_counted),
        cmocka_unit_test(what_masks_nothing_of_http_passes),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(small_pieces_are_no_burden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
