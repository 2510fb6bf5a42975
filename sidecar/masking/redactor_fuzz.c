/* Four bytes: the redactor, the format, two of the type; then a value. What comes out of a binary
 * value must be one of its type. */
#include "sidecar/masking/redactor.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "sidecar/protocol/postgres/pg_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(bytes_of(data, size));
    uint8_t kind = cursor_read_u8(&c);
    bool is_binary = cursor_read_u8(&c) & 1;
    uint32_t type = cursor_read_u16(&c);
    if (c.failed) {
        return 0;
    }
    struct redactor_config config = {
        .kind = (enum redactor_kind)(kind % (REDACTOR_TO_DATE + 1)),
        .text = bytes_of("12", 2),
        .keep_first = kind >> 6,
        .keep_last = 3,
        .keep_separators = kind >> 5 & 1,
        .key = bytes_of("0123456789abcdef", 16),
        .replace_letters = kind >> 4 & 1,
        .unit = (enum redactor_unit)(kind / 6 % 3),
    };
    struct redactor *r = NULL;
    struct buffer out, text;
    buffer_init(&out, 1 << 20);
    buffer_init(&text, 4 << 20);
    if (redactor_create(&config, &r, NULL) != OK) {
        abort();
    }
    enum redactor_result result =
        redactor_apply(r, type, is_binary, bytes_of(c.at, c.remaining), &out);
    if (result != REDACTOR_VALUE && buffer_size(&out) != 0) {
        abort();
    }
    if (result == REDACTOR_VALUE && is_binary &&
        pg_types_to_text(type, buffer_bytes(&out), 4 << 20, &text) == PG_TEXT_RAW) {
        abort();
    }
    redactor_destroy(r);
    buffer_finish(&out);
    buffer_finish(&text);
    return 0;
}
