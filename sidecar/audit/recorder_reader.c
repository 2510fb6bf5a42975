/* What the uplink reads. */
#include <stdlib.h>

#include "sidecar/audit/recorder_internal.h"

void recorder_on_notice(struct recorder *r, void (*fn)(void *context), void *context)
{
    r->on_notice = fn;
    r->notice_context = context;
}

bool recorder_want_notice(struct recorder *r, uint64_t sequence)
{
    atomic_store(&r->notice_wanted, true);
    if (spool_committed(r->spool) > sequence) {
        atomic_store(&r->notice_wanted, false);
        return true;
    }
    return false;
}

bool recorder_is_fleet_awaited(const struct recorder *r)
{
    return atomic_load(&r->fleet_awaited) > 0;
}

void recorder_acknowledge(struct recorder *r, uint64_t sequence, const uint8_t *hash)
{
    spool_acknowledge(r->spool, sequence, hash);
    recorder_on_spool_change(r);
}

enum { BATCH_RECORDS = 2048 }; /* what the uplink asks for, at most */

struct recorder_reader {
    struct spool_reader *spool;
    struct bytes records[BATCH_RECORDS];
    uint64_t sequences[BATCH_RECORDS];
    uint8_t last_hash[RECORDER_HASH_SIZE];
};

enum err recorder_reader_create(struct recorder *r, uint64_t sequence, struct recorder_reader **out)
{
    struct recorder_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err result = spool_reader_create(r->spool, sequence, &reader->spool);
    if (result != OK) {
        free(reader);
        return result;
    }
    *out = reader;
    return OK;
}

void recorder_reader_destroy(struct recorder_reader *reader)
{
    if (reader != NULL) {
        spool_reader_destroy(reader->spool);
        free(reader);
    }
}

enum err recorder_reader_next(struct recorder_reader *reader, size_t max_count, size_t max_bytes,
                              struct recorder_batch *out)
{
    size_t count = 0;
    size_t bytes = 0;
    struct segment_frame f, last = {0};
    spool_reader_release(reader->spool);
    while (count < max_count && count < BATCH_RECORDS &&
           spool_reader_next(reader->spool, &f) == SPOOL_RECORD) {
        bool is_gap = count > 0 && f.sequence != reader->sequences[count - 1] + 1;
        if (is_gap || (count > 0 && f.record.size > max_bytes - bytes)) {
            spool_reader_unread(reader->spool);
            break;
        }
        reader->records[count] = f.record;
        reader->sequences[count] = f.sequence;
        count++;
        last = f;
        bytes += f.record.size;
        if (bytes >= max_bytes) {
            break;
        }
    }
    if (count == 0) {
        return ERR_NOT_FOUND;
    }
    if (!last.is_checked) {
        segment_hash(last.record, last.hash);
    }
    memcpy(reader->last_hash, last.hash, RECORDER_HASH_SIZE);
    *out = (struct recorder_batch){.records = reader->records,
                                   .sequences = reader->sequences,
                                   .count = count,
                                   .last_hash = reader->last_hash};
    return OK;
}

uint64_t recorder_reader_position(const struct recorder_reader *reader)
{
    return spool_reader_position(reader->spool);
}

enum err recorder_find_hash(struct recorder *r, uint64_t sequence, uint8_t *out)
{
    struct spool_reader *reader = NULL;
    struct segment_frame f;
    if (sequence == 0) {
        return ERR_NOT_FOUND;
    }
    if (spool_reader_create(r->spool, sequence - 1, &reader) != OK) {
        return ERR_UNAVAILABLE;
    }
    enum err result = ERR_NOT_FOUND;
    enum spool_read found = spool_reader_next(reader, &f);
    if (found == SPOOL_UNREADABLE) {
        result = ERR_UNAVAILABLE;
    } else if (found == SPOOL_RECORD && f.sequence == sequence && f.is_checked) {
        memcpy(out, f.hash, RECORDER_HASH_SIZE);
        result = OK;
    }
    spool_reader_destroy(reader);
    return result;
}

enum recorder_join recorder_joins(struct recorder *r, uint64_t sequence, const uint8_t *hash)
{
    struct spool_reader *reader = NULL;
    struct segment_frame f;
    enum recorder_join join = RECORDER_BROKEN;
    if (spool_reader_create(r->spool, sequence, &reader) != OK) {
        return RECORDER_UNREADABLE;
    }
    enum spool_read found = spool_reader_next(reader, &f);
    if (found == SPOOL_UNREADABLE) {
        join = RECORDER_UNREADABLE;
    } else if (found == SPOOL_RECORD) {
        join = segment_record_follows(f.record, r->sidecar, sequence + 1, hash) ? RECORDER_FOLLOWS
                                                                                : RECORDER_BROKEN;
    } else if (spool_committed(r->spool) == sequence) {
        join = RECORDER_NOTHING_NEW;
    }
    spool_reader_destroy(reader);
    return join;
}
