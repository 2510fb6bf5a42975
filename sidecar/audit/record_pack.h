/* A record's canonical bytes in one pass. protobuf-c asks for the size of each message inside of
 * another one, and so measures a record twice before it writes it. Written from its end to its
 * begin, a message knows its size when its length is due.
 *
 * The library's descriptors are large, and most fields of a record are not there: what is needed to
 * find that out is gathered once, in eight bytes for a field.
 *
 * The bytes are those of protobuf_c_message_pack. What this does not know (a type that no record
 * has, fields of a newer version) is left to that one. Packing is pure, without allocation. */
#ifndef CHAPERONE_SIDECAR_AUDIT_RECORD_PACK_H
#define CHAPERONE_SIDECAR_AUDIT_RECORD_PACK_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

/* How messages of one type, and all that are inside of them, are packed. */
struct record_forms;

/* Returns owned; NULL: no memory, or a type that is too large for it. */
struct record_forms *record_forms_create(const ProtobufCMessageDescriptor *type) MUST_USE;
void record_forms_destroy(struct record_forms *forms); /* takes NULL */

/* Writes to the end of `room` and returns what was written, which lies there. No bytes: they do not
 * fit, or there is something that this does not know; `room` then holds anything. `message` is of
 * the type that the forms were made for. */
struct bytes record_pack(const struct record_forms *forms, const ProtobufCMessage *message,
                         uint8_t *room, size_t size);

#endif
