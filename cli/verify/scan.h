/* Reads what a verification needs of a record's canonical bytes, without unpacking the record: a
 * million of them take a fraction of a second.
 *
 * Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding/) of
 * api/audit.proto. As in the format, of a field that comes twice the last one counts, and of the
 * event's kinds the last one. Pure. */
#ifndef CHAPERONE_CLI_VERIFY_SCAN_H
#define CHAPERONE_CLI_VERIFY_SCAN_H

#include "base/bytes.h"

/* The record's field numbers of `event`. */
enum scan_kind {
    SCAN_UNKNOWN = 0,
    SCAN_SESSION_OPENED = 10,
    SCAN_INTENT,
    SCAN_APPROVAL,
    SCAN_OUTCOME,
    SCAN_SESSION_CLOSED,
    SCAN_HEARTBEAT,
    SCAN_LOSS,
    SCAN_ACTION,
    SCAN_FINDING,
    SCAN_MESSAGE,
    SCAN_KINDS,
};
/* "intent"; NULL for none of them. */
const char *scan_kind_name(enum scan_kind kind);
/* SCAN_UNKNOWN for any other word. */
enum scan_kind scan_kind_parse(struct bytes word);

/* Texts borrow the record's bytes. */
struct scan {
    struct bytes sidecar, session, previous;
    uint64_t sequence;
    int64_t time_ns;
    enum scan_kind kind;
    struct bytes event;       /* the message of that kind */
    uint64_t operation;       /* of intents, outcomes, approvals and messages; else 0 */
    uint64_t operations;      /* of a session's end */
    uint64_t policy_revision; /* of intents and sessions */
    uint64_t verdict;         /* of them, as a number; 0: none */
    struct bytes text;        /* of intents */
    struct bytes policy_hash;
    struct bytes signature, public_key; /* of heartbeats */
    uint64_t first, last;               /* of a loss: what is missing */
};

/* ERR_INVALID: not a whole message, or it has no sidecar, no sequence or no `previous` of 32
 * bytes. */
enum err scan_record(struct bytes canonical, struct scan *out) MUST_USE;

#endif
