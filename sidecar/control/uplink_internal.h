/* What the parts of the uplink share. */
#ifndef CHAPERONE_SIDECAR_CONTROL_UPLINK_INTERNAL_H
#define CHAPERONE_SIDECAR_CONTROL_UPLINK_INTERNAL_H

#include <pthread.h>

#include "sidecar/control/backoff.h"
#include "sidecar/control/uplink.h"

struct uplink_batch {
    uint64_t last;
    uint8_t hash[RECORDER_HASH_SIZE];
};

struct uplink {
    struct recorder *recorder;
    const struct log *log;
    struct mail *mail; /* letters to the loop's thread */
    pthread_t thread;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    bool stop;
    bool noticed;          /* there are new records, or someone is in a hurry */
    struct tunnel *tunnel; /* NULL: none yet */
    unsigned generation;   /* counts the tunnels */
    bool shipping, diverged;

    bool resumed; /* a Resume was answered */
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];
    uint64_t resume_sequence;
    uint8_t resume_hash[RECORDER_HASH_SIZE];
    bool has_resumed; /* once in this process; the uplink's thread */
    unsigned turn;    /* counts the errands to the loop's thread */
    bool has_joined;  /* it has answered */
    enum err joined;

    bool ended;                                   /* the stream */
    struct uplink_batch under_way[UPLINK_WINDOW]; /* a ring */
    unsigned first, count;
    uint64_t sent, acknowledged;
    bool is_needed;      /* the uplink's thread waits for an answer, or for room in the stream */
    int64_t progress_ms; /* when an answer came last, or the first unanswered batch went */
};

int64_t uplink_now_ms(void);
/* Until woken or `ms` passed (-1: without end). With the lock held. */
void uplink_wait(struct uplink *u, int ms);
/* With the lock held: what is under way on this tunnel should stop. */
static inline bool uplink_is_over(const struct uplink *u, unsigned generation)
{
    return u->stop || u->generation != generation;
}

/* uplink_resume.c: asks where to go on and brings both sides together; false: try again later. */
bool uplink_resume(struct uplink *u, struct tunnel *tunnel, unsigned generation,
                   uint64_t *out_sequence);
/* uplink_ship.c: ships until the stream ends. */
void uplink_ship(struct uplink *u, struct tunnel *tunnel, unsigned generation, uint64_t sequence);

#endif
