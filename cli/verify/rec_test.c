#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/writer.h"
#include "cli/verify/rec.h"

/* What was given out, as text. */
struct seen {
    struct buffer text;
    enum err answer;
};

static enum err on_item(void *context, const struct rec_item *item)
{
    struct seen *s = context;
    bool erased = item->canonical.size == 0;
    assert_int_equal(item->hash.size, erased ? REC_HASH_SIZE : 0);
    assert_int_equal(
        buffer_append_format(&s->text, "%llu:%s%.*s;", (unsigned long long)item->position,
                             erased ? "!" : "", erased ? 4 : (int)item->canonical.size,
                             (const char *)(erased ? item->hash.data : item->canonical.data)),
        OK);
    return s->answer;
}

static void put(struct buffer *out, uint64_t position, const char *body, bool erased)
{
    struct writer w = writer_start(out);
    writer_put_u32(&w, (uint32_t)(position >> 32));
    writer_put_u32(&w, (uint32_t)position);
    writer_put_u32(&w, erased ? 0 : (uint32_t)strlen(body));
    writer_put_bytes(&w, bytes_of_string(body));
    assert_int_equal(writer_finish(&w), OK);
}

static void make(struct buffer *out)
{
    buffer_init(out, 4096);
    put(out, 1, "one", false);
    put(out, UINT64_C(0x100000002), "two, which is longer", false);
    put(out, 3, "HASH.6789012345678901234567890..", true);
    put(out, 4, "x", false);
}

static const char expected[] = "1:one;4294967298:two, which is longer;3:!HASH;4:x;";

static enum err feed(struct bytes file, size_t first, size_t second, struct seen *s)
{
    struct rec_reader reader;
    rec_init(&reader, on_item, s);
    enum err e = rec_feed(&reader, bytes_of(file.data, first));
    e = e == OK ? rec_feed(&reader, bytes_of(file.data + first, second - first)) : e;
    e = e == OK ? rec_feed(&reader, bytes_of(file.data + second, file.size - second)) : e;
    enum err ended = rec_end(&reader);
    rec_finish(&reader);
    return e == OK ? ended : e;
}

static void test_the_same_at_every_split(void **state)
{
    (void)state;
    struct buffer file;
    make(&file);
    for (size_t first = 0; first <= buffer_size(&file); first++) {
        for (size_t second = first; second <= buffer_size(&file); second++) {
            struct seen s = {.answer = OK};
            buffer_init(&s.text, 4096);
            assert_int_equal(feed(buffer_bytes(&file), first, second, &s), OK);
            assert_true(bytes_equal_string(buffer_bytes(&s.text), expected));
            buffer_finish(&s.text);
        }
    }
    buffer_finish(&file);
}

static void test_cut_off_in_a_record(void **state)
{
    (void)state;
    struct buffer file;
    make(&file);
    static const size_t whole[] = {0, 15, 47, 91, 104};
    for (size_t n = 0, next = 0; n <= buffer_size(&file); n++) {
        struct seen s = {.answer = OK};
        buffer_init(&s.text, 4096);
        bool is_whole = n == whole[next];
        next += is_whole ? 1 : 0;
        assert_int_equal(feed(bytes_of(buffer_bytes(&file).data, n), n, n, &s),
                         is_whole ? OK : ERR_INVALID);
        buffer_finish(&s.text);
    }
    buffer_finish(&file);
}

static void test_sizes_and_positions_that_no_record_has(void **state)
{
    (void)state;
    static const uint8_t heads[][12] = {
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
        {0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255},
        {0, 0, 0, 0, 0, 0, 0, 1, 0, 16, 0, 1},
        {128, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1},
        {255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1},
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct seen s = {.answer = OK};
        assert_int_equal(feed(bytes_of(heads[i], sizeof(heads[i])), 5, 12, &s), ERR_INVALID);
    }
}

static void test_it_stops_when_it_is_told_to(void **state)
{
    (void)state;
    struct buffer file;
    struct seen s = {.answer = ERR_LIMIT};
    make(&file);
    buffer_init(&s.text, 4096);
    assert_int_equal(feed(buffer_bytes(&file), 0, 0, &s), ERR_LIMIT);
    assert_true(bytes_equal_string(buffer_bytes(&s.text), "1:one;"));
    buffer_finish(&s.text);
    buffer_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_at_every_split),
        cmocka_unit_test(test_cut_off_in_a_record),
        cmocka_unit_test(test_sizes_and_positions_that_no_record_has),
        cmocka_unit_test(test_it_stops_when_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
