/* Published examples, and the same with one thing wrong. */
#include "sidecar/masking/checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef bool check_fn(struct bytes text);

static const struct {
    check_fn *check;
    const char *right, *wrong;
} cases[] = {
    {check_luhn, "79927398713", "79927398710"},
    {check_luhn, "0", ""},
    {check_luhn, "00", "0a"},
    {check_card, "5555555555554444", "5555555555554445"},
    {check_card, "2223003122003222", "1111111111111117"},
    {check_card, "4222222222222", "422222222222"},
    {check_iban, "CH9300762011623852957", "CH9300762011623852958"},
    {check_iban, "FR1420041010050500013M02606", "FR1420041010050500013M0260"},
    {check_iban, "no9386011117947", "XX9386011117947"},
    {check_ssn, "899999999", "900123456"},
    {check_ssn, "665010001", "666010001"},
    {check_ssn, "001010001", "001000001"},
    {check_dni, "00000000T", "00000000R"},
    {check_dni, "Y0000000Z", "W0000000Z"},
    {check_codice_fiscale, "MRTMTT91D08F205J", "MRTMTT91D08F205K"},
    {check_steuer_id, "86095742719", "12345678901"},
    {check_ahv, "7569217076985", "7559217076985"},
};

static void right_and_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!cases[i].check(bytes_of_string(cases[i].right))) {
            fail_msg("%s is right", cases[i].right);
        }
        if (cases[i].check(bytes_of_string(cases[i].wrong))) {
            fail_msg("%s is wrong", cases[i].wrong);
        }
    }
}

/* No check accepts what is empty, or reads beyond a short text. */
static void short_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(cases[i].check(bytes_of("", 0)));
    }
    assert_int_equal(check_iban_length(bytes_of("D", 1)), 0);
    assert_int_equal(check_iban_length(bytes_of("DE", 2)), 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_and_wrong),
        cmocka_unit_test(short_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
