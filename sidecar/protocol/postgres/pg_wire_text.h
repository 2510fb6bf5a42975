/* Messages as text: all that is read of them, for tests. What cannot be read leaves some of it. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WIRE_TEXT_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WIRE_TEXT_H

#include "sidecar/protocol/postgres/pg_wire.h"

struct pg_text {
    char data[4096];
    size_t size;
};
/* Behind what is there. */
void pg_text_put(struct pg_text *t, const char *format, ...) PRINTF_LIKE(2, 3);

/* Reads the body of a message, and puts it behind what is in `t`. */
typedef enum wire_result pg_text_fn(struct bytes body, struct pg_text *t);
pg_text_fn pg_text_parse;
pg_text_fn pg_text_target;
pg_text_fn pg_text_execute;
pg_text_fn pg_text_function_call;
pg_text_fn pg_text_string;
pg_text_fn pg_text_empty;
pg_text_fn pg_text_authentication;
pg_text_fn pg_text_key_data;
pg_text_fn pg_text_parameter_status;
pg_text_fn pg_text_ready;
pg_text_fn pg_text_negotiate;
pg_text_fn pg_text_notification;
pg_text_fn pg_text_parameter_description;
pg_text_fn pg_text_row_description;
pg_text_fn pg_text_row;
pg_text_fn pg_text_function_result;
pg_text_fn pg_text_copy;
pg_text_fn pg_text_fields;

#endif
