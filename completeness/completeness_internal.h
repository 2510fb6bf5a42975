/* What the two halves of the check share: streams and sessions. */
#ifndef CHAPERONE_COMPLETENESS_COMPLETENESS_INTERNAL_H
#define CHAPERONE_COMPLETENESS_COMPLETENESS_INTERNAL_H

#include "api/audit.pb-c.h"
#include "base/crypto/crypto.h"
#include "completeness/completeness.h"

enum fact_kind {
    FACT_OTHER,
    FACT_OPENED,
    FACT_CLOSED,
    FACT_INTENT,
    FACT_RELEASED, /* people agreed to a held operation */
    FACT_OUTCOME,
    FACT_HEARTBEAT,
    FACT_LOSS,
    FACT_ERASED,
};

/* What is needed of a record that waits for its turn. */
struct fact {
    uint64_t sequence;
    int64_t time_ns;
    uint8_t previous[CRYPTO_SHA256_SIZE], hash[CRYPTO_SHA256_SIZE];
    enum fact_kind kind;
    char session[COMPLETENESS_ID_SIZE];
    uint64_t operation;
    bool is_forwarded;               /* of an intent: it went to the target at once */
    bool is_refused;                 /* of an opening: there is no session */
    bool is_signed;                  /* of a heartbeat: by `key` */
    uint8_t key[CRYPTO_SHA256_SIZE]; /* its hash */
    uint32_t open_sessions;
    uint64_t lost_first, lost_last;
};

/* A sidecar that was revoked. */
struct revoked {
    char sidecar[COMPLETENESS_ID_SIZE]; /* first: the tree's key */
    uint64_t last;                      /* its stream ends with it */
    int64_t time_ns;
    char *reason;                  /* owned: "by root: the laptop was stolen" */
    uint64_t sessions, operations; /* that have no end */
};

struct completeness {
    struct completeness_options options;
    struct completeness_counts counts;
    void *streams;             /* tsearch: struct stream */
    void *sessions;            /* tsearch: struct open_session */
    void *operations;          /* tsearch: struct open_operation */
    void *known_open;          /* tsearch: struct open_session */
    void *revoked;             /* tsearch: struct revoked */
    void *seen;                /* tsearch: struct seen: what was reported */
    struct recorded *recorded; /* what the control plane reported; owned */
    size_t recorded_count, recorded_capacity;
    size_t open_count; /* of the trees */
    int64_t began_ns;  /* at the end */
    enum err failed;   /* within a walk over a tree */
};

enum err completeness_report(struct completeness *c,
                             const struct completeness_finding *finding) MUST_USE;

/* completeness_read.c: what is needed of a record. False: it is malformed. */
bool completeness_read_fact(const Chaperone__V1__Record *r, struct bytes record, struct fact *out);

/* completeness_recorded.c: findings of the control plane itself. Those that are found here, too,
 * are not told twice. */
enum err completeness_recorded_take(struct completeness *c,
                                    const Chaperone__V1__Record *r) MUST_USE;
enum err completeness_recorded_see(struct completeness *c,
                                   const struct completeness_finding *finding) MUST_USE;
enum err completeness_recorded_end(struct completeness *c) MUST_USE;
void completeness_recorded_destroy(struct completeness *c);

/* completeness_revoked.c: actions of the control plane. */
enum err completeness_revoked_take(struct completeness *c, const Chaperone__V1__Record *r) MUST_USE;
/* NULL: it was not, as far as records were read. */
struct revoked *completeness_revoked_find(const struct completeness *c, const char *sidecar);
/* When all is counted: says which were. */
enum err completeness_revoked_end(struct completeness *c) MUST_USE;
void completeness_revoked_destroy(struct completeness *c);

/* The records of one stream come here in the order of their numbers. */
enum err completeness_sessions_take(struct completeness *c, const char *sidecar,
                                    const struct fact *fact) MUST_USE;
enum err completeness_sessions_expect(struct completeness *c, const char *sidecar,
                                      const char *session) MUST_USE;
enum err completeness_sessions_end(struct completeness *c) MUST_USE;
void completeness_sessions_destroy(struct completeness *c);

#endif
