#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controlplane/store/content.h"

struct fixture {
    struct content *content;
    struct arena *arena;
    struct buffer sealed;
    uint8_t key[CONTENT_KEY_SIZE], wrapped[CONTENT_WRAPPED_SIZE];
    uint8_t hash[STORE_HASH_SIZE];
};

static const uint8_t master[CONTENT_KEY_SIZE] = {1, 2, 3};
static const char session[] = "0192b5c0-0000-7000-8000-000000000001";

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    buffer_init(&f.sealed, 1 << 20);
    f.arena = arena_create(4096, 4 << 20);
    memset(f.hash, 7, sizeof(f.hash));
    assert_int_equal(content_create(bytes_of(master, sizeof(master)), &f.content), OK);
    assert_int_equal(content_key_make(f.content, bytes_of_string(session), f.key, f.wrapped), OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_finish(&f->sealed);
    arena_destroy(f->arena);
    content_destroy(f->content);
    return 0;
}

static void seal(struct fixture *f, struct bytes text)
{
    assert_int_equal(content_seal(f->content, f->key, f->hash, text, &f->sealed), OK);
    assert_int_equal(buffer_size(&f->sealed), text.size + CONTENT_OVERHEAD);
}

static enum err open_sealed(struct fixture *f, struct bytes *out)
{
    return content_open(f->content, f->key, f->hash, buffer_bytes(&f->sealed), f->arena, out);
}

static void test_what_was_sealed_is_opened(void **state)
{
    struct fixture *f = *state;
    struct bytes out;
    const struct bytes secret = bytes_of("select \0 secret", 15);
    seal(f, secret);
    assert_null(memmem(f->sealed.data, f->sealed.end, "secret", 6));
    assert_int_equal(open_sealed(f, &out), OK);
    assert_true(bytes_equal(out, secret));
    seal(f, bytes_of("", 0));
    assert_int_equal(open_sealed(f, &out), OK);
    assert_int_equal(out.size, 0);
}

static void test_equal_content_is_sealed_differently(void **state)
{
    struct fixture *f = *state;
    uint8_t first[5 + CONTENT_OVERHEAD];
    seal(f, bytes_of_string("equal"));
    memcpy(first, f->sealed.data + f->sealed.start, sizeof(first));
    seal(f, bytes_of_string("equal"));
    assert_memory_not_equal(first, f->sealed.data + f->sealed.start, sizeof(first));
}

/* The key that was used last is not taken for another, nor a nonce twice. */
static void test_keys_in_turn(void **state)
{
    enum { SEALED = 200, NONCE = 12 };
    static uint8_t nonces[SEALED][NONCE];
    struct fixture *f = *state;
    uint8_t other[CONTENT_KEY_SIZE], wrapped[CONTENT_WRAPPED_SIZE];
    struct bytes out;
    assert_int_equal(content_key_make(f->content, bytes_of_string(session), other, wrapped), OK);
    for (size_t i = 0; i < SEALED; i++) {
        const uint8_t *key = i % 3 == 0 ? f->key : other;
        const uint8_t *wrong = i % 3 == 0 ? other : f->key;
        assert_int_equal(
            content_seal(f->content, key, f->hash, bytes_of_string("equal"), &f->sealed), OK);
        memcpy(nonces[i], buffer_bytes(&f->sealed).data, NONCE);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(nonces[i], nonces[j], NONCE);
        }
        assert_int_equal(
            content_open(f->content, key, f->hash, buffer_bytes(&f->sealed), f->arena, &out), OK);
        assert_int_equal(
            content_open(f->content, wrong, f->hash, buffer_bytes(&f->sealed), f->arena, &out),
            ERR_DENIED);
        if (i % 5 == 0) {
            content_forget(f->content);
        }
    }
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct bytes out = {.size = 99};
    seal(f, bytes_of_string("select 1"));
    uint8_t *at = f->sealed.data + f->sealed.start;
    size_t size = buffer_size(&f->sealed);
    for (size_t bit = 0; bit < size * 8; bit++) {
        at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(open_sealed(f, &out), ERR_DENIED);
        at[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(
            content_open(f->content, f->key, f->hash, bytes_of(at, cut), f->arena, &out),
            ERR_DENIED);
    }
    assert_int_equal(out.size, 99);
    assert_int_equal(open_sealed(f, &out), OK);
}

static void test_content_of_one_record_is_not_that_of_another(void **state)
{
    struct fixture *f = *state;
    struct bytes out;
    uint8_t other[CONTENT_KEY_SIZE], wrapped[CONTENT_WRAPPED_SIZE];
    seal(f, bytes_of_string("select 1"));
    f->hash[31] ^= 1;
    assert_int_equal(open_sealed(f, &out), ERR_DENIED);
    f->hash[31] ^= 1;
    assert_int_equal(content_key_make(f->content, bytes_of_string(session), other, wrapped), OK);
    assert_memory_not_equal(other, f->key, sizeof(other));
    assert_int_equal(
        content_open(f->content, other, f->hash, buffer_bytes(&f->sealed), f->arena, &out),
        ERR_DENIED);
}

static void test_a_key_is_opened_only_in_its_place_and_with_its_master(void **state)
{
    struct fixture *f = *state;
    struct bytes wrapped = bytes_of(f->wrapped, sizeof(f->wrapped));
    struct bytes place = bytes_of_string(session);
    struct content *other = NULL, *none = NULL;
    uint8_t key[CONTENT_KEY_SIZE];
    assert_null(memmem(f->wrapped, sizeof(f->wrapped), f->key, sizeof(f->key)));
    assert_int_equal(content_key_open(f->content, place, wrapped, key), OK);
    assert_memory_equal(key, f->key, sizeof(key));
    assert_int_equal(content_key_open(f->content, bytes_of_string("another"), wrapped, key),
                     ERR_DENIED);
    wrapped.size--;
    assert_int_equal(content_key_open(f->content, place, wrapped, key), ERR_DENIED);
    wrapped.size++;
    static const uint8_t stranger[CONTENT_KEY_SIZE] = {9};
    assert_int_equal(content_create(bytes_of(stranger, sizeof(stranger)), &other), OK);
    assert_int_equal(content_key_open(other, place, wrapped, key), ERR_DENIED);
    content_destroy(other);
    assert_int_equal(content_create((struct bytes){0}, &none), OK);
    assert_int_equal(content_key_open(none, place, wrapped, key), ERR_DENIED);
    content_destroy(none);
}

static void test_a_master_has_one_size(void **state)
{
    (void)state;
    struct content *c = NULL;
    assert_int_equal(content_create(bytes_of(master, 16), &c), ERR_INVALID);
    assert_int_equal(content_create((struct bytes){0}, &c), OK);
    uint8_t key[CONTENT_KEY_SIZE], again[CONTENT_KEY_SIZE], wrapped[CONTENT_WRAPPED_SIZE];
    assert_int_equal(content_key_make(c, bytes_of_string("s"), key, wrapped), OK);
    assert_int_equal(
        content_key_open(c, bytes_of_string("s"), bytes_of(wrapped, sizeof(wrapped)), again), OK);
    assert_memory_equal(key, again, sizeof(key));
    assert_int_equal(content_key_make(c, bytes_of("", 0), key, wrapped), ERR_INVALID);
    content_destroy(c);
}

static void test_what_does_not_fit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer small;
    buffer_init(&small, CONTENT_OVERHEAD + 3);
    assert_int_equal(content_seal(f->content, f->key, f->hash, bytes_of("1234", 4), &small),
                     ERR_LIMIT);
    assert_int_equal(content_seal(f->content, f->key, f->hash, bytes_of("123", 3), &small), OK);
    buffer_finish(&small);
}

static void test_marks_are_opened_in_their_place_and_with_their_master(void **state)
{
    static const uint8_t stranger[CONTENT_KEY_SIZE] = {9};
    struct fixture *f = *state;
    struct content *other = NULL;
    struct buffer out;
    buffer_init(&out, 16);
    assert_int_equal(content_create(bytes_of(stranger, sizeof(stranger)), &other), OK);
    seal(f, bytes_of_string("a record between"));
    assert_int_equal(content_seal_marks(f->content, -5, bytes_of_string("marks"), &f->sealed), OK);
    struct bytes sealed = buffer_bytes(&f->sealed);
    assert_int_equal(sealed.size, 5 + CONTENT_OVERHEAD);
    assert_null(memmem(sealed.data, sealed.size, "marks", 5));
    assert_int_equal(content_open_marks(f->content, -5, sealed, &out), OK);
    assert_true(bytes_equal_string(buffer_bytes(&out), "marks"));
    assert_int_equal(content_open_marks(f->content, 5, sealed, &out), ERR_DENIED);
    assert_int_equal(content_open_marks(other, -5, sealed, &out), ERR_DENIED);
    assert_int_equal(content_open_marks(f->content, -5, bytes_of(sealed.data, 20), &out),
                     ERR_DENIED);
    for (size_t bit = 0; bit < sealed.size * 8; bit++) {
        f->sealed.data[f->sealed.start + bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(content_open_marks(f->content, -5, sealed, &out), ERR_DENIED);
        f->sealed.data[f->sealed.start + bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_int_equal(content_open_marks(f->content, -5, sealed, &out), OK);
    assert_int_equal(
        content_seal_marks(f->content, 1, bytes_of_string("more than sixteen bytes"), &f->sealed),
        OK);
    assert_int_equal(content_open_marks(f->content, 1, buffer_bytes(&f->sealed), &out), ERR_DENIED);
    buffer_finish(&out);
    content_destroy(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_sealed_is_opened),
        TEST(test_equal_content_is_sealed_differently),
        TEST(test_keys_in_turn),
        TEST(test_every_flipped_bit_is_noticed),
        TEST(test_content_of_one_record_is_not_that_of_another),
        TEST(test_a_key_is_opened_only_in_its_place_and_with_its_master),
        cmocka_unit_test(test_a_master_has_one_size),
        TEST(test_what_does_not_fit_is_refused),
        TEST(test_marks_are_opened_in_their_place_and_with_their_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
