/* What is recorded of HTTP, as JSON: requests, responses, messages. docs/cli.md lists the keys.
 *
 * A body is `body` where it is text, else `body_hex`: "\x" and hex digits. */
#ifndef CHAPERONE_FORMATS_HTTP_JSON_H
#define CHAPERONE_FORMATS_HTTP_JSON_H

#include "formats/json.h"
#include "formats/record.h"

/* "http" in `to`. */
void http_json_add_request(struct json *j, cJSON *to, const Chaperone__V1__HttpRequest *request);
/* "http" in `to`, of an outcome that has one; `with_body`: also the response's body. */
void http_json_add_response(struct json *j, cJSON *to, const Chaperone__V1__Outcome *outcome,
                            bool with_body);
/* What is in a message, in `to` itself. */
void http_json_add_message(struct json *j, cJSON *to, const Chaperone__V1__Message *message);

#endif
