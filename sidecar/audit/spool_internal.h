/* What the parts of the spool share. */
#ifndef CHAPERONE_SIDECAR_AUDIT_SPOOL_INTERNAL_H
#define CHAPERONE_SIDECAR_AUDIT_SPOOL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "sidecar/audit/spool.h"

enum { SEGMENT_NAME_SIZE = 64 };

/* A file of the spool. Mapped while someone holds a reference. */
struct segment {
    struct segment *next; /* in the spool's list, oldest first */
    struct segment_info info;
    size_t size;         /* of the file */
    uint8_t *base;       /* NULL: not mapped */
    int fd;              /* -1: not open */
    unsigned references; /* writer, thread, readers; under the lock */
    bool listed, sealed; /* under the lock */
    bool has_clean_end;  /* nothing unreadable behind the last record */
    bool named_durably;  /* the directory was synced since it got its name; under the lock */
    uint64_t synced;     /* last number that is on the disk; under the lock */
    size_t populated;    /* offset up to which its pages were asked for; under the lock */
    /* Stored in this order: who has seen `last` finds its record before `end`. */
    _Atomic size_t end;    /* offset behind the last record */
    _Atomic uint64_t last; /* its number; info.first - 1: none */
};

struct spool {
    char sidecar[SEGMENT_SIDECAR_SIZE];
    int dir, lock_file;
    size_t segment_size;
    uint64_t cap;
    size_t reserve;
    struct clock clock;
    const struct log *log;
    struct spool_system system;
    void (*on_synced)(void *context);
    void *context;

    /* The writer's. */
    struct segment *active;
    uint64_t next;
    uint8_t previous[SEGMENT_HASH_SIZE];

    _Atomic uint64_t committed, synced, acknowledged;
    _Atomic int sync_state; /* enum err */
    _Atomic bool is_prepared;

    pthread_mutex_t lock;
    pthread_cond_t wake;          /* the thread's */
    pthread_cond_t prepared_wake; /* who waits for the file that is being made */
    pthread_t thread;
    bool thread_runs, stop;
    struct segment *first, *end_of_list;
    struct segment *prepared; /* the next one, without a header */
    bool is_preparing;
    enum err prepare_error; /* of the last attempt */
    int64_t prepare_failed_ns;
    uint64_t used; /* bytes of all files, the prepared one too */
    uint64_t sync_requested;
    int64_t sync_failed_ns;
    bool acknowledged_dirty;
    uint8_t acknowledged_hash[SEGMENT_HASH_SIZE];
    _Atomic uint32_t epoch; /* of the files that count */

    /* While the stream is given new numbers: where the writer was. Both copies may be there then,
     * whatever the cap says: a full spool must not stay full because of it. */
    bool is_rebasing; /* under the lock */
    struct segment *old_active;
    uint64_t old_next;
    uint8_t old_previous[SEGMENT_HASH_SIZE];
};

/* ---- spool_files.c: one file at a time ---- */

void segment_name(uint32_t epoch, uint64_t first, char *out);

/* Makes the file that will be the next segment. With the lock held, which it gives up in between.
 */
enum err segment_prepare(struct spool *s);
/* Gives the prepared file its header and name, and lists it. With the lock held. */
enum err segment_activate(struct spool *s, uint64_t first, const uint8_t *previous,
                          struct segment **out) MUST_USE;
/* With the lock held; maps when it is the first reference. */
enum err segment_hold(struct spool *s, struct segment *g) MUST_USE;
void segment_release(struct spool *s, struct segment *g);
/* Out of the list and off the disk. With the lock held. */
void segment_delete(struct spool *s, struct segment *g);
void segment_list_add(struct spool *s, struct segment *g);
void segment_destroy(struct segment *g); /* the memory, not the file */

/* The file that says what was acknowledged (the hash is zeros when it is not known), and which
 * epoch of files counts. */
struct acknowledged {
    uint64_t sequence;
    uint8_t hash[SEGMENT_HASH_SIZE];
    uint32_t epoch;
};

enum err acknowledged_read(int dir, struct acknowledged *out) MUST_USE;
/* What the spool knows. With the lock held, so that an older one never replaces a newer one. */
enum err acknowledged_write(struct spool *s) MUST_USE;

/* ---- spool_recover.c ---- */

/* Lists what is in the directory; sets next and previous. */
enum err spool_recover(struct spool *s, struct spool_losses *losses, struct err_text *why) MUST_USE;

/* ---- spool_window.c: which part of a file is in memory ---- */

/* Of a file that was just made. */
void window_begin(struct segment *g);
/* Nobody is expected to look at what is before `end` soon. */
void window_leave(const struct segment *g, size_t end);
/* Between these two ends of the active file it is time to tell the thread. */
bool window_is_passed(size_t before, size_t after);
/* With the lock held, which move gives up in between. */
bool window_is_due(const struct spool *s);
void window_move(struct spool *s);

/* ---- spool_thread.c ---- */

void *spool_thread(void *spool);

#endif
