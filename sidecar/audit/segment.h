/* The format of one file of the spool. Pure: memory in, memory out.
 *
 *   header   magic, version, sidecar, sequence and previous hash of the first record, a random
 *            salt, and a hash over all of it
 *   frame    u32 length, u32 check, u64 mark, the record's canonical bytes; to a multiple of 8
 *   frame    ...
 *   zeros
 *
 * The length is stored last: an append that a kill has torn has length 0 and is no record. The
 * check is the beginning of the record's hash, which is computed for the chain anyway, mixed with
 * the mark. The mark is salt XOR sequence: an agent that writes bytes that look like a frame into a
 * statement cannot know the salt, so a scan behind damage never takes them for a record.
 *
 * Numbers are in the machine's byte order: the files never leave it. */
#ifndef CHAPERONE_SIDECAR_AUDIT_SEGMENT_H
#define CHAPERONE_SIDECAR_AUDIT_SEGMENT_H

#include "base/bytes.h"

enum {
    SEGMENT_HEADER_SIZE = 192,
    SEGMENT_FRAME_SIZE = 16,
    SEGMENT_ALIGNMENT = 8,
    SEGMENT_HASH_SIZE = 32,
    SEGMENT_SIDECAR_SIZE = 64, /* with its terminator */
    /* Of a frame: a record has at least its previous hash in it. With it a number of bytes bounds a
     * number of records. */
    SEGMENT_FRAME_MIN = SEGMENT_FRAME_SIZE + 40,
    /* Damaged places in one file that are told apart; more are reported as one. */
    SEGMENT_GAPS = 16,
};

struct segment_info {
    uint32_t epoch;                      /* counts how often the stream was given new numbers */
    uint64_t size;                       /* of the file, as it was made */
    uint64_t first;                      /* sequence of its first record */
    uint64_t salt;                       /* random */
    uint8_t previous[SEGMENT_HASH_SIZE]; /* hash of the record before */
    char sidecar[SEGMENT_SIDECAR_SIZE];
};

void segment_write_header(uint8_t *memory, const struct segment_info *info);
/* ERR_INVALID when it is not a header of ours, or damaged. */
enum err segment_read_header(struct bytes memory, struct segment_info *out) MUST_USE;

/* Whether a record's canonical bytes say that it has this number and follows the record with the
 * hash `previous` (NULL: any). */
bool segment_record_follows(struct bytes record, const char *sidecar, uint64_t sequence,
                            const uint8_t *previous);

/* Hash of a record: the leaf hash of RFC 6962 section 2.1. */
void segment_hash(struct bytes record, uint8_t *out);

/* Bytes that a record of `size` bytes takes in a segment. */
static inline size_t segment_frame_size(size_t size)
{
    size_t all = SEGMENT_FRAME_SIZE + size;
    return (all + SEGMENT_ALIGNMENT - 1) / SEGMENT_ALIGNMENT * SEGMENT_ALIGNMENT;
}

/* Makes the record that was written at `frame + SEGMENT_FRAME_SIZE` one of the segment. */
void segment_commit(uint8_t *frame, size_t size, uint64_t mark, const uint8_t *hash);

struct segment_frame {
    uint64_t sequence;
    struct bytes record; /* borrowed from the memory */
    bool is_checked;     /* and `hash` is its hash */
    uint8_t hash[SEGMENT_HASH_SIZE];
    size_t next; /* offset behind it */
};

enum segment_result { SEGMENT_FRAME, SEGMENT_END, SEGMENT_DAMAGED };

/* The frame at `offset` (of a segment whose used bytes are `memory`), which must have a sequence
 * number behind `after`. SEGMENT_END: nothing was committed there. */
enum segment_result segment_read(struct bytes memory, const struct segment_info *info,
                                 size_t offset, uint64_t after, struct segment_frame *out) MUST_USE;
/* As segment_read, but passes over damage to the next frame that is whole. */
enum segment_result segment_find(struct bytes memory, const struct segment_info *info,
                                 size_t offset, uint64_t after, struct segment_frame *out) MUST_USE;

/* The frame at `offset` if it is the one with this number, without its check: for what this process
 * committed itself a moment ago, and whose hash it has made then. */
bool segment_read_own(struct bytes memory, const struct segment_info *info, size_t offset,
                      uint64_t sequence, struct segment_frame *out);

struct segment_gap {
    uint64_t first, last;
};

struct segment_summary {
    uint64_t last;                   /* sequence of the last whole record; info.first - 1: none */
    uint8_t hash[SEGMENT_HASH_SIZE]; /* its hash; info.previous when there is none */
    size_t end;                      /* offset behind it */
    struct segment_gap gaps[SEGMENT_GAPS]; /* records that are damaged, before `last` */
    size_t gap_count;
    /* Records behind `last` that may have been there: damaged ones cannot be counted. 0: the end is
     * clean. */
    uint64_t maybe_more;
};

/* Reads a whole segment and verifies every check and the chain. */
void segment_scan(struct bytes memory, const struct segment_info *info,
                  struct segment_summary *out);

#endif
