#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "base/tlog/fixture.h"

/* From the documentation of golang.org/x/mod/sumdb/note. */
#define NEUMANN_KEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define NEUMANN_TEXT                                                                               \
    "If you think cryptography is the answer to your problem,\n"                                   \
    "then you don't know what your problem is.\n"
#define NEUMANN_LINE                                                                               \
    "— PeterNeumann "                                                                            \
    "x08go/ZJkuBS9UG/"                                                                             \
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
#define ENOCH_LINE                                                                                 \
    "— EnochRoot "                                                                               \
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/"                                                 \
    "5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"

static struct tlog_verifier verifier_of(const char *text)
{
    struct tlog_verifier verifier;
    struct err_text why = {.text = ""};
    assert_int_equal(tlog_verifier_parse(bytes_of_string(text), &verifier, &why), OK);
    return verifier;
}

static enum err verify(const char *note, const struct tlog_verifier *known, size_t count,
                       bool *good)
{
    struct tlog_note parsed;
    struct err_text why = {.text = ""};
    enum err e = tlog_note_parse(bytes_of_string(note), &parsed, &why);
    if (e == OK) {
        e = tlog_note_verify(&parsed, known, count, good, &why);
    }
    assert_int_equal(e == OK, why.text[0] == '\0');
    return e;
}

static void a_published_note(void **state)
{
    (void)state;
    struct tlog_verifier known = verifier_of(NEUMANN_KEY), other = verifier_of(NEUMANN_KEY);
    assert_int_equal(known.id, 0xc74f20a3);
    assert_int_equal(verify(NEUMANN_TEXT "\n" NEUMANN_LINE, &known, 1, NULL), OK);
    assert_int_equal(verify(NEUMANN_TEXT "\n" ENOCH_LINE NEUMANN_LINE, &known, 1, NULL), OK);
    /* Only a stranger signed it. */
    assert_int_equal(verify(NEUMANN_TEXT "\n" ENOCH_LINE, &known, 1, NULL), ERR_DENIED);
    assert_int_equal(verify(NEUMANN_TEXT "\n" NEUMANN_LINE, &known, 0, NULL), ERR_DENIED);
    /* Another text, a line more, no last line. */
    assert_int_equal(verify("x" NEUMANN_TEXT "\n" NEUMANN_LINE, &known, 1, NULL), ERR_DENIED);
    assert_int_equal(verify(NEUMANN_TEXT "\n\n" NEUMANN_LINE, &known, 1, NULL), ERR_DENIED);
    /* The id and the name fit, the key is another. */
    other.public_key[5] ^= 1;
    assert_int_equal(verify(NEUMANN_TEXT "\n" NEUMANN_LINE, &other, 1, NULL), ERR_DENIED);
    /* The name of the one, the id of the other: unknown. */
    other = known;
    other.id++;
    assert_int_equal(verify(NEUMANN_TEXT "\n" NEUMANN_LINE, &other, 1, NULL), ERR_DENIED);
    struct tlog_verifier both[2] = {other, known};
    bool good[2] = {true, false};
    assert_int_equal(verify(NEUMANN_TEXT "\n" NEUMANN_LINE, both, 2, good), OK);
    assert_false(good[0]);
    assert_true(good[1]);
}

/* One wrong signature of a known key is enough to refuse, whatever else is right. */
static void a_wrong_signature_beside_a_right_one(void **state)
{
    (void)state;
    struct tlog_verifier known = verifier_of(NEUMANN_KEY);
    char wrong[] = NEUMANN_LINE;
    char *place = strstr(wrong, "x08go/ZJ");
    assert_non_null(place);
    place[8] = 'A';
    char note[1024];
    (void)snprintf(note, sizeof(note), "%s\n%s%s", NEUMANN_TEXT, NEUMANN_LINE, wrong);
    assert_int_equal(verify(note, &known, 1, NULL), ERR_DENIED);
    (void)snprintf(note, sizeof(note), "%s\n%s%s", NEUMANN_TEXT, wrong, NEUMANN_LINE);
    assert_int_equal(verify(note, &known, 1, NULL), ERR_DENIED);
    (void)snprintf(note, sizeof(note), "%s\n%s%s", NEUMANN_TEXT, NEUMANN_LINE, NEUMANN_LINE);
    assert_int_equal(verify(note, &known, 1, NULL), OK);
}

static void the_form_of_a_note(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        "text\n\nno signature\n",
        NEUMANN_LINE,
        "\n" NEUMANN_LINE, /* no text */
        NEUMANN_TEXT "\n— PeterNeumann\n",
        NEUMANN_TEXT "\n— PeterNeumann \n",
        NEUMANN_TEXT "\n—  x08go/ZJkuBS\n",
        NEUMANN_TEXT "\n- PeterNeumann x08go/ZJkuBS\n",
        NEUMANN_TEXT "\n— Peter+Neumann x08go/ZJkuBS\n",
        NEUMANN_TEXT "\n— Peter\xc2\xa0Neumann x08go/ZJkuBS\n",
        NEUMANN_TEXT "\n— Peter\xe2\x80\x83Neumann x08go/ZJkuBS\n",
        NEUMANN_TEXT "\n— PeterNeumann x08go/ZJkuBS", /* no newline */
        NEUMANN_TEXT "\n— PeterNeumann x08goA==\n",   /* a key id and nothing */
        NEUMANN_TEXT "\n— PeterNeumann x08go/ZJkuB\n",
        NEUMANN_TEXT "\n— PeterNeumann x08go/ZJkuB=\n",
        NEUMANN_TEXT "\n— PeterNeumann x08go/ZJ kuBS\n",
        NEUMANN_TEXT "\n— PeterNeumann x08go/ZJkuBS \n",
        NEUMANN_TEXT "\n— PeterNeumann x08go/ZJkuBS\r\n",
        "tab\there\n\n" NEUMANN_LINE,
        "nul\x01\n\n" NEUMANN_LINE,
        "\xff\n\n" NEUMANN_LINE,
        "\xc0\xaf\n\n" NEUMANN_LINE,
        "\xed\xa0\x80\n\n" NEUMANN_LINE,
        "\xf4\x90\x80\x80\n\n" NEUMANN_LINE,
        "\xe2\x80\n\n" NEUMANN_LINE,
    };
    struct tlog_note note = {.count = 77};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err_text why = {.text = ""};
        if (tlog_note_parse(bytes_of_string(wrong[i]), &note, &why) != ERR_INVALID) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_true(why.text[0] != '\0');
        assert_int_equal(note.count, 77);
    }
    /* Every beginning of a good one that ends before its signature's base64 is whole. */
    const char *good = NEUMANN_TEXT "\n" NEUMANN_LINE;
    for (size_t i = 0; i < strlen(good); i++) {
        assert_int_equal(tlog_note_parse(bytes_of(good, i), &note, NULL), ERR_INVALID);
    }
    /* The last empty line is the one that counts. */
    assert_int_equal(
        tlog_note_parse(bytes_of_string("è sera\n\nlast\n\n" NEUMANN_LINE), &note, NULL), OK);
    assert_true(bytes_equal_string(note.text, "è sera\n\nlast\n"));
    assert_int_equal(note.count, 1);
    assert_int_equal(note.signatures[0].size, CRYPTO_ED25519_SIGNATURE_SIZE);
}

/* Signatures of other algorithms are longer: of strangers they are ignored, by the name and the id
 * of a known key they are wrong. */
static void a_signature_of_another_kind(void **state)
{
    (void)state;
    struct tlog_verifier known = verifier_of(NEUMANN_KEY);
    uint8_t value[4 + 2420] = {0xc7, 0x4f, 0x20, 0xa4};
    struct tlog_note note;
    for (int is_ours = 0; is_ours < 2; is_ours++) {
        struct buffer b;
        buffer_init(&b, 8192);
        value[3] = is_ours ? 0xa3 : 0xa4;
        assert_int_equal(buffer_append_string(&b, NEUMANN_TEXT "\n— PeterNeumann "), OK);
        assert_int_equal(crypto_base64_encode(bytes_of(value, sizeof(value)), &b), OK);
        assert_int_equal(buffer_append_string(&b, "\n" NEUMANN_LINE), OK);
        assert_int_equal(tlog_note_parse(buffer_bytes(&b), &note, NULL), OK);
        assert_int_equal(note.count, 2);
        assert_int_equal(note.signatures[0].size, 0);
        assert_int_equal(tlog_note_verify(&note, &known, 1, NULL, NULL), is_ours ? ERR_DENIED : OK);
        buffer_finish(&b);
    }
}

static void caps_of_a_note(void **state)
{
    (void)state;
    struct buffer b;
    struct tlog_note note;
    buffer_init(&b, TLOG_NOTE_SIZE_MAX + 1);
    assert_int_equal(buffer_append_string(&b, "text\n\n"), OK);
    for (int i = 0; i < TLOG_NOTE_SIGNATURES_MAX; i++) {
        assert_int_equal(buffer_append_string(&b, NEUMANN_LINE), OK);
    }
    assert_int_equal(tlog_note_parse(buffer_bytes(&b), &note, NULL), OK);
    assert_int_equal(note.count, TLOG_NOTE_SIGNATURES_MAX);
    assert_int_equal(buffer_append_string(&b, NEUMANN_LINE), OK);
    assert_int_equal(tlog_note_parse(buffer_bytes(&b), &note, NULL), ERR_LIMIT);
    while (buffer_size(&b) <= TLOG_NOTE_SIZE_MAX) {
        assert_int_equal(buffer_append_string(&b, "x"), OK);
    }
    assert_int_equal(tlog_note_parse(buffer_bytes(&b), &note, NULL), ERR_LIMIT);
    buffer_finish(&b);
}

static void verifier_keys(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumanN+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+BRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10==",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
    };
    struct tlog_verifier verifier = {.id = 77};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err_text why = {.text = ""};
        if (tlog_verifier_parse(bytes_of_string(wrong[i]), &verifier, &why) != ERR_INVALID) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_true(why.text[0] != '\0');
        assert_int_equal(verifier.id, 77);
    }
    char name[TLOG_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE] = {0};
    assert_int_equal(
        tlog_verifier_init(bytes_of(name, sizeof(name)), TLOG_KEY_ED25519, key, &verifier),
        ERR_INVALID);
    assert_int_equal(
        tlog_verifier_init(bytes_of(name, sizeof(name) - 1), TLOG_KEY_ED25519, key, &verifier), OK);
    struct buffer text;
    buffer_init(&text, TLOG_VERIFIER_TEXT_MAX);
    assert_int_equal(tlog_verifier_format(&verifier, &text), OK);
    struct tlog_verifier again;
    assert_int_equal(tlog_verifier_parse(buffer_bytes(&text), &again, NULL), OK);
    assert_string_equal(again.name, verifier.name);
    buffer_finish(&text);
}

struct signing {
    struct crypto_ed25519 *key;
    struct tlog_signer plain, witness;
};

static void signing_init(struct signing *s)
{
    s->key = fixture_key("both");
    assert_int_equal(tlog_signer_init(bytes_of_string("both"), TLOG_KEY_ED25519, s->key, &s->plain),
                     OK);
    assert_int_equal(
        tlog_signer_init(bytes_of_string("both"), TLOG_KEY_COSIGNATURE, s->key, &s->witness), OK);
    assert_true(s->plain.verifier.id != s->witness.verifier.id);
}

static enum tlog_signature_state check(const char *note, const struct tlog_verifier *verifier,
                                       uint64_t *out_time)
{
    struct tlog_note parsed;
    enum tlog_signature_state out;
    assert_int_equal(tlog_note_parse(bytes_of_string(note), &parsed, NULL), OK);
    assert_int_equal(tlog_note_check(&parsed, verifier, &out, out_time), OK);
    return out;
}

static char *note_of(const struct tlog_signer *signer, const char *text, uint64_t time)
{
    struct buffer b;
    buffer_init(&b, 4096);
    assert_int_equal(tlog_note_sign(bytes_of_string(text), signer, 1, time, &b), OK);
    char *note = bytes_to_string(buffer_bytes(&b));
    assert_non_null(note);
    buffer_finish(&b);
    return note;
}

static void a_cosignature_has_a_time(void **state)
{
    (void)state;
    struct signing s;
    uint64_t time = 5;
    signing_init(&s);
    char *note = note_of(&s.witness, "log\n1\nroot\n", 1234);
    assert_int_equal(check(note, &s.witness.verifier, &time), TLOG_SIGNATURE_GOOD);
    assert_int_equal(time, 1234);
    time = 5;
    assert_int_equal(check(note, &s.plain.verifier, &time), TLOG_SIGNATURE_ABSENT);
    assert_int_equal(time, 5);
    /* Two of one witness: the latest time. */
    struct buffer two;
    buffer_init(&two, 4096);
    assert_int_equal(buffer_append_string(&two, note), OK);
    assert_int_equal(tlog_note_sign_line(bytes_of_string("log\n1\nroot\n"), &s.witness,
                                         (uint64_t)TLOG_TIME_MAX, &two),
                     OK);
    char *text = bytes_to_string(buffer_bytes(&two));
    assert_int_equal(check(text, &s.witness.verifier, &time), TLOG_SIGNATURE_GOOD);
    assert_int_equal(time, TLOG_TIME_MAX);
    /* The time is signed, too. */
    struct tlog_note parsed;
    enum tlog_signature_state out;
    assert_int_equal(tlog_note_parse(bytes_of_string(note), &parsed, NULL), OK);
    parsed.signatures[0].value[7] ^= 1;
    assert_int_equal(tlog_note_check(&parsed, &s.witness.verifier, &out, &time), OK);
    assert_int_equal(out, TLOG_SIGNATURE_WRONG);
    parsed.signatures[0].value[7] ^= 1;
    parsed.signatures[0].size--;
    assert_int_equal(tlog_note_check(&parsed, &s.witness.verifier, &out, &time), OK);
    assert_int_equal(out, TLOG_SIGNATURE_WRONG);
    free(text);
    free(note);
    buffer_finish(&two);
    crypto_ed25519_destroy(s.key);
}

static void what_is_not_signed(void **state)
{
    (void)state;
    struct signing s;
    struct buffer b;
    signing_init(&s);
    buffer_init(&b, 100);
    assert_int_equal(buffer_append_string(&b, "before"), OK);
    static const char *const texts[] = {"", "no newline", "tab\t\n", "\xff\n",
                                        "cosignature/v1\ntime 1\nlog\n1\nroot\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(tlog_note_sign(bytes_of_string(texts[i]), &s.plain, 1, 0, &b),
                         ERR_INVALID);
    }
    struct bytes text = bytes_of_string("text\n");
    assert_int_equal(tlog_note_sign(text, &s.witness, 1, (uint64_t)TLOG_TIME_MAX + 1, &b),
                     ERR_INVALID);
    assert_int_equal(tlog_note_sign(text, &s.plain, 0, 0, &b), ERR_INVALID);
    /* The buffer's cap: all or nothing. */
    assert_int_equal(tlog_note_sign(text, &s.plain, 1, 0, &b), ERR_LIMIT);
    assert_true(bytes_equal_string(buffer_bytes(&b), "before"));
    buffer_finish(&b);
    crypto_ed25519_destroy(s.key);
}

static void sign_and_open(void *context)
{
    const struct signing *s = context;
    const struct tlog_signer signers[] = {s->plain, s->witness};
    struct tlog_note note;
    struct buffer b;
    buffer_init(&b, 4096);
    enum err e = tlog_note_sign(bytes_of_string("log\n1\nroot\n"), signers, 2, 9, &b);
    assert_true(e == OK || (e == ERR_NO_MEMORY && buffer_size(&b) == 0));
    if (e == OK && (e = tlog_note_parse(buffer_bytes(&b), &note, NULL)) == OK) {
        struct tlog_verifier known[] = {s->plain.verifier, s->witness.verifier};
        bool good[2];
        e = tlog_note_verify(&note, known, 2, good, NULL);
        assert_true(e != OK || (good[0] && good[1]));
    }
    assert_true(e == OK || alloc_fail_happened());
    assert_true(e == OK || e == ERR_NO_MEMORY);
    buffer_finish(&b);
}

static void memory_may_be_short(void **state)
{
    (void)state;
    struct signing s;
    signing_init(&s);
    assert_true(alloc_fail_each(sign_and_open, &s) > 3);
    crypto_ed25519_destroy(s.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_note),
        cmocka_unit_test(a_wrong_signature_beside_a_right_one),
        cmocka_unit_test(the_form_of_a_note),
        cmocka_unit_test(a_signature_of_another_kind),
        cmocka_unit_test(caps_of_a_note),
        cmocka_unit_test(verifier_keys),
        cmocka_unit_test(a_cosignature_has_a_time),
        cmocka_unit_test(what_is_not_signed),
        cmocka_unit_test(memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
