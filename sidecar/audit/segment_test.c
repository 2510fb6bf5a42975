#include "sidecar/audit/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"

enum { SIZE = 2048, RECORDS = 5 };

static const char sidecar[] = "0193a3c2-0000-7000-8000-000000000001";

struct image {
    _Alignas(8) uint8_t memory[SIZE];
    struct segment_info info;
    size_t ends[RECORDS]; /* offsets behind each record */
    uint8_t hashes[RECORDS][SEGMENT_HASH_SIZE];
};

static size_t append(struct image *m, size_t at, uint64_t sequence, uint8_t *previous)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    char text[32];
    (void)snprintf(text, sizeof(text), "record %llu", (unsigned long long)sequence);
    loss.reason = text;
    record.sidecar = (char *)(uintptr_t)sidecar;
    record.sequence = sequence;
    record.previous = (ProtobufCBinaryData){.data = previous, .len = SEGMENT_HASH_SIZE};
    record.time_unix_ns = 1;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    record.loss = &loss;
    uint8_t *room = m->memory + at + SEGMENT_FRAME_SIZE;
    size_t size = chaperone__v1__record__pack(&record, room);
    uint8_t hash[SEGMENT_HASH_SIZE];
    segment_hash(bytes_of(room, size), hash);
    segment_commit(m->memory + at, size, m->info.salt ^ sequence, hash);
    memcpy(previous, hash, sizeof(hash));
    return at + segment_frame_size(size);
}

static void make(struct image *m)
{
    memset(m, 0, sizeof(*m));
    m->info =
        (struct segment_info){.size = SIZE, .first = 100, .salt = 0x1122334455667788, .epoch = 3};
    memset(m->info.previous, 7, sizeof(m->info.previous));
    (void)snprintf(m->info.sidecar, sizeof(m->info.sidecar), "%s", sidecar);
    segment_write_header(m->memory, &m->info);
    uint8_t previous[SEGMENT_HASH_SIZE];
    memcpy(previous, m->info.previous, sizeof(previous));
    size_t at = SEGMENT_HEADER_SIZE;
    for (int i = 0; i < RECORDS; i++) {
        at = append(m, at, 100 + (uint64_t)i, previous);
        m->ends[i] = at;
        memcpy(m->hashes[i], previous, sizeof(previous));
    }
}

static void header_reads_back_and_rejects_every_flip(void **state)
{
    (void)state;
    struct image m;
    struct segment_info info;
    make(&m);
    assert_int_equal(segment_read_header(bytes_of(m.memory, SIZE), &info), OK);
    assert_int_equal(info.first, 100);
    assert_int_equal(info.epoch, 3);
    assert_int_equal(info.size, SIZE);
    assert_int_equal(info.salt, 0x1122334455667788);
    assert_string_equal(info.sidecar, sidecar);
    assert_memory_equal(info.previous, m.info.previous, SEGMENT_HASH_SIZE);
    for (size_t i = 0; i < 176; i++) {
        m.memory[i] ^= 0x10;
        assert_int_equal(segment_read_header(bytes_of(m.memory, SIZE), &info), ERR_INVALID);
        m.memory[i] ^= 0x10;
    }
    for (size_t size = 0; size < SEGMENT_HEADER_SIZE; size++) {
        assert_int_equal(segment_read_header(bytes_of(m.memory, size), &info), ERR_INVALID);
    }
}

static void scan_finds_all(void **state)
{
    (void)state;
    struct image m;
    struct segment_summary s;
    make(&m);
    segment_scan(bytes_of(m.memory, SIZE), &m.info, &s);
    assert_int_equal(s.last, 104);
    assert_int_equal(s.end, m.ends[4]);
    assert_int_equal(s.gap_count, 0);
    assert_int_equal(s.maybe_more, 0);
    assert_memory_equal(s.hash, m.hashes[4], SEGMENT_HASH_SIZE);
}

static void torn_append_is_no_record_and_no_loss(void **state)
{
    (void)state;
    struct image m;
    struct segment_summary s;
    make(&m);
    memset(m.memory + m.ends[3], 0, 4); /* everything of the frame but its length */
    segment_scan(bytes_of(m.memory, SIZE), &m.info, &s);
    assert_int_equal(s.last, 103);
    assert_int_equal(s.gap_count, 0);
    assert_int_equal(s.maybe_more, 0);
}

/* How many records a summary says are missing. */
static uint64_t missing(const struct segment_summary *s)
{
    uint64_t n = s->maybe_more;
    for (size_t i = 0; i < s->gap_count; i++) {
        n += s->gaps[i].last - s->gaps[i].first + 1;
    }
    return n;
}

static void every_flip_is_seen(void **state)
{
    (void)state;
    struct image m;
    struct segment_summary s;
    make(&m);
    for (size_t i = SEGMENT_HEADER_SIZE; i < m.ends[4]; i++) {
        for (int bit = 0; bit < 8; bit++) {
            m.memory[i] ^= (uint8_t)(1 << bit);
            segment_scan(bytes_of(m.memory, SIZE), &m.info, &s);
            size_t record = 0;
            while (i >= m.ends[record]) {
                record++;
            }
            bool is_padding = memcmp(s.hash, m.hashes[4], SEGMENT_HASH_SIZE) == 0 &&
                              s.gap_count == 0 && s.maybe_more == 0;
            if (!is_padding) {
                assert_true(missing(&s) > 0);
                if (record == RECORDS - 1) {
                    assert_int_equal(s.last, 103);
                } else {
                    /* Only the one that was hit; the others stay. */
                    assert_int_equal(s.last, 104);
                    assert_int_equal(s.gap_count, 1);
                    assert_int_equal(s.gaps[0].first, 100 + record);
                    assert_int_equal(s.gaps[0].last, 100 + record);
                }
            } else {
                /* Behind the record, in what rounds it up to eight bytes. */
                assert_true(i >= m.ends[record] - 7);
            }
            m.memory[i] ^= (uint8_t)(1 << bit);
        }
    }
}

static void every_truncation_is_seen(void **state)
{
    (void)state;
    struct image m;
    struct segment_summary s;
    make(&m);
    for (size_t size = SEGMENT_HEADER_SIZE; size < SIZE; size++) {
        uint8_t *exact = malloc(size); /* so that ASan sees a read beyond it */
        assert_non_null(exact);
        memcpy(exact, m.memory, size);
        segment_scan(bytes_of(exact, size), &m.info, &s);
        free(exact);
        assert_true(s.maybe_more > 0);
        assert_true(s.last + s.maybe_more >= 104);
        assert_true(s.end <= size);
    }
}

static void zeroed_page_in_the_middle_is_a_gap(void **state)
{
    (void)state;
    struct image m;
    struct segment_summary s;
    make(&m);
    memset(m.memory + m.ends[0], 0, m.ends[2] - m.ends[0]);
    segment_scan(bytes_of(m.memory, SIZE), &m.info, &s);
    assert_int_equal(s.last, 104);
    assert_int_equal(s.gap_count, 1);
    assert_int_equal(s.gaps[0].first, 101);
    assert_int_equal(s.gaps[0].last, 102);
}

static void record_of_another_chain_is_rejected(void **state)
{
    (void)state;
    struct image m;
    struct segment_summary s;
    make(&m);
    uint8_t foreign[SEGMENT_HASH_SIZE] = {1};
    (void)append(&m, m.ends[0], 101, foreign); /* whole, but does not continue record 100 */
    segment_scan(bytes_of(m.memory, SIZE), &m.info, &s);
    assert_int_equal(s.last, 104);
    assert_int_equal(s.gap_count, 1);
    assert_int_equal(s.gaps[0].first, 101);
    assert_int_equal(s.gaps[0].last, 101);
}

static void bytes_of_an_agent_are_never_taken_for_a_record(void **state)
{
    (void)state;
    struct image m;
    struct segment_frame f;
    make(&m);
    /* A statement's text that holds a frame as another spool would have written it. */
    struct image other;
    make(&other);
    size_t at = m.ends[4];
    uint8_t *record = m.memory + at + SEGMENT_FRAME_SIZE;
    size_t size = 512;
    other.info.salt ^= 0x5555;
    uint8_t previous[SEGMENT_HASH_SIZE] = {0};
    (void)append(&other, SEGMENT_HEADER_SIZE, 106, previous);
    memset(record, ' ', size);
    memcpy(record + 64, other.memory + SEGMENT_HEADER_SIZE, 200);
    uint8_t hash[SEGMENT_HASH_SIZE];
    segment_hash(bytes_of(record, size), hash);
    segment_commit(m.memory + at, size, m.info.salt ^ 105, hash);
    m.memory[at] ^= 1; /* damage: the scan goes through the text */
    assert_int_equal(segment_find(bytes_of(m.memory, SIZE), &m.info, at, 104, &f), SEGMENT_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_reads_back_and_rejects_every_flip),
        cmocka_unit_test(scan_finds_all),
        cmocka_unit_test(torn_append_is_no_record_and_no_loss),
        cmocka_unit_test(every_flip_is_seen),
        cmocka_unit_test(every_truncation_is_seen),
        cmocka_unit_test(zeroed_page_in_the_middle_is_a_gap),
        cmocka_unit_test(record_of_another_chain_is_rejected),
        cmocka_unit_test(bytes_of_an_agent_are_never_taken_for_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
