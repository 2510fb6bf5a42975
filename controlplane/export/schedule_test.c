#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controlplane/export/schedule.h"

static const int64_t hour = INT64_C(3600) * 1000000000;

static void a_day_ends_at_its_time(void **state)
{
    (void)state;
    int64_t day = 24 * hour, offset = 2 * hour, monday = 100 * day + offset;
    assert_int_equal(export_schedule_last(day, offset, monday), monday);
    assert_int_equal(export_schedule_last(day, offset, monday - 1), monday - day);
    assert_int_equal(export_schedule_last(day, offset, monday + 23 * hour), monday);
    assert_int_equal(export_schedule_last(day, offset, monday + day), monday + day);
}

static void periods_are_the_same_for_everybody(void **state)
{
    (void)state;
    assert_int_equal(export_schedule_last(hour, 0, 7 * hour + 5), 7 * hour);
    assert_int_equal(export_schedule_last(hour, 0, 5), 0);
    assert_int_equal(export_schedule_last(24 * hour, 2 * hour, hour), -22 * hour);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_ends_at_its_time),
        cmocka_unit_test(periods_are_the_same_for_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
