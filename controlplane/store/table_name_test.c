#include "controlplane/store/table_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = arena_create(1024, 1 << 20);
    return *state == NULL;
}

static int teardown(void **state)
{
    arena_destroy(*state);
    return 0;
}

static struct table_name parse(struct arena *arena, const char *text)
{
    struct table_name name = {0};
    assert_int_equal(table_name_parse(bytes_of_string(text), arena, &name), OK);
    return name;
}

static void check(struct arena *arena, const char *text, const char *full, const char *last)
{
    struct table_name name = parse(arena, text);
    assert_true(bytes_equal_string(name.full, full));
    assert_true(bytes_equal_string(name.last, last));
}

static void test_every_way_to_write_it_gives_one_form(void **state)
{
    check(*state, "orders", "orders", "orders");
    check(*state, "Public.ORDERS", "public.orders", "orders");
    check(*state, "\"public\" . \"Orders\"", "public.orders", "orders");
    check(*state, "`shop`.`orders`", "shop.orders", "orders");
    check(*state, "\"a.b\".c", "\"a.b\".c", "c");
    check(*state, "c.\"a \"\"b\"\".d\"", "c.\"a \"\"b\"\".d\"", "a \"b\".d");
    check(*state,
          "s.gr\xc3\xb6\xc3\x9f"
          "e$1",
          "s.gr\xc3\xb6\xc3\x9f"
          "e$1",
          "gr\xc3\xb6\xc3\x9f"
          "e$1");
}

static void test_odd_bytes_give_some_name(void **state)
{
    struct table_name name;
    check(*state, "\"open", "open", "open");
    check(*state, "a..b.", "a.b", "b");
    check(*state, "?.?", "\"?\".\"?\"", "?");
    check(*state, "\xff\xfe", "\xff\xfe", "\xff\xfe");
    assert_int_equal(table_name_parse(bytes_of("", 0), *state, &name), ERR_INVALID);
    assert_int_equal(table_name_parse(bytes_of(" ..\"\"", 5), *state, &name), ERR_INVALID);
}

static bool same(struct arena *arena, const char *a, const char *b)
{
    struct table_name x = parse(arena, a), y = parse(arena, b);
    assert_int_equal(table_name_is_same(x.full, y.full), table_name_is_same(y.full, x.full));
    return table_name_is_same(x.full, y.full);
}

static void test_the_common_tail_decides(void **state)
{
    assert_true(same(*state, "orders", "public.orders"));
    assert_true(same(*state, "public.orders", "public.orders"));
    assert_true(same(*state, "db.public.orders", "public.orders"));
    assert_false(same(*state, "sales.orders", "public.orders"));
    assert_false(same(*state, "orders", "public.reorders"));
    assert_false(same(*state, "b", "\"a.b\""));
    assert_true(same(*state, "\"a.b\"", "x.\"a.b\""));
    assert_false(same(*state, "b", "\"a\"\".b\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_way_to_write_it_gives_one_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_bytes_give_some_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_common_tail_decides, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
