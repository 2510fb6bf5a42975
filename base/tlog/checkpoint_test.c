/* Checkpoints and the proof files that carry them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/fixture.h"

#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define GOOD "example.com/behind-the-sofa\n20852163\n" ROOT "\n"

static void the_form_of_a_checkpoint(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "log\n",
        "log\n1\n",
        "log\n1\n" ROOT,
        "\n1\n" ROOT "\n",
        "log\n\n" ROOT "\n",
        "log\n01\n" ROOT "\n",
        "log\n+1\n" ROOT "\n",
        "log\n-1\n" ROOT "\n",
        "log\n 1\n" ROOT "\n",
        "log\n1.0\n" ROOT "\n",
        "log\n0x1\n" ROOT "\n",
        "log\n4611686018427387905\n" ROOT "\n",
        "log\n18446744073709551617\n" ROOT "\n",
        "log\n1\n\n",
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2Jk\n",
        "log\n1\n" ROOT "\n\n",
        "log\n1\n" ROOT "\next\n\n",
        "log\n1\n" ROOT "\next",
        "log\x01\n1\n" ROOT "\n",
    };
    struct tlog_checkpoint c = {.size = 77};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err_text why = {.text = ""};
        if (tlog_checkpoint_parse(bytes_of_string(wrong[i]), &c, &why) != ERR_INVALID) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_true(why.text[0] != '\0');
        assert_int_equal(c.size, 77);
    }
}

static void a_checkpoint_is_written_as_it_was_read(void **state)
{
    (void)state;
    static const char *const right[] = {GOOD, "log\n0\n" ROOT "\n",
                                        "an origin, +spaces\n4611686018427387904\n" ROOT "\n",
                                        GOOD "extension 1\nextension 2\n"};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        struct tlog_checkpoint c;
        struct buffer b;
        buffer_init(&b, strlen(right[i])); /* exactly */
        assert_int_equal(tlog_checkpoint_parse(bytes_of_string(right[i]), &c, NULL), OK);
        assert_int_equal(tlog_checkpoint_format(&c, &b), OK);
        assert_int_equal(buffer_size(&b), strlen(right[i]));
        assert_memory_equal(buffer_bytes(&b).data, right[i], strlen(right[i]));
        buffer_clear(&b);
        b.cap--;
        assert_int_equal(tlog_checkpoint_format(&c, &b), ERR_LIMIT);
        assert_int_equal(buffer_size(&b), 0);
        buffer_finish(&b);
    }
    struct tlog_checkpoint c = {.origin = bytes_of_string("two\nlines")};
    struct buffer b;
    buffer_init(&b, 1000);
    assert_int_equal(tlog_checkpoint_format(&c, &b), ERR_INVALID);
    c = (struct tlog_checkpoint){.origin = bytes_of_string("o"), .size = TLOG_SIZE_MAX + 1};
    assert_int_equal(tlog_checkpoint_format(&c, &b), ERR_INVALID);
    c = (struct tlog_checkpoint){.origin = bytes_of_string("o"),
                                 .extensions = bytes_of_string("no newline")};
    assert_int_equal(tlog_checkpoint_format(&c, &b), ERR_INVALID);
    buffer_finish(&b);
}

enum { WITNESSES = 4 };

struct scene {
    struct tlog_verifier log, witnesses[WITNESSES];
    struct tlog_trust trust;
    char *note; /* owned: signed by the log, w1 and w2 */
    size_t size;
};

static void scene_init(struct scene *s)
{
    static const char *const names[WITNESSES] = {"w1.example", "w2.example", "w3.example",
                                                 "w4.example"};
    fixture_verifier(FIXTURE_ORIGIN, TLOG_KEY_ED25519, &s->log);
    for (size_t i = 0; i < WITNESSES; i++) {
        fixture_verifier(names[i], TLOG_KEY_COSIGNATURE, &s->witnesses[i]);
    }
    s->trust = (struct tlog_trust){.origin = FIXTURE_ORIGIN,
                                   .logs = &s->log,
                                   .log_count = 1,
                                   .witnesses = s->witnesses,
                                   .witness_count = WITNESSES,
                                   .quorum = 2};
    s->note = fixture_read("ours.note", &s->size);
}

static enum err scene_open(struct scene *s, struct tlog_checkpoint_seal *seal)
{
    struct tlog_checkpoint c = {.size = 77};
    struct err_text why = {.text = ""};
    enum err e = tlog_checkpoint_open(bytes_of(s->note, s->size), &s->trust, &c, seal, &why);
    assert_int_equal(c.size, e == OK ? FIXTURE_SIZE : 77);
    assert_int_equal(e == OK, why.text[0] == '\0');
    return e;
}

static void whom_a_checkpoint_is_believed(void **state)
{
    (void)state;
    struct scene s;
    struct tlog_checkpoint_seal seal = {.witnesses = 77};
    scene_init(&s);
    assert_int_equal(scene_open(&s, &seal), OK);
    assert_int_equal(seal.witnesses, 2);
    assert_int_equal(seal.earliest, FIXTURE_TIME);
    s.trust.quorum = 3;
    seal.witnesses = 77;
    assert_int_equal(scene_open(&s, &seal), ERR_DENIED);
    assert_int_equal(seal.witnesses, 77);
    s.trust.quorum = 5; /* more than there are: would never be reached */
    assert_int_equal(scene_open(&s, NULL), ERR_INVALID);
    s.trust.quorum = 0;
    s.trust.witness_count = 0;
    assert_int_equal(scene_open(&s, &seal), OK);
    assert_int_equal(seal.witnesses, 0);
    assert_int_equal(seal.earliest, 0);
    s.trust.origin = "log.example";
    assert_int_equal(scene_open(&s, NULL), ERR_DENIED);
    s.trust.origin = FIXTURE_ORIGIN;
    s.trust.log_count = 0;
    assert_int_equal(scene_open(&s, NULL), ERR_INVALID);
    /* A key of the wrong type, on either side. */
    s.trust.logs = s.witnesses;
    s.trust.log_count = 1;
    assert_int_equal(scene_open(&s, NULL), ERR_INVALID);
    s.trust.logs = &s.log;
    s.trust.witnesses = &s.log;
    s.trust.witness_count = 1;
    assert_int_equal(scene_open(&s, NULL), ERR_INVALID);
    /* Witnesses alone do not make it the log's. */
    fixture_verifier("another.example", TLOG_KEY_ED25519, &s.log);
    s.trust.witnesses = s.witnesses;
    s.trust.witness_count = WITNESSES;
    assert_int_equal(scene_open(&s, NULL), ERR_DENIED);
    free(s.note);
}

/* A log that is to be replaced signs with both keys: whoever knows either of them believes it. */
static void keys_overlap(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    fixture_verifier("next." FIXTURE_ORIGIN, TLOG_KEY_ED25519, &s.log);
    assert_int_equal(scene_open(&s, NULL), OK);
    struct tlog_verifier logs[2] = {s.log};
    fixture_verifier("retired.example", TLOG_KEY_ED25519, &logs[1]);
    s.trust.logs = logs;
    s.trust.log_count = 2;
    assert_int_equal(scene_open(&s, NULL), OK);
    free(s.note);
}

static void one_witness_counts_once(void **state)
{
    (void)state;
    struct scene s;
    struct tlog_checkpoint_seal seal;
    scene_init(&s);
    s.witnesses[2] = s.witnesses[0]; /* listed twice */
    s.trust.quorum = 3;
    assert_int_equal(scene_open(&s, &seal), ERR_DENIED);
    s.trust.quorum = 2;
    assert_int_equal(scene_open(&s, &seal), OK);
    assert_int_equal(seal.witnesses, 2);
    free(s.note);

    /* One key with two names, a name with two keys, and the log's own key: all have signed. */
    static const struct {
        const char *key, *name;
        enum tlog_key_type type;
    } all[] = {{FIXTURE_ORIGIN, FIXTURE_ORIGIN, TLOG_KEY_ED25519},
               {"a", "a", TLOG_KEY_COSIGNATURE},
               {"a", "alias", TLOG_KEY_COSIGNATURE},
               {"b", "a", TLOG_KEY_COSIGNATURE},
               {FIXTURE_ORIGIN, "friend", TLOG_KEY_COSIGNATURE}};
    struct tlog_signer signers[5];
    struct crypto_ed25519 *keys[5];
    struct tlog_verifier witnesses[4];
    for (size_t i = 0; i < 5; i++) {
        keys[i] = fixture_key(all[i].key);
        assert_int_equal(
            tlog_signer_init(bytes_of_string(all[i].name), all[i].type, keys[i], &signers[i]), OK);
        if (i > 0) {
            witnesses[i - 1] = signers[i].verifier;
        }
    }
    struct buffer b;
    struct tlog_checkpoint c;
    buffer_init(&b, 4096);
    struct bytes text = bytes_of_string(FIXTURE_ORIGIN "\n1\n" ROOT "\n");
    assert_int_equal(tlog_note_sign(text, signers, 5, 1, &b), OK);
    s.trust.witnesses = witnesses;
    s.trust.quorum = 2;
    assert_int_equal(tlog_checkpoint_open(buffer_bytes(&b), &s.trust, &c, NULL, NULL), ERR_DENIED);
    s.trust.quorum = 1;
    assert_int_equal(tlog_checkpoint_open(buffer_bytes(&b), &s.trust, &c, &seal, NULL), OK);
    assert_int_equal(seal.witnesses, 1);
    buffer_finish(&b);
    for (size_t i = 0; i < 5; i++) {
        crypto_ed25519_destroy(keys[i]);
    }
}

/* Every single byte of a checkpoint that is changed makes it a refused one, or one that says the
 * same with a signature of less: never another size or root. */
static void a_changed_byte_is_never_believed(void **state)
{
    (void)state;
    struct scene s;
    struct tlog_checkpoint good, c;
    struct err_text why;
    scene_init(&s);
    assert_int_equal(tlog_checkpoint_open(bytes_of(s.note, s.size), &s.trust, &good, NULL, &why),
                     OK);
    for (size_t i = 0; i < s.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            s.note[i] = (char)(s.note[i] ^ (1 << bit));
            if (tlog_checkpoint_open(bytes_of(s.note, s.size), &s.trust, &c, NULL, &why) == OK) {
                assert_int_equal(c.size, good.size);
                assert_true(tlog_hash_equal(&c.root, &good.root));
            }
            s.note[i] = (char)(s.note[i] ^ (1 << bit));
        }
    }
    free(s.note);
}

static void the_form_of_a_proof_file(void **state)
{
    (void)state;
    size_t size;
    char *good = fixture_read("ours.tlog-proof", &size);
    struct tlog_proof_file file, kept;
    struct buffer extra, again;
    buffer_init(&extra, 100);
    buffer_init(&again, size);
    assert_int_equal(tlog_proof_file_parse(bytes_of(good, size), &file, &extra, NULL), OK);
    assert_int_equal(file.index, 65000);
    assert_int_equal(buffer_size(&extra), 11);
    assert_memory_equal(buffer_bytes(&extra).data, "said beside", 11);
    assert_int_equal(tlog_proof_file_format(&file, buffer_bytes(&extra), &again), OK);
    assert_int_equal(buffer_size(&again), size);
    assert_memory_equal(buffer_bytes(&again).data, good, size);
    again.cap--;
    buffer_clear(&again);
    assert_int_equal(tlog_proof_file_format(&file, buffer_bytes(&extra), &again), ERR_LIMIT);
    assert_int_equal(buffer_size(&again), 0);
    free(good);

    static const char *const wrong[] = {
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nnote\n",
        "c2sp.org/tlog-proof@v1\r\nindex 0\n\nnote\n",
        "c2sp.org/tlog-proof@v1\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex \n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex 00\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex 4611686018427387904\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex 1 \n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra QQ==\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nextra QR==\nindex 0\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nextra QQ==\nextra QQ==\nindex 0\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nQQ==\n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I= \n\nnote\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nnote\n",
    };
    memset(&kept, 0, sizeof(kept));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err_text why = {.text = ""};
        buffer_clear(&extra);
        if (tlog_proof_file_parse(bytes_of_string(wrong[i]), &kept, &extra, &why) != ERR_INVALID) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_true(why.text[0] != '\0');
        assert_null(kept.note.data);
        assert_int_equal(buffer_size(&extra), 0);
    }
    buffer_finish(&extra);
    buffer_finish(&again);
}

static void caps_of_a_proof_file(void **state)
{
    (void)state;
    struct tlog_proof_file file = {.note = bytes_of_string("note\n")}, back;
    struct buffer b;
    uint8_t *extra = calloc(1, TLOG_PROOF_EXTRA_MAX + 1);
    assert_non_null(extra);
    file.proof.count = TLOG_PROOF_MAX;
    file.index = TLOG_SIZE_MAX - 1;
    memset(file.proof.hashes, 7, sizeof(file.proof.hashes));
    buffer_init(&b, TLOG_PROOF_FILE_MAX);
    assert_int_equal(tlog_proof_file_format(&file, bytes_of(extra, TLOG_PROOF_EXTRA_MAX), &b), OK);
    assert_int_equal(tlog_proof_file_parse(buffer_bytes(&b), &back, NULL, NULL), OK);
    assert_int_equal(back.proof.count, TLOG_PROOF_MAX);
    assert_int_equal(tlog_proof_file_format(&file, bytes_of(extra, TLOG_PROOF_EXTRA_MAX + 1), &b),
                     ERR_LIMIT);
    file.proof.count++;
    assert_int_equal(tlog_proof_file_format(&file, (struct bytes){0}, &b), ERR_LIMIT);
    buffer_clear(&b);
    assert_int_equal(buffer_append_string(&b, "c2sp.org/tlog-proof@v1\nindex 0\n"), OK);
    for (int i = 0; i <= TLOG_PROOF_MAX; i++) {
        assert_int_equal(buffer_append_string(&b, ROOT "\n"), OK);
    }
    assert_int_equal(buffer_append_string(&b, "\nnote\n"), OK);
    assert_int_equal(tlog_proof_file_parse(buffer_bytes(&b), &back, NULL, NULL), ERR_LIMIT);
    buffer_finish(&b);
    free(extra);
}

static void a_proof_is_for_one_record(void **state)
{
    (void)state;
    struct scene s;
    struct err_text why;
    char room[32];
    uint64_t index = 77;
    size_t size;
    scene_init(&s);
    char *text = fixture_read("ours.tlog-proof", &size);
    struct bytes file = bytes_of(text, size);
    assert_int_equal(
        tlog_proof_file_check(file, fixture_record(65001, room), &s.trust, &index, NULL, &why),
        ERR_DENIED);
    assert_int_equal(index, 77);
    assert_int_equal(
        tlog_proof_file_check(file, fixture_record(65000, room), &s.trust, &index, NULL, &why), OK);
    assert_int_equal(index, 65000);
    /* The same file that names another place; a hash of another byte. */
    char *place = strstr(text, "index 65000");
    assert_non_null(place);
    place[10] = '1';
    assert_int_equal(
        tlog_proof_file_check(file, fixture_record(65000, room), &s.trust, NULL, NULL, &why),
        ERR_DENIED);
    place[10] = '0';
    place[12] = place[12] == 'A' ? 'B' : 'A';
    assert_int_equal(
        tlog_proof_file_check(file, fixture_record(65000, room), &s.trust, NULL, NULL, &why),
        ERR_DENIED);
    free(text);
    free(s.note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_of_a_checkpoint),
        cmocka_unit_test(a_checkpoint_is_written_as_it_was_read),
        cmocka_unit_test(whom_a_checkpoint_is_believed),
        cmocka_unit_test(keys_overlap),
        cmocka_unit_test(one_witness_counts_once),
        cmocka_unit_test(a_changed_byte_is_never_believed),
        cmocka_unit_test(the_form_of_a_proof_file),
        cmocka_unit_test(caps_of_a_proof_file),
        cmocka_unit_test(a_proof_is_for_one_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
