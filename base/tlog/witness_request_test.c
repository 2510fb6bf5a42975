#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/fixture.h"
#include "base/tlog/witness_request.h"

/* The example of the specification. */
#define HASHES                                                                                     \
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"                                               \
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"                                               \
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"                                               \
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
#define NOTE                                                                                       \
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"      \
    "\xe2\x80\x94 example.com/behind-the-sofa "                                                    \
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+"            \
    "xeMcTOAYQ8=\n"

static enum err parse(const char *body, struct tlog_witness_request *out)
{
    struct err_text why = {.text = ""};
    enum err e = tlog_witness_request_parse(bytes_of_string(body), out, &why);
    assert_int_equal(e == OK, why.text[0] == '\0');
    return e;
}

static void the_specifications_example(void **state)
{
    (void)state;
    static const char body[] = "old 20852014\n" HASHES "\n" NOTE;
    struct tlog_witness_request request;
    struct buffer again;
    assert_int_equal(parse(body, &request), OK);
    assert_int_equal(request.old_size, 20852014);
    assert_int_equal(request.proof.count, 4);
    assert_int_equal(request.proof.hashes[3].bytes[0], 0xff);
    assert_true(bytes_equal_string(request.note, NOTE));
    buffer_init(&again, TLOG_WITNESS_REQUEST_MAX);
    assert_int_equal(tlog_witness_request_format(&request, &again), OK);
    struct bytes text = buffer_bytes(&again);
    assert_non_null(text.data);
    assert_int_equal(text.size, sizeof(body) - 1);
    assert_memory_equal(text.data, body, text.size);
    buffer_finish(&again);
}

static void what_is_no_request(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "old 0",
        "old 0\n",
        "old 0\n\n",
        "old\n\n" NOTE,
        "old \n\n" NOTE,
        "old  0\n\n" NOTE,
        "Old 0\n\n" NOTE,
        "old 00\n\n" NOTE,
        "old 01\n\n" NOTE,
        "old -1\n\n" NOTE,
        "old +1\n\n" NOTE,
        "old 0x1\n\n" NOTE,
        "old 1 \n\n" NOTE,
        "old 0\r\n\r\n" NOTE,
        "old 4611686018427387905\n\n" NOTE,
        "old 18446744073709551616\n\n" NOTE,
        "old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw\n\n" NOTE,
        "old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkax=\n\n" NOTE,
        "old 1\n" HASHES NOTE,
        NOTE,
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct tlog_witness_request request = {.old_size = 77};
        assert_int_equal(parse(bodies[i], &request), ERR_INVALID);
        assert_int_equal(request.old_size, 77);
    }
}

static void cut_anywhere_it_is_no_request(void **state)
{
    (void)state;
    static const char body[] = "old 20852014\n" HASHES "\nx";
    struct tlog_witness_request request;
    for (size_t size = 0; size < sizeof(body) - 1; size++) {
        assert_int_equal(tlog_witness_request_parse(bytes_of(body, size), &request, NULL),
                         ERR_INVALID);
    }
    assert_int_equal(parse(body, &request), OK);
}

static void the_longest_proof(void **state)
{
    (void)state;
    struct tlog_witness_request request = {
        .old_size = TLOG_SIZE_MAX, .proof.count = TLOG_PROOF_MAX, .note = bytes_of_string(NOTE)};
    struct buffer body, longer;
    buffer_init(&body, TLOG_WITNESS_REQUEST_MAX);
    buffer_init(&longer, TLOG_WITNESS_REQUEST_MAX + 1);
    assert_int_equal(tlog_witness_request_format(&request, &body), OK);
    struct tlog_witness_request parsed;
    assert_int_equal(tlog_witness_request_parse(buffer_bytes(&body), &parsed, NULL), OK);
    assert_int_equal(parsed.proof.count, 63);
    assert_int_equal(parsed.old_size, TLOG_SIZE_MAX);
    /* One more hash (tlog-witness: "MUST NOT send more than 63"). */
    assert_int_equal(buffer_append_string(&longer, "old 5\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDp"
                                                   "kaw=\n"),
                     OK);
    struct bytes all = buffer_bytes(&body);
    const uint8_t *first_end = all.data == NULL ? NULL : memchr(all.data, '\n', all.size);
    assert_non_null(first_end);
    size_t rest = all.size - (size_t)(first_end + 1 - all.data);
    assert_int_equal(buffer_append(&longer, bytes_of(first_end + 1, rest)), OK);
    assert_int_equal(tlog_witness_request_parse(buffer_bytes(&longer), &parsed, NULL), ERR_LIMIT);
    request.proof.count = TLOG_PROOF_MAX + 1;
    assert_int_equal(tlog_witness_request_format(&request, &body), ERR_LIMIT);
    buffer_finish(&body);
    buffer_finish(&longer);
}

static void too_large(void **state)
{
    (void)state;
    uint8_t *body = malloc(TLOG_WITNESS_REQUEST_MAX + 1);
    assert_non_null(body);
    memset(body, 'a', TLOG_WITNESS_REQUEST_MAX + 1);
    static const char start[7] = {'o', 'l', 'd', ' ', '0', '\n', '\n'};
    memcpy(body, start, sizeof(start));
    struct tlog_witness_request request;
    struct err_text why;
    assert_int_equal(
        tlog_witness_request_parse(bytes_of(body, 7 + TLOG_NOTE_SIZE_MAX), &request, &why), OK);
    assert_int_equal(
        tlog_witness_request_parse(bytes_of(body, 8 + TLOG_NOTE_SIZE_MAX), &request, &why),
        ERR_INVALID);
    assert_int_equal(
        tlog_witness_request_parse(bytes_of(body, TLOG_WITNESS_REQUEST_MAX + 1), &request, &why),
        ERR_LIMIT);
    free(body);
}

static void sizes(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "1", "\n", "01\n", "1\n\n", "1 \n", "1\r\n", "x\n", "4611686018427387905\n"};
    uint64_t size = 77;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(tlog_witness_size_parse(bytes_of_string(wrong[i]), &size), ERR_INVALID);
        assert_int_equal(size, 77);
    }
    assert_int_equal(tlog_witness_size_parse(bytes_of_string("0\n"), &size), OK);
    assert_int_equal(size, 0);
    assert_int_equal(tlog_witness_size_parse(bytes_of_string("4611686018427387904\n"), &size), OK);
    assert_int_equal(size, TLOG_SIZE_MAX);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

struct parties {
    struct crypto_ed25519 *log_key, *witness_key, *other_key;
    struct tlog_signer log, witness, other;
    struct buffer text, note, body, line;
};

static void parties_init(struct parties *p)
{
    struct tlog_checkpoint checkpoint = {.origin = bytes_of_string(FIXTURE_ORIGIN), .size = 7};
    memset(p, 0, sizeof(*p));
    p->log_key = fixture_key(FIXTURE_ORIGIN);
    p->witness_key = fixture_key("w1.example");
    p->other_key = fixture_key("w2.example");
    assert_int_equal(
        tlog_signer_init(bytes_of_string(FIXTURE_ORIGIN), TLOG_KEY_ED25519, p->log_key, &p->log),
        OK);
    assert_int_equal(tlog_signer_init(bytes_of_string("w1.example"), TLOG_KEY_COSIGNATURE,
                                      p->witness_key, &p->witness),
                     OK);
    assert_int_equal(tlog_signer_init(bytes_of_string("w2.example"), TLOG_KEY_COSIGNATURE,
                                      p->other_key, &p->other),
                     OK);
    buffer_init(&p->text, 4096);
    buffer_init(&p->note, 4096);
    buffer_init(&p->body, TLOG_WITNESS_ANSWER_MAX + 4096);
    buffer_init(&p->line, 4096);
    assert_int_equal(tlog_checkpoint_format(&checkpoint, &p->text), OK);
    assert_int_equal(tlog_note_sign(buffer_bytes(&p->text), &p->log, 1, 0, &p->note), OK);
}

static void parties_finish(struct parties *p)
{
    crypto_ed25519_destroy(p->log_key);
    crypto_ed25519_destroy(p->witness_key);
    crypto_ed25519_destroy(p->other_key);
    buffer_finish(&p->text);
    buffer_finish(&p->note);
    buffer_finish(&p->body);
    buffer_finish(&p->line);
}

static void put_line(struct parties *p, struct bytes text, const struct tlog_signer *signer,
                     uint64_t time)
{
    assert_int_equal(tlog_note_sign_line(text, signer, time, &p->body), OK);
}

static enum err take(struct parties *p, uint64_t *out_time)
{
    struct err_text why = {.text = ""};
    buffer_clear(&p->line);
    enum err e = tlog_witness_answer_take(buffer_bytes(&p->body), buffer_bytes(&p->note),
                                          &p->witness.verifier, &p->line, out_time, &why);
    assert_int_equal(e == OK, why.text[0] == '\0');
    assert_int_equal(e == OK, buffer_size(&p->line) > 0);
    return e;
}

static void the_witnesss_own_line_is_taken(void **state)
{
    (void)state;
    struct parties p;
    struct tlog_note whole;
    enum tlog_signature_state signature = TLOG_SIGNATURE_ABSENT;
    uint64_t time = 0;
    parties_init(&p);
    put_line(&p, buffer_bytes(&p.text), &p.other, 5);
    put_line(&p, buffer_bytes(&p.text), &p.witness, FIXTURE_TIME);
    put_line(&p, bytes_of_string("another text\n"), &p.other, 5);
    assert_int_equal(take(&p, &time), OK);
    assert_int_equal(time, FIXTURE_TIME);
    /* It is one line, and belongs below the checkpoint. */
    assert_int_equal(buffer_append(&p.note, buffer_bytes(&p.line)), OK);
    assert_int_equal(tlog_note_parse(buffer_bytes(&p.note), &whole, NULL), OK);
    assert_int_equal(whole.count, 2);
    assert_int_equal(tlog_note_check(&whole, &p.witness.verifier, &signature, &time), OK);
    assert_int_equal(signature, TLOG_SIGNATURE_GOOD);
    parties_finish(&p);
}

static void answers_that_are_not_the_witnesss(void **state)
{
    (void)state;
    struct parties p;
    uint64_t time = 77;
    parties_init(&p);
    assert_int_equal(take(&p, &time), ERR_INVALID);
    /* Of another key, of another checkpoint, and a wrong one beside a right one. */
    put_line(&p, buffer_bytes(&p.text), &p.other, 5);
    assert_int_equal(take(&p, &time), ERR_DENIED);
    buffer_clear(&p.body);
    put_line(&p, bytes_of_string("log.example/audit\n8\n"), &p.witness, 5);
    assert_int_equal(take(&p, &time), ERR_DENIED);
    put_line(&p, buffer_bytes(&p.text), &p.witness, 5);
    assert_int_equal(take(&p, &time), ERR_DENIED);
    buffer_clear(&p.body);
    assert_int_equal(buffer_append_string(&p.body, "<html>busy</html>\n"), OK);
    assert_int_equal(take(&p, &time), ERR_INVALID);
    buffer_clear(&p.body);
    for (size_t i = 0; buffer_size(&p.body) <= TLOG_WITNESS_ANSWER_MAX; i++) {
        put_line(&p, buffer_bytes(&p.text), &p.witness, 5);
    }
    assert_int_equal(take(&p, &time), ERR_INVALID);
    assert_int_equal(time, 77);
    parties_finish(&p);
}

/* The answer's own text above an empty line is signed, not the checkpoint. */
static void an_answer_that_extends_the_text(void **state)
{
    (void)state;
    struct parties p;
    struct buffer text;
    uint64_t time = 0;
    static const char *const extras[] = {"", "more\n"};
    for (size_t i = 0; i < 2; i++) {
        parties_init(&p);
        buffer_init(&text, 4096);
        assert_int_equal(buffer_append(&text, buffer_bytes(&p.text)), OK);
        assert_int_equal(buffer_append_format(&text, "\n%s", extras[i]), OK);
        assert_int_equal(buffer_append_format(&p.body, "%s\n", extras[i]), OK);
        put_line(&p, buffer_bytes(&text), &p.witness, 5);
        assert_int_equal(take(&p, &time), ERR_INVALID);
        buffer_finish(&text);
        parties_finish(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_specifications_example),
        cmocka_unit_test(what_is_no_request),
        cmocka_unit_test(cut_anywhere_it_is_no_request),
        cmocka_unit_test(the_longest_proof),
        cmocka_unit_test(too_large),
        cmocka_unit_test(sizes),
        cmocka_unit_test(the_witnesss_own_line_is_taken),
        cmocka_unit_test(answers_that_are_not_the_witnesss),
        cmocka_unit_test(an_answer_that_extends_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
