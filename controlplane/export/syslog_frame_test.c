#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/export/syslog_frame.h"

static const struct store_audit_entry plain = {
    .key = INT64_C(1793212800123456789),
    .position = 12,
    .sequence = 3,
    .kind = STORE_INTENT,
    .sidecar = "s1",
    .session = "0192",
    .identity = "bot",
    .on_behalf_of = "",
    .resource = "orders",
    .protocol = "postgres",
};

/* The message without its count, which is checked; owned. */
static char *message_of(const struct store_audit_entry *entry, struct bytes text)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(syslog_frame_append(13, "host", entry, text, &out), OK);
    char *frame = bytes_to_string(buffer_bytes(&out));
    char *rest = NULL;
    unsigned long count = strtoul(frame, &rest, 10);
    assert_int_equal(*rest, ' ');
    assert_int_equal(count, buffer_size(&out) - (size_t)(rest + 1 - frame));
    char *message = strdup(rest + 1);
    buffer_finish(&out);
    free(frame);
    return message;
}

static void a_message_has_the_parts_of_rfc_5424(void **state)
{
    (void)state;
    char *m = message_of(&plain, bytes_of_string("{\"a\":1}"));
    assert_string_equal(m, "<110>1 2026-10-28T18:40:00.123456Z host chaperone - intent "
                           "[chaperone@32473 position=\"12\" sequence=\"3\" sidecar=\"s1\" "
                           "session=\"0192\" identity=\"bot\" resource=\"orders\"] {\"a\":1}");
    free(m);
}

static void what_has_a_meaning_in_structured_data_is_escaped(void **state)
{
    (void)state;
    struct store_audit_entry e = plain;
    e.identity = "a\"b\\c]d";
    e.resource = "x\ny\x1b\x7f\xff\xc2\x9bz\xc3\xa9\xe2\x82";
    char *m = message_of(&e, bytes_of_string("{}"));
    assert_non_null(strstr(m, "identity=\"a\\\"b\\\\c\\]d\" "));
    assert_non_null(strstr(m, "resource=\"x?y????z\xc3\xa9??\"]"));
    free(m);
}

static void long_names_are_cut_and_stay_within_the_header(void **state)
{
    (void)state;
    char name[1001];
    memset(name, ']', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct store_audit_entry e = plain;
    e.identity = e.resource = e.sidecar = e.session = name;
    char *m = message_of(&e, bytes_of_string("T"));
    assert_true(strlen(m) < SYSLOG_HEADER_MAX);
    assert_non_null(strstr(m, "\\]...\" identity="));
    free(m);
}

static void a_cut_name_ends_with_a_whole_character_or_a_mark(void **state)
{
    (void)state;
    char name[202];
    for (size_t i = 0; i < 200; i += 2) {
        memcpy(name + 1 + i, "\xc3\xa9", 2);
    }
    name[0] = 'x';
    name[201] = '\0';
    struct store_audit_entry e = plain;
    e.identity = name;
    char *m = message_of(&e, bytes_of_string("T"));
    assert_non_null(strstr(m, "\xc3\xa9?...\" resource="));
    free(m);
}

static void only_text_beyond_ascii_has_the_mark(void **state)
{
    (void)state;
    char *ascii = message_of(&plain, bytes_of_string("{\"a\":\"b\"}"));
    assert_null(strstr(ascii, "\xef\xbb\xbf"));
    free(ascii);
    char *other = message_of(&plain, bytes_of_string("{\"a\":\"\xc3\xa9\"}"));
    assert_non_null(strstr(other, "] \xef\xbb\xbf{\"a\":\"\xc3\xa9\"}"));
    free(other);
}

static void lines_ends_do_not_end_a_frame(void **state)
{
    (void)state;
    char *m = message_of(&plain, bytes_of_string("a\nb\r\n"));
    assert_non_null(strstr(m, "] a\nb\r\n"));
    free(m);
}

static void the_kind_gives_the_severity(void **state)
{
    (void)state;
    struct store_audit_entry e = plain;
    e.kind = STORE_FINDING;
    char *m = message_of(&e, bytes_of_string("{}"));
    assert_memory_equal(m, "<108>1 ", 7);
    free(m);
    assert_int_equal(syslog_severity(STORE_ACTION), SYSLOG_NOTICE);
    assert_int_equal(syslog_severity(STORE_LOSS), SYSLOG_WARNING);
    assert_int_equal(syslog_severity(STORE_OUTCOME), SYSLOG_INFO);
}

static void a_full_buffer_holds_whole_frames_only(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 300);
    assert_int_equal(syslog_frame_append(13, "h", &plain, bytes_of_string("{}"), &out), OK);
    size_t size = buffer_size(&out);
    assert_int_equal(syslog_frame_append(13, "h", &plain, bytes_of_string("{}"), &out), ERR_LIMIT);
    assert_int_equal(buffer_size(&out), size);
    buffer_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_has_the_parts_of_rfc_5424),
        cmocka_unit_test(what_has_a_meaning_in_structured_data_is_escaped),
        cmocka_unit_test(long_names_are_cut_and_stay_within_the_header),
        cmocka_unit_test(a_cut_name_ends_with_a_whole_character_or_a_mark),
        cmocka_unit_test(only_text_beyond_ascii_has_the_mark),
        cmocka_unit_test(lines_ends_do_not_end_a_frame),
        cmocka_unit_test(the_kind_gives_the_severity),
        cmocka_unit_test(a_full_buffer_holds_whole_frames_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
