#include "base/rpc/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rpc/proto/rpc_health_descriptors.h"
#include "base/rpc/proto/rpc_reflection_descriptors.h"
#include "base/rpc/testing/rpc_imports_descriptors.h"

static struct descriptors *load(void)
{
    struct descriptors *d = descriptors_create();
    assert_non_null(d);
    assert_int_equal(
        descriptors_add(d, bytes_of(rpc_health_descriptors, rpc_health_descriptors_size)), OK);
    assert_int_equal(
        descriptors_add(d, bytes_of(rpc_imports_descriptors, rpc_imports_descriptors_size)), OK);
    return d;
}

static void test_finds_every_kind_of_symbol(void **state)
{
    (void)state;
    struct descriptors *d = load();
    int health = descriptors_find_file(d, "base/rpc/proto/health.proto");
    assert_int_not_equal(health, DESCRIPTORS_NONE);
    const char *const symbols[] = {
        "grpc.health.v1.Health",
        "grpc.health.v1.Health.Check",
        "grpc.health.v1.HealthCheckRequest",
        "grpc.health.v1.HealthCheckRequest.service",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
        "grpc.health.v1.HealthCheckResponse.NOT_SERVING", /* beside its enum */
    };
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        assert_int_equal(descriptors_find_symbol(d, symbols[i]), health);
    assert_int_equal(descriptors_find_symbol(d, "grpc.health.v1"), DESCRIPTORS_NONE);
    assert_int_equal(descriptors_find_symbol(d, "grpc.health.v1.Nothing"), DESCRIPTORS_NONE);
    assert_int_equal(descriptors_find_symbol(d, ""), DESCRIPTORS_NONE);
    descriptors_destroy(d);
}

static void test_overlapping_sets_count_once(void **state)
{
    (void)state;
    struct descriptors *d = load();
    size_t before = descriptors_file_count(d);
    assert_int_equal(
        descriptors_add(d, bytes_of(rpc_health_descriptors, rpc_health_descriptors_size)), OK);
    assert_int_equal(descriptors_file_count(d), before);
    descriptors_destroy(d);
}

static void test_closure_has_the_imports(void **state)
{
    (void)state;
    struct descriptors *d = load();
    int files[16];
    assert_true(descriptors_file_count(d) <= 16);
    int imports = descriptors_find_symbol(d, "chaperone.rpc.test.Extended");
    assert_int_equal(descriptors_closure(d, imports, files), 2);
    assert_int_equal(files[0], imports);
    assert_int_equal(files[1], descriptors_find_file(d, "base/rpc/testing/echo.proto"));
    assert_int_equal(descriptors_closure(d, files[1], files), 1);
    descriptors_destroy(d);
}

static void test_extensions(void **state)
{
    (void)state;
    struct descriptors *d = load();
    int file = descriptors_find_symbol(d, "chaperone.rpc.test.Extended");
    const char *type = "chaperone.rpc.test.Extended";
    assert_int_equal(descriptors_find_extension(d, type, 100), file);
    assert_int_equal(descriptors_find_extension(d, type, 101), file);
    assert_int_equal(descriptors_find_extension(d, type, 102), DESCRIPTORS_NONE);
    int32_t numbers[4] = {0};
    assert_int_equal(descriptors_extensions(d, type, numbers, 1), 2);
    assert_int_equal(numbers[1], 0); /* only as many as fit */
    assert_int_equal(descriptors_extensions(d, type, numbers, 4), 2);
    assert_int_equal(numbers[0] + numbers[1], 201);
    descriptors_destroy(d);
}

static void test_refuses_what_is_no_set(void **state)
{
    (void)state;
    struct descriptors *d = descriptors_create();
    assert_int_equal(descriptors_add(d, bytes_of("\x0a\x7f", 2)), ERR_INVALID);
    assert_int_equal(descriptors_add(d, bytes_of("\x0a\x01\xff", 3)), ERR_INVALID);
    /* A set cut anywhere is refused, or has only whole files. */
    for (size_t n = 0; n < rpc_reflection_descriptors_size; n++) {
        enum err e = descriptors_add(d, bytes_of(rpc_reflection_descriptors, n));
        assert_int_equal(e, n == 0 ? OK : ERR_INVALID);
    }
    assert_int_equal(descriptors_file_count(d), 0);
    descriptors_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_every_kind_of_symbol),
        cmocka_unit_test(test_overlapping_sets_count_once),
        cmocka_unit_test(test_closure_has_the_imports),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_refuses_what_is_no_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
