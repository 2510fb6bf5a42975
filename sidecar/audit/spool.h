/* The spool: segment files beside the sidecar that records are appended to without a system call.
 *
 * A segment is preallocated (so that a full disk shows when it is made, and not as SIGBUS) and
 * mapped shared: an append is a copy into the page cache, which survives kill -9. A thread calls
 * fdatasync for those who wait for it, and makes the next segment before it is needed.
 *
 * Invariants: one process has the directory (flock); a segment is deleted only when the control
 * plane has acknowledged its last record, or when it was copied by a rebase; files do not exceed
 * the cap but during one.
 *
 * Threads: open, close, reserve, commit and start_segment belong to the writer (the loop's
 * thread); the rest may be called from any thread. A reader belongs to one thread at a time. */
#ifndef CHAPERONE_SIDECAR_AUDIT_SPOOL_H
#define CHAPERONE_SIDECAR_AUDIT_SPOOL_H

#include <sys/types.h>

#include "base/clock.h"
#include "base/log.h"
#include "sidecar/audit/segment.h"

struct spool;

/* The system calls that fail when a disk does, or when there is no memory, as an argument. The
 * first two return 0 or an errno; map returns what mmap does, of all of the file and shared. */
struct spool_system {
    int (*allocate)(void *context, int fd, off_t size);
    int (*sync)(void *context, int fd);
    void *(*map)(void *context, int fd, size_t size, int protection);
    void *context;
};

struct spool_system spool_system_real(void);

enum {
    SPOOL_LOSSES = 32,
    /* Kept free for outcomes and the ends of sessions when intents are refused already: a thousand
     * ordinary ones. At most a quarter of a segment. */
    SPOOL_RESERVE = 1 << 20,
};

struct spool_options {
    const char *dir;
    const char *sidecar;
    size_t segment_size;
    uint64_t cap;
    const struct clock *clock; /* borrowed */
    const struct log *log;     /* borrowed; may be NULL */
    struct spool_system system;
    /* On the spool's thread: more is synced, or syncing failed or works again. */
    void (*on_synced)(void *context);
    void *context;
};

/* What opening found to be lost. */
struct spool_loss {
    uint64_t first, last;
    const char *reason; /* static */
};

struct spool_losses {
    struct spool_loss all[SPOOL_LOSSES];
    size_t count;
};

/* Returns owned. See recorder_open for the errors. */
enum err spool_open(const struct spool_options *options, struct spool **out,
                    struct spool_losses *out_losses, struct err_text *why) MUST_USE;
/* Syncs, and writes down what was acknowledged. Takes NULL. */
void spool_close(struct spool *spool);

/* Room for a record of `size` bytes; valid until commit or the next reserve. A privileged record
 * may use the reserve. ERR_FULL, ERR_IO, ERR_LIMIT. */
enum err spool_reserve(struct spool *spool, size_t size, bool privileged, uint8_t **out) MUST_USE;
/* The record was written where reserve said. It gets the number of spool_next. */
void spool_commit(struct spool *spool, size_t size, const uint8_t *hash);
/* The number of the next record, and the hash of the one before it (borrowed, the writer's). */
uint64_t spool_next(const struct spool *spool, const uint8_t **out_previous);
/* Goes on with another number behind another record, in a new segment. */
enum err spool_start_segment(struct spool *spool, uint64_t first, const uint8_t *previous) MUST_USE;

/* Gives what is not acknowledged new numbers, from `first` on behind `previous`, in new files:
 * after begin the writer writes there, while a reader made before still reads the old files. Commit
 * is atomic, also against a kill: either the old files count or the new ones. Begin and commit may
 * fail; after abort everything is as it was before begin. */
enum err spool_rebase_begin(struct spool *spool, uint64_t first, const uint8_t *previous) MUST_USE;
enum err spool_rebase_commit(struct spool *spool) MUST_USE;
void spool_rebase_abort(struct spool *spool);

size_t spool_record_cap(const struct spool *spool);

uint64_t spool_committed(const struct spool *spool); /* last number; 0: none */
uint64_t spool_synced(const struct spool *spool);
uint64_t spool_acknowledged(const struct spool *spool);
enum err spool_sync_state(const struct spool *spool); /* OK, or that the last sync failed */
uint64_t spool_used(struct spool *spool);             /* bytes on disk */

/* Asks the thread to sync up to this number, or to try again after a failure. */
void spool_request_sync(struct spool *spool, uint64_t sequence);
void spool_acknowledge(struct spool *spool, uint64_t sequence, const uint8_t *hash);

struct spool_reader;

/* A reader reads the files there are now and those that follow, but not those of a rebase. */
enum err spool_reader_create(struct spool *spool, uint64_t after,
                             struct spool_reader **out) MUST_USE;
void spool_reader_destroy(struct spool_reader *reader); /* takes NULL */
enum spool_read {
    SPOOL_RECORD,
    SPOOL_NOTHING, /* more now */
    /* A file that is there cannot be opened or mapped now: no memory, no descriptors. What is in it
     * is not lost; the reader stays where it is, and may be asked again. */
    SPOOL_UNREADABLE,
};

/* The next whole record; damage is passed over, but for what was committed since the reader is
 * there (spool_reader.c). It is borrowed until spool_reader_release, which also lets go of files
 * that were read to their end. */
enum spool_read spool_reader_next(struct spool_reader *reader, struct segment_frame *out) MUST_USE;
uint64_t spool_reader_position(const struct spool_reader *reader);
void spool_reader_release(struct spool_reader *reader);
/* The record that next gave will be given again. */
void spool_reader_unread(struct spool_reader *reader);

#endif
