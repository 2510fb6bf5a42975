/* A record's canonical bytes, understood: what it says of itself and what it is found by.
 *
 * Pure. The bytes come from a sidecar that may be broken or hostile: whatever they are, the
 * answer is a record or a reason. api/audit.proto is the specification. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_RECORD_H
#define CHAPERONE_CONTROLPLANE_AUDIT_RECORD_H

#include "api/audit.pb-c.h"
#include "controlplane/store/store.h"

enum { AUDIT_RECORD_SIZE_MAX = 1 << 20 };

struct audit_record {
    struct store_audit_record stored; /* `canonical` borrows the bytes that were parsed */
    struct bytes sidecar;
    /* NULL: an intent or an outcome, which need not be unpacked to be understood. */
    const Chaperone__V1__Record *message;
    uint64_t operation; /* of an intent, an approval or an outcome; else 0 */
    bool is_forwarded;  /* of an intent or an approval: by it something goes to the target */
};

/* Everything in `out` is in the arena or borrows `canonical`. ERR_LIMIT: larger than
 * AUDIT_RECORD_SIZE_MAX; ERR_INVALID: not a whole record; ERR_NO_MEMORY (also: the arena's cap; 64
 * MiB is enough for any record). */
enum err audit_record_parse(struct bytes canonical, struct arena *arena, struct audit_record *out,
                            struct err_text *why) MUST_USE;

/* SHA-256(0x00 || canonical): the leaf hash of RFC 6962 section 2.1. */
void audit_record_hash(struct bytes canonical, uint8_t out[STORE_HASH_SIZE]);

/* Was this heartbeat signed with the key that has this hash (SHA-256 of SubjectPublicKeyInfo)?
 * ERR_DENIED: no. */
enum err audit_record_check_heartbeat(const Chaperone__V1__Record *record,
                                      const uint8_t key_hash[STORE_HASH_SIZE],
                                      struct err_text *why) MUST_USE;

/* "session_opened", "intent", ...; ERR_INVALID for any other word. */
enum err audit_kind_parse(const char *word, enum store_audit_kind *out) MUST_USE;
/* The other way round; "": none that is known here. */
const char *audit_kind_word(enum store_audit_kind kind);

#endif
