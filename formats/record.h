/* One audit record, flattened: what all of its kinds have in common, for lines and JSON.
 *
 * A view borrows from the entry and its unpacked record. Absent texts are NULL. */
#ifndef CHAPERONE_FORMATS_RECORD_H
#define CHAPERONE_FORMATS_RECORD_H

#include "api/audit.pb-c.h"
#include "api/operator.pb-c.h"
#include "base/bytes.h"

struct record_count {
    bool known;
    uint64_t value;
};

struct record_view {
    const Chaperone__V1__Record *record;
    const Chaperone__V1__Entry *entry;
    const char *kind; /* "intent"; "unknown" for a kind that is newer than this command */
    bool is_erased; /* only who, where and when are there: entry->erased_unix_ns says since when */
    const char *session, *sidecar;
    const char *identity, *on_behalf_of, *resource, *protocol;
    const char *verdict, *rule, *policy;
    const char *status, *error, *error_code;
    struct record_count operation, rows, bytes, duration_us;
    Chaperone__V1__Stated **reasons;
    size_t reason_count;
    Chaperone__V1__Delegate **delegates;
    size_t delegate_count;
};

/* Unpacks an entry's record; of one whose content was erased, an empty one that has its time and
 * number. Returns owned (chaperone__v1__record__free_unpacked); NULL: it is no record. */
Chaperone__V1__Record *record_unpack(const Chaperone__V1__Entry *entry) MUST_USE;

void record_view_init(struct record_view *v, const Chaperone__V1__Entry *entry,
                      const Chaperone__V1__Record *record);

/* Of HTTP: by what it says, else by its session. */
bool record_is_http(const struct record_view *v);

/* "allow", "success", "verified"; NULL for UNSPECIFIED and for values that are not known. */
const char *record_verdict_name(Chaperone__V1__Verdict verdict);
const char *record_status_name(Chaperone__V1__Status status);
const char *record_assurance_name(Chaperone__V1__Assurance assurance);
/* The other way; `*out` is UNSPECIFIED and the result false for any other text. */
bool record_parse_verdict(const char *text, Chaperone__V1__Verdict *out);

/* What an outcome says it ran: "SELECT" of "SELECT 5"; no bytes for an empty tag. */
struct bytes record_tag_command(const char *command_tag);

/* The session's or operation's `kind` names, in the order of the record's fields; ends with NULL.
 */
extern const char *const record_kinds[];

static inline struct bytes record_bytes(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

#endif
