/* What the parts of the keeper share. */
#ifndef CHAPERONE_CONTROLPLANE_TLOG_KEEPER_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_TLOG_KEEPER_INTERNAL_H

#include <pthread.h>

#include "controlplane/tlog/keeper.h"
#include "controlplane/tlog/log_keys.h"
#include "controlplane/tlog/tile_directory.h"

enum {
    KEEPER_READ_MAX = 4096, /* hashes in one question to the store */
    KEEPER_WITNESSES_MAX = 32,
    KEEPER_BUNDLE_ENTRY = 2 + STORE_HASH_SIZE,
    KEEPER_BUNDLE_SIZE = TLOG_TILE_WIDTH * KEEPER_BUNDLE_ENTRY,
};

/* A tree head that was signed. */
struct keeper_head {
    uint64_t size; /* 0: none */
    struct tlog_hash root;
    int64_t time_ns;
};

/* How it goes with one witness. */
struct keeper_asked {
    uint64_t cosigned;     /* size of the newest checkpoint that it cosigned */
    int64_t not_before_ns; /* it failed: not asked again before (monotonic) */
    int64_t pause_ns;
    bool checked;     /* it was asked about what was signed before this process */
    bool contradicts; /* it has seen another tree, or a larger one */
    bool said;        /* in the log, that it does not sign */
};

struct keeper {
    struct keeper_options with;
    struct log_keys *keys;
    struct tile_directory *directory;
    char *signed_path; /* owned: data/log.signed */
    int lock_fd;
    keeper_report_fn *report;
    void *report_context;

    /* Of the thread alone. */
    struct arena *arena;                /* reset at each turn */
    struct tlog_grow *grow;             /* NULL: has to begin (again) */
    uint8_t bundle[KEEPER_BUNDLE_SIZE]; /* of the last, partial tile of level 0 */
    uint64_t flushed;                   /* all tiles of this size are on the disk */
    struct keeper_head head;            /* the newest that was signed; compared with the own tree */
    struct keeper_head seen[2]; /* of this directory's files: to be compared when it has grown */
    struct buffer note;         /* of `head`, with the cosignatures so far */
    size_t cosignatures;
    struct keeper_asked asked[KEEPER_WITNESSES_MAX];
    uint64_t swept;
    int64_t signed_at_ns; /* monotonic */
    uint64_t scrubbed;    /* tiles of level 0 that were compared in this pass */
    int64_t scrub_at_ns;  /* monotonic: the next pass */
    uint64_t halted_size; /* what was signed when it stopped for good */

    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* guards what follows, and `keys` */
    pthread_cond_t changed;
    bool stopping, suspect;
    struct keeper_status status;
    struct keeper_head published;
    struct buffer published_note;
};

void keeper_step(const struct keeper *k, const char *name);
/* Only the thread changes it. Logs a change. */
void keeper_set_state(struct keeper *k, enum keeper_state state, const char *detail);
/* Ends the signing for good, and records it once. `size` is what was signed. */
enum err keeper_halt(struct keeper *k, enum keeper_state state, uint64_t size, const char *detail);
void keeper_report_once(struct keeper *k, const char *kind, uint64_t size, const char *detail);

/* keeper_tree.c: the tree here. */
enum err keeper_tree_open(struct keeper *k, const struct keeper_head *head, struct err_text *why);
/* Adds the records that the store has beyond it. */
enum err keeper_tree_follow(struct keeper *k, struct err_text *why);
/* All of it is on the disk when it returns. */
enum err keeper_tree_flush(struct keeper *k, struct err_text *why);
/* The partial tiles of a smaller tree: of one that another control plane has signed, while the tree
 * here had grown beyond it. Who reads the checkpoint asks for exactly these. */
enum err keeper_tree_put_edge(struct keeper *k, uint64_t size, struct err_text *why);
/* The root that the tiles give for a tree of `size`, of what is flushed. */
enum err keeper_tree_root(struct keeper *k, uint64_t size, struct tlog_hash *out);
/* Makes all tiles of the records anew in memory and compares the root with `head`. ERR_DENIED: it
 * is another; else the files are replaced where they differ. */
enum err keeper_tree_repair(struct keeper *k, const struct keeper_head *head, struct err_text *why);
/* Compares some more tiles with the store's records. ERR_INVALID: one differs. */
enum err keeper_tree_scrub(struct keeper *k, struct err_text *why);
void keeper_tree_close(struct keeper *k);

/* keeper_check.c: compares what was signed with the tree here. */
/* The heads that the store and the files know; the tree goes on from them. */
enum err keeper_begin(struct keeper *k, struct err_text *why);
/* The store's newest checkpoint becomes `head`, when the tree here fits. */
enum err keeper_compare(struct keeper *k, struct err_text *why);

/* keeper_sign.c */
enum err keeper_sign(struct keeper *k, struct err_text *why);
/* Asks those that have not cosigned `head`. */
enum err keeper_ask_witnesses(struct keeper *k, struct err_text *why);
enum err keeper_publish(struct keeper *k, struct err_text *why);
/* Verifies a note of this log: signed by one of its keys, without asking for witnesses.
 * `out_cosigned` may be NULL. Borrows from the note. */
enum err keeper_open_note(struct keeper *k, struct bytes note, struct tlog_checkpoint *out,
                          size_t *out_cosigned, struct err_text *why);

#endif
