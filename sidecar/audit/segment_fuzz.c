/* Recovery reads whatever a broken disk left. The input says what the records are and which bytes
 * of the file are overwritten: a file of pure noise would fail at the first check. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/audit/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE = 4096, FIRST = 1000, PREFIX = 2 + 1 + 3 + 2 + SEGMENT_HASH_SIZE };

/* Canonical bytes: sidecar "x", sequence (two bytes as a varint), previous, and some more. */
static size_t make_record(uint8_t *out, uint64_t sequence, const uint8_t *previous, size_t more)
{
    const uint8_t head[] = {0x0a,
                            1,
                            'x',
                            0x10,
                            (uint8_t)(sequence | 0x80),
                            (uint8_t)(sequence >> 7),
                            0x1a,
                            SEGMENT_HASH_SIZE};
    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), previous, SEGMENT_HASH_SIZE);
    memset(out + sizeof(head) + SEGMENT_HASH_SIZE, 'm', more);
    return sizeof(head) + SEGMENT_HASH_SIZE + more;
}

static void check(const struct segment_info *info, const struct segment_summary *s, size_t used,
                  uint64_t written, bool is_whole)
{
    if (s->end > used || s->last + 1 < info->first || s->gap_count > SEGMENT_GAPS ||
        s->last > FIRST + SIZE) {
        abort();
    }
    uint64_t expected = info->first;
    for (size_t i = 0; i < s->gap_count; i++) {
        if (s->gaps[i].first < expected || s->gaps[i].last < s->gaps[i].first ||
            s->gaps[i].last >= s->last) {
            abort();
        }
        expected = s->gaps[i].last + 1;
    }
    /* Never more whole records than were written, and without damage exactly those. */
    if (s->last > written || (is_whole && (s->last != written || s->gap_count > 0))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(8) uint8_t memory[SIZE] = {0};
    struct segment_info info = {.size = SIZE, .first = FIRST, .salt = 0x0123456789abcdef};
    uint8_t previous[SEGMENT_HASH_SIZE] = {0};
    memcpy(info.sidecar, "x", 2);
    segment_write_header(memory, &info);
    size_t at = SEGMENT_HEADER_SIZE;
    uint64_t sequence = FIRST;
    size_t i = 0;
    size_t records = size > 0 ? data[i++] % 24 : 0;
    for (; records > 0 && i < size && at + SEGMENT_FRAME_SIZE + PREFIX + 256 < SIZE; records--) {
        uint8_t hash[SEGMENT_HASH_SIZE];
        uint8_t *room = memory + at + SEGMENT_FRAME_SIZE;
        size_t length = make_record(room, sequence, previous, data[i++]);
        segment_hash(bytes_of(room, length), hash);
        segment_commit(memory + at, length, info.salt ^ sequence, hash);
        memcpy(previous, hash, sizeof(hash));
        at += segment_frame_size(length);
        sequence++;
    }
    size_t used = SIZE;
    if (i + 2 <= size) {
        used = SIZE - (size_t)(data[i] << 8 | data[i + 1]) % (SIZE - SEGMENT_HEADER_SIZE + 1);
        i += 2;
    }
    bool is_whole = used == SIZE;
    for (; i + 3 <= size; i += 3) {
        memory[(size_t)(data[i] << 8 | data[i + 1]) % SIZE] ^= data[i + 2];
        is_whole = is_whole && data[i + 2] == 0;
    }
    uint8_t *exact = malloc(used); /* so that a read beyond it is seen */
    if (exact == NULL) {
        return 0;
    }
    memcpy(exact, memory, used);
    struct segment_summary summary;
    struct segment_info read;
    segment_scan(bytes_of(exact, used), &info, &summary);
    check(&info, &summary, used, sequence - 1, is_whole);
    if (segment_read_header(bytes_of(exact, used), &read) == OK &&
        memcmp(&read, &info, sizeof(read)) != 0) {
        abort();
    }
    free(exact);
    return 0;
}
