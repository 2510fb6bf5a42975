/* A held operation as one JSON object; docs/cli.md lists its keys. */
#ifndef CHAPERONE_CLI_OUTPUT_HELD_JSON_H
#define CHAPERONE_CLI_OUTPUT_HELD_JSON_H

#include "cli/output/held.h"
#include "formats/json.h"

/* Adds its keys to the root. */
void held_json_add(struct json *j, const Chaperone__V1__HeldOperation *h);

/* One line with nothing but it. */
enum err held_json_write(FILE *out, const Chaperone__V1__HeldOperation *h) MUST_USE;

#endif
