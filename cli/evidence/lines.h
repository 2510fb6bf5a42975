/* Records as lines for other programs. */
#ifndef CHAPERONE_CLI_EVIDENCE_LINES_H
#define CHAPERONE_CLI_EVIDENCE_LINES_H

#include <stdio.h>

#include "api/operator.pb-c.h"
#include "base/bytes.h"

enum lines_format { LINES_JSON, LINES_CSV, LINES_OCSF };

/* The header, where the format has one. `scratch` is the caller's, to be reused. */
enum err lines_begin(FILE *out, enum lines_format format, struct buffer *scratch) MUST_USE;
/* One entry, erased ones too. ERR_INVALID: its record cannot be read; ERR_IO: the file. */
enum err lines_write(FILE *out, enum lines_format format, const Chaperone__V1__Entry *entry,
                     struct buffer *scratch) MUST_USE;

#endif
