/* A record as the line that is sent: JSON, or OCSF (formats/). Pure.
 *
 * Whatever the bytes of a record are, there is a line for it: what cannot be shown (its content was
 * erased, cannot be read, is too large for the destination) is said in a line of its own, so that
 * a receiver sees every position that it should. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_LINE_H
#define CHAPERONE_CONTROLPLANE_EXPORT_LINE_H

#include "controlplane/config.h"
#include "controlplane/store/store.h"

enum export_omission {
    EXPORT_WHOLE,
    EXPORT_ERASED,
    EXPORT_UNREADABLE,
    EXPORT_TOO_LARGE,
    EXPORT_REFUSED, /* by the destination */
};

/* Appends one line without its end. Longer than `max`: what says so instead. ERR_NO_MEMORY (also:
 * the buffer's cap): nothing is appended. */
enum err export_line_append(const struct config_export *config,
                            const struct store_audit_entry *entry, size_t max, struct buffer *out,
                            enum export_omission *out_omitted) MUST_USE;

/* The line for a record that is not shown; `why` is not EXPORT_WHOLE. */
enum err export_line_append_omitted(const struct config_export *config,
                                    const struct store_audit_entry *entry, enum export_omission why,
                                    struct buffer *out) MUST_USE;

#endif
