#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "api/audit.pb-c.h"
#include "controlplane/export/line.h"

static const struct config_export json_form = {.name = "j", .format = CONFIG_EXPORT_JSON};
static const struct config_export ocsf_form = {.name = "o", .format = CONFIG_EXPORT_OCSF};

static struct store_audit_entry entry_of(struct bytes canonical)
{
    return (struct store_audit_entry){.key = INT64_C(1800000000000000000),
                                      .position = 7,
                                      .received_ns = INT64_C(1800000001000000000),
                                      .sidecar = "s1",
                                      .sequence = 3,
                                      .hash = {0xab},
                                      .canonical = canonical,
                                      .kind = STORE_INTENT,
                                      .session = "0192",
                                      .identity = "bot",
                                      .on_behalf_of = "",
                                      .resource = "orders",
                                      .protocol = "postgres"};
}

/* Owned. */
static struct bytes make_intent(const char *text)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    record.sidecar = (char *)(uintptr_t) "s1";
    record.session = (char *)(uintptr_t) "0192";
    record.sequence = 3;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    intent.text.data = (uint8_t *)(uintptr_t)text;
    intent.text.len = strlen(text);
    size_t size = chaperone__v1__record__get_packed_size(&record);
    uint8_t *packed = malloc(size);
    assert_non_null(packed);
    (void)chaperone__v1__record__pack(&record, packed);
    return bytes_of(packed, size);
}

static cJSON *line_of(const struct config_export *config, const struct store_audit_entry *entry,
                      size_t max, enum export_omission expected)
{
    struct buffer out;
    enum export_omission omitted = EXPORT_REFUSED;
    buffer_init(&out, 8 << 20);
    assert_int_equal(export_line_append(config, entry, max, &out, &omitted), OK);
    assert_int_equal(omitted, expected);
    char *text = bytes_to_string(buffer_bytes(&out));
    assert_null(strchr(text, '\n')); /* one line, without its end */
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    free(text);
    buffer_finish(&out);
    return json;
}

static const char *text_in(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return text == NULL ? "" : text;
}

static void assert_omitted(cJSON *json, const char *why)
{
    assert_string_equal(text_in(json, "omitted"), why);
    assert_string_equal(text_in(json, "session"), "0192");
    assert_memory_equal(text_in(json, "hash"), "\\xab00", 6);
    assert_int_equal(cJSON_GetObjectItem(json, "position")->valueint, 7);
    cJSON_Delete(json);
}

static void a_record_is_one_line_whatever_its_text(void **state)
{
    (void)state;
    static const char text[] = "SELECT '\n\r\x1b[31m\xff \xc3\xa9 \"' -- ]";
    struct bytes canonical = make_intent(text);
    struct store_audit_entry entry = entry_of(canonical);
    cJSON *json = line_of(&json_form, &entry, SIZE_MAX, EXPORT_WHOLE);
    assert_non_null(strstr(text_in(json, "text"), "SELECT '\n\r\x1b[31m"));
    assert_int_equal(cJSON_GetObjectItem(json, "position")->valueint, 7);
    cJSON_Delete(json);
    json = line_of(&ocsf_form, &entry, SIZE_MAX, EXPORT_WHOLE);
    assert_int_equal(cJSON_GetObjectItem(json, "class_uid")->valueint, 6005);
    cJSON_Delete(json);
    free((void *)(uintptr_t)canonical.data);
}

static void what_is_not_shown_has_a_line_that_says_so(void **state)
{
    (void)state;
    struct store_audit_entry entry = entry_of(bytes_of(NULL, 0));
    entry.is_erased = true;
    assert_omitted(line_of(&json_form, &entry, SIZE_MAX, EXPORT_ERASED), "erased");
    cJSON *event = line_of(&ocsf_form, &entry, SIZE_MAX, EXPORT_ERASED);
    assert_int_equal(cJSON_GetObjectItem(event, "class_uid")->valueint, 0);
    cJSON_Delete(event);
    entry = entry_of(bytes_of_string("\xff\xff\xff not a record"));
    assert_omitted(line_of(&json_form, &entry, SIZE_MAX, EXPORT_UNREADABLE), "unreadable");
    cJSON_Delete(line_of(&ocsf_form, &entry, SIZE_MAX, EXPORT_UNREADABLE));
}

static void a_line_beyond_the_limit_is_another_one_that_fits(void **state)
{
    (void)state;
    char *text = malloc(100001);
    assert_non_null(text);
    memset(text, '"', 100000); /* each is two in JSON */
    text[100000] = '\0';
    struct bytes canonical = make_intent(text);
    struct store_audit_entry entry = entry_of(canonical);
    cJSON_Delete(line_of(&json_form, &entry, 300000, EXPORT_WHOLE));
    assert_omitted(line_of(&json_form, &entry, 150000, EXPORT_TOO_LARGE), "too_large");
    entry.identity = entry.resource = entry.on_behalf_of = text;
    struct buffer out;
    enum export_omission omitted = EXPORT_WHOLE;
    buffer_init(&out, 8 << 20);
    for (int i = 0; i < 2; i++) {
        buffer_clear(&out);
        assert_int_equal(
            export_line_append(i == 0 ? &json_form : &ocsf_form, &entry, 8192, &out, &omitted), OK);
        assert_int_equal(omitted, EXPORT_TOO_LARGE);
        assert_true(buffer_size(&out) < 6700); /* what the smallest syslog message has for it */
    }
    buffer_finish(&out);
    free(text);
    free((void *)(uintptr_t)canonical.data);
}

static void a_full_buffer_stays_as_it_was(void **state)
{
    (void)state;
    struct bytes canonical = make_intent("SELECT 1");
    struct store_audit_entry entry = entry_of(canonical);
    enum export_omission omitted = EXPORT_WHOLE;
    struct buffer out;
    buffer_init(&out, 100);
    assert_int_equal(buffer_append_string(&out, "before"), OK);
    assert_int_not_equal(export_line_append(&json_form, &entry, SIZE_MAX, &out, &omitted), OK);
    assert_int_equal(buffer_size(&out), 6);
    buffer_finish(&out);
    free((void *)(uintptr_t)canonical.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_whatever_its_text),
        cmocka_unit_test(what_is_not_shown_has_a_line_that_says_so),
        cmocka_unit_test(a_line_beyond_the_limit_is_another_one_that_fits),
        cmocka_unit_test(a_full_buffer_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
