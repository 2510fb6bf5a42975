/* Two bytes of type, one of cap, and a value. */
#include "sidecar/protocol/postgres/pg_types.h"

#include "base/cursor.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(bytes_of(data, size));
    uint32_t type = cursor_read_u16(&c);
    size_t cap = (size_t)cursor_read_u8(&c) * 8;
    if (c.failed) {
        return 0;
    }
    struct buffer out;
    buffer_init(&out, 1500);
    enum pg_text_result r = pg_types_to_text(type, bytes_of(c.at, c.remaining), cap, &out);
    if (buffer_size(&out) > cap || (r == PG_TEXT_RAW && buffer_size(&out) != 0) ||
        (r != PG_TEXT_RAW && pg_type_name(type) == NULL)) {
        abort();
    }
    buffer_finish(&out);
    return 0;
}
