#include "cli/replay/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_where_a_url_leads(void **state)
{
    (void)state;
    struct sandbox_place place;
    struct err_text error;
    assert_int_equal(
        sandbox_find_place("postgres://ann:s%20x@db.example:6000/copy", &place, &error), OK);
    assert_string_equal(place.host, "db.example");
    assert_string_equal(place.port, "6000");
    assert_string_equal(place.database, "copy");
    assert_string_equal(place.user, "ann");
    sandbox_place_finish(&place);
    /* What is connected to, not what is written first. */
    assert_int_equal(
        sandbox_find_place("host=sandbox hostaddr=192.0.2.1 dbname=copy", &place, &error), OK);
    assert_string_equal(place.host, "192.0.2.1");
    assert_string_equal(place.port, "5432");
    assert_null(place.user);
    sandbox_place_finish(&place);
}

static void test_what_leads_to_more_than_one_place_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "copy",
                                        "mysql://h/copy",
                                        "postgres://h",
                                        "postgres:///copy",
                                        "postgres://u:secret@a,b/copy",
                                        "postgres://u:secret@h/copy?service=prod",
                                        "postgres://u:secret@h/copy?dbname=",
                                        "postgres://u:sec%ret@h/copy",
                                        "host=h password=secret"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct sandbox_place place = {0};
        struct err_text error = {0};
        assert_int_equal(sandbox_find_place(wrong[i], &place, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "--into"));
        assert_null(strstr(error.text, "sec"));
        assert_null(place.host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_a_url_leads),
        cmocka_unit_test(test_what_leads_to_more_than_one_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
