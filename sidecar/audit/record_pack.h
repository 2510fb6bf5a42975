/* A record's canonical bytes in one pass. protobuf-c asks for the size of each message inside of
 * another one, and so measures a record twice before it writes it. Written from its end to its
 * begin, a message knows its size when its length is due.
 *
 * The bytes are those of protobuf_c_message_pack. What this does not know (a type that no record
 * has, fields of a newer version) is left to that one. Pure, without allocation. */
#ifndef CHAPERONE_SIDECAR_AUDIT_RECORD_PACK_H
#define CHAPERONE_SIDECAR_AUDIT_RECORD_PACK_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

/* Writes to the end of `room` and returns what was written, which lies there. No bytes: they do not
 * fit, or there is something that this does not know; `room` then holds anything. */
struct bytes record_pack(const ProtobufCMessage *message, uint8_t *room, size_t size);

#endif
