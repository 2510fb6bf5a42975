/* What stands in a test as text, as the fields of messages want it: nobody writes to it. */
#ifndef CHAPERONE_CLI_OUTPUT_LITERALS_H
#define CHAPERONE_CLI_OUTPUT_LITERALS_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#define TEXT(literal) ((char *)(uintptr_t)(literal))
#define BYTES(literal)                                                                             \
    ((ProtobufCBinaryData){.len = sizeof(literal) - 1,                                             \
                           .data = (uint8_t *)(uintptr_t)(const void *)(literal)})

#endif
