/* A record as an event of the Open Cybersecurity Schema Framework (https://schema.ocsf.io/1.3.0),
 * for SIEMs. Pure.
 *
 *   session opened, session closed, a person's login   Authentication      3002
 *   intent, outcome                                    Datastore Activity  6005
 *   intent, outcome, message of HTTP                   API Activity        6003
 *   approval, action                                   Entity Management   3004
 *   finding, loss                                      Detection Finding   2004
 *   heartbeat, what is erased or newer than this code  Base Event          0
 *
 * `metadata.event_code` is the kind of record, `metadata.uid` its hash (by which it is found in the
 * log), `metadata.correlation_uid` the session. What has no place in OCSF is in `unmapped`. */
#ifndef CHAPERONE_FORMATS_OCSF_H
#define CHAPERONE_FORMATS_OCSF_H

#include "formats/record.h"

#define OCSF_VERSION "1.3.0"

/* Appends one JSON object, on one line, without a newline. `record` is what the entry's bytes say;
 * NULL where the content was destroyed. ERR_NO_MEMORY, ERR_LIMIT: the buffer's cap; then nothing is
 * appended. */
enum err ocsf_record(const Chaperone__V1__Entry *entry, const Chaperone__V1__Record *record,
                     struct buffer *out) MUST_USE;

#endif
