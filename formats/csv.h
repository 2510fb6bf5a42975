/* A record as a line of CSV (RFC 4180), for spreadsheets: what all kinds have in common.
 *
 * Texts may be anything. Cells are UTF-8; one that a spreadsheet would take for a formula has an
 * apostrophe before it. Pure. */
#ifndef CHAPERONE_FORMATS_CSV_H
#define CHAPERONE_FORMATS_CSV_H

#include "formats/record.h"

/* Appends the header's line, with its CRLF. */
enum err csv_header(struct buffer *out) MUST_USE;
/* Appends the line of an entry. `record` is what its bytes say; NULL where the content was
 * destroyed, then only what the entry says of it is there. ERR_NO_MEMORY, ERR_LIMIT: the buffer's
 * cap; then a part of the line may be there. */
enum err csv_record(const Chaperone__V1__Entry *entry, const Chaperone__V1__Record *record,
                    struct buffer *out) MUST_USE;

#endif
