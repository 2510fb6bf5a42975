#include "sidecar/audit/segment.h"

#include "base/crypto/crypto.h"

static const char magic[8] = "CHAPSPL";

enum {
    SEGMENT_VERSION = 1,
    HEADER_EPOCH = 136,
    HEADER_HASHED = 144,
    PREFIX_CAP = 2 + SEGMENT_SIDECAR_SIZE + 11 + 2 + SEGMENT_HASH_SIZE,
};

static void put_u64(uint8_t *out, uint64_t v)
{
    memcpy(out, &v, sizeof(v));
}

static uint64_t get_u64(const uint8_t *in)
{
    uint64_t v;
    memcpy(&v, in, sizeof(v));
    return v;
}

static uint32_t get_u32(const uint8_t *in)
{
    uint32_t v;
    memcpy(&v, in, sizeof(v));
    return v;
}

void segment_write_header(uint8_t *memory, const struct segment_info *info)
{
    const uint32_t words[] = {SEGMENT_VERSION, SEGMENT_HEADER_SIZE};
    memset(memory, 0, SEGMENT_HEADER_SIZE);
    memcpy(memory, magic, sizeof(magic));
    memcpy(memory + 8, words, sizeof(words));
    put_u64(memory + 16, info->size);
    put_u64(memory + 24, info->first);
    put_u64(memory + 32, info->salt);
    memcpy(memory + 40, info->previous, SEGMENT_HASH_SIZE);
    memcpy(memory + 72, info->sidecar, SEGMENT_SIDECAR_SIZE);
    put_u64(memory + HEADER_EPOCH, info->epoch);
    crypto_sha256_of(bytes_of(memory, HEADER_HASHED), memory + HEADER_HASHED);
}

enum err segment_read_header(struct bytes memory, struct segment_info *out)
{
    const uint32_t words[] = {SEGMENT_VERSION, SEGMENT_HEADER_SIZE};
    uint8_t hash[CRYPTO_SHA256_SIZE];
    if (memory.size < SEGMENT_HEADER_SIZE || memcmp(memory.data, magic, sizeof(magic)) != 0 ||
        memcmp(memory.data + 8, words, sizeof(words)) != 0) {
        return ERR_INVALID;
    }
    crypto_sha256_of(bytes_of(memory.data, HEADER_HASHED), hash);
    if (memcmp(hash, memory.data + HEADER_HASHED, sizeof(hash)) != 0) {
        return ERR_INVALID;
    }
    struct segment_info info = {.size = get_u64(memory.data + 16),
                                .first = get_u64(memory.data + 24),
                                .salt = get_u64(memory.data + 32),
                                .epoch = get_u32(memory.data + HEADER_EPOCH)};
    memcpy(info.previous, memory.data + 40, SEGMENT_HASH_SIZE);
    memcpy(info.sidecar, memory.data + 72, SEGMENT_SIDECAR_SIZE);
    if (info.sidecar[SEGMENT_SIDECAR_SIZE - 1] != '\0' || info.first == 0) {
        return ERR_INVALID;
    }
    *out = info;
    return OK;
}

void segment_hash(struct bytes record, uint8_t *out)
{
    static const uint8_t leaf = 0x00;
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, bytes_of(&leaf, 1));
    crypto_sha256_update(&hash, record);
    crypto_sha256_finish(&hash, out);
}

/* Also over the mark: a frame whose number is damaged must not pass for another one. */
static uint32_t check_of(const uint8_t *hash, uint64_t mark)
{
    return get_u32(hash) ^ (uint32_t)mark ^ (uint32_t)(mark >> 32);
}

void segment_commit(uint8_t *frame, size_t size, uint64_t mark, const uint8_t *hash)
{
    uint32_t check = check_of(hash, mark);
    memcpy(frame + 4, &check, sizeof(check));
    memcpy(frame + 8, &mark, sizeof(mark));
    /* Frames are aligned to 8 bytes in memory that is aligned to a page. */
    __atomic_store_n((uint32_t *)(void *)frame, (uint32_t)size, __ATOMIC_RELEASE);
}

/* All but the check. */
static enum segment_result read_place(struct bytes memory, const struct segment_info *info,
                                      size_t offset, uint64_t after, struct segment_frame *out)
{
    if (offset > memory.size || SEGMENT_FRAME_SIZE > memory.size - offset) {
        return SEGMENT_END;
    }
    const uint8_t *frame = memory.data + offset;
    size_t length = get_u32(frame);
    if (length == 0) {
        return SEGMENT_END;
    }
    size_t room = memory.size - offset - SEGMENT_FRAME_SIZE;
    uint64_t sequence = get_u64(frame + 8) ^ info->salt;
    /* No more sequence numbers than there are bytes for: rejects what only looks like a frame
     * before anything is hashed. */
    if (length > room || sequence <= after ||
        sequence - info->first > memory.size / SEGMENT_FRAME_MIN) {
        return SEGMENT_DAMAGED;
    }
    struct segment_frame f = {.sequence = sequence,
                              .record = bytes_of(frame + SEGMENT_FRAME_SIZE, length),
                              .next = offset + segment_frame_size(length)};
    if (f.next > memory.size) { /* the file was cut within what rounds it up */
        f.next = memory.size;
    }
    *out = f;
    return SEGMENT_FRAME;
}

enum segment_result segment_read(struct bytes memory, const struct segment_info *info,
                                 size_t offset, uint64_t after, struct segment_frame *out)
{
    struct segment_frame f;
    enum segment_result result = read_place(memory, info, offset, after, &f);
    if (result != SEGMENT_FRAME) {
        return result;
    }
    const uint8_t *frame = memory.data + offset;
    segment_hash(f.record, f.hash);
    f.is_checked = true;
    if (get_u32(frame + 4) != check_of(f.hash, get_u64(frame + 8))) {
        return SEGMENT_DAMAGED;
    }
    *out = f;
    return SEGMENT_FRAME;
}

bool segment_read_own(struct bytes memory, const struct segment_info *info, size_t offset,
                      uint64_t sequence, struct segment_frame *out)
{
    struct segment_frame f;
    if (read_place(memory, info, offset, sequence - 1, &f) != SEGMENT_FRAME ||
        f.sequence != sequence ||
        !segment_record_follows(f.record, info->sidecar, sequence, NULL)) {
        return false;
    }
    *out = f;
    return true;
}

enum segment_result segment_find(struct bytes memory, const struct segment_info *info,
                                 size_t offset, uint64_t after, struct segment_frame *out)
{
    enum segment_result here = segment_read(memory, info, offset, after, out);
    if (here == SEGMENT_FRAME) {
        return here;
    }
    for (size_t at = offset; at < memory.size && memory.size - at > SEGMENT_FRAME_SIZE;
         at += SEGMENT_ALIGNMENT) {
        if (get_u64(memory.data + at) != 0 &&
            segment_read(memory, info, at, after, out) == SEGMENT_FRAME) {
            return SEGMENT_FRAME;
        }
    }
    return here;
}

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}

/* Canonical bytes begin with sidecar, sequence and previous hash (fields 1 to 3), so the chain is
 * verified by comparing, without a parser. */
bool segment_record_follows(struct bytes record, const char *sidecar, uint64_t sequence,
                            const uint8_t *previous)
{
    uint8_t prefix[PREFIX_CAP];
    size_t length = strlen(sidecar);
    size_t n = 0;
    prefix[n++] = 1 << 3 | 2;
    prefix[n++] = (uint8_t)length;
    memcpy(prefix + n, sidecar, length);
    n += length;
    prefix[n++] = 2 << 3 | 0;
    n += put_varint(prefix + n, sequence);
    prefix[n++] = 3 << 3 | 2;
    prefix[n++] = SEGMENT_HASH_SIZE;
    if (previous != NULL) {
        memcpy(prefix + n, previous, SEGMENT_HASH_SIZE);
        n += SEGMENT_HASH_SIZE;
    }
    return record.size >= n && memcmp(record.data, prefix, n) == 0;
}

static void summary_add_gap(struct segment_summary *s, uint64_t first, uint64_t last)
{
    if (s->gap_count < SEGMENT_GAPS) {
        s->gaps[s->gap_count++] = (struct segment_gap){.first = first, .last = last};
    } else {
        s->gaps[SEGMENT_GAPS - 1].last = last;
    }
}

/* Bytes from `offset` to the last one that is not zero. */
static size_t used_behind(struct bytes memory, size_t offset)
{
    size_t end = memory.size;
    while (end > offset && memory.data[end - 1] == 0) {
        end--;
    }
    return end > offset ? end - offset : 0;
}

void segment_scan(struct bytes memory, const struct segment_info *info, struct segment_summary *out)
{
    struct segment_summary s = {.last = info->first - 1, .end = SEGMENT_HEADER_SIZE};
    struct segment_frame f;
    size_t at = SEGMENT_HEADER_SIZE; /* where reading goes on */
    uint64_t seen = s.last;          /* the last frame, also a rejected one */
    enum segment_result result;
    memcpy(s.hash, info->previous, SEGMENT_HASH_SIZE);
    while ((result = segment_find(memory, info, at, seen, &f)) == SEGMENT_FRAME) {
        bool adjacent = f.sequence == s.last + 1;
        at = f.next;
        seen = f.sequence;
        if (!segment_record_follows(f.record, info->sidecar, f.sequence,
                                    adjacent ? s.hash : NULL)) {
            continue; /* becomes part of the gap before the next one */
        }
        if (!adjacent) {
            summary_add_gap(&s, s.last + 1, f.sequence - 1);
        }
        s.last = f.sequence;
        s.end = f.next;
        memcpy(s.hash, f.hash, SEGMENT_HASH_SIZE);
    }
    s.maybe_more = seen - s.last;
    if (memory.size < info->size) {
        /* Cut off: what was behind cannot be known. */
        s.maybe_more += (info->size - at) / SEGMENT_FRAME_MIN + 1;
    } else if (result == SEGMENT_DAMAGED) {
        s.maybe_more += used_behind(memory, at) / SEGMENT_FRAME_MIN + 1;
    }
    *out = s;
}
