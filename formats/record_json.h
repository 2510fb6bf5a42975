/* A record as one line of JSON: always the same keys, null where a kind has no such thing, then
 * what only its kind has. docs/cli.md lists them. */
#ifndef CHAPERONE_FORMATS_RECORD_JSON_H
#define CHAPERONE_FORMATS_RECORD_JSON_H

#include <stdio.h>

#include "formats/json.h"
#include "formats/record.h"

/* `with_rows`: also what was recorded of an answer: its rows, decoded, or its body. */
enum err record_json_write(FILE *out, const struct record_view *v, bool with_rows) MUST_USE;
/* Arrays in `to`: what a statement touches, and what a token said of its owner. */
void record_json_add_objects(struct json *j, cJSON *to, const Chaperone__V1__Intent *intent);
void record_json_add_claims(struct json *j, cJSON *to, const Chaperone__V1__Identity *who);
/* "masked" and what else a receipt has, in `to`. */
void record_json_add_receipt(struct json *j, cJSON *to,
                             const Chaperone__V1__MaskingReceipt *receipt);
/* A parameter of a statement, as an item of `list`. */
void record_json_add_parameter(struct json *j, cJSON *list, const Chaperone__V1__Parameter *p);

#endif
