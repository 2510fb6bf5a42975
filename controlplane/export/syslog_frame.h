/* An audit record as a syslog message (RFC 5424), framed for a stream by counting its octets
 * (RFC 5425 section 4.3, RFC 6587 section 3.4.1). Pure.
 *
 *   213 <110>1 2026-11-21T18:45:00.123456Z HOST chaperone - intent [chaperone@32473 position="12"
 *   ...] TEXT
 *
 * Chaperone has no enterprise number of its own: 32473 is the one for examples (RFC 5612). */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_SYSLOG_FRAME_H
#define CHAPERONE_CONTROLPLANE_EXPORT_SYSLOG_FRAME_H

#include "controlplane/store/store.h"

enum {
    SYSLOG_WARNING = 4,
    SYSLOG_NOTICE = 5,
    SYSLOG_INFO = 6,
    /* The most that the parts before the text need, its count included: names are cut to fit. */
    SYSLOG_HEADER_MAX = 1400,
};

/* Severities (section 6.2.1): a finding or a loss is a warning, what people did is a notice. */
int syslog_severity(enum store_audit_kind kind);

/* Appends one frame. `hostname` is printable ASCII without a space (not checked). A text with bytes
 * beyond ASCII is UTF-8 and gets the mark that section 6.4 asks for. ERR_NO_MEMORY, ERR_LIMIT. */
enum err syslog_frame_append(int facility, const char *hostname,
                             const struct store_audit_entry *entry, struct bytes text,
                             struct buffer *out) MUST_USE;

#endif
