/* A recorded answer is an outsider's bytes: the reader of it must end, and what it hands out must
 * be readable to its last byte. */
#include <stdlib.h>

#include "formats/rows.h"
#include "formats/text.h"

enum { FUZZ_TEXT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_row(struct rows *r, struct buffer *text)
{
    static const struct rows_column unknown = {.name = "?", .binary = true, .type_oid = 3802};
    for (size_t i = 0; i < r->cell_count; i++) {
        const struct rows_column *column = i < r->column_count ? &r->columns[i] : &unknown;
        buffer_clear(text);
        if (rows_append_text(column, r->cells[i].value, text) == OK) {
            free(text_to_utf8(buffer_bytes(text)));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rows *r = malloc(sizeof(*r));
    struct buffer text;
    buffer_init(&text, FUZZ_TEXT_MAX);
    if (r == NULL) {
        return 0;
    }
    rows_init(r, bytes_of(data, size));
    enum rows_kind kind = ROWS_END;
    do {
        kind = rows_next(r);
        if (kind == ROWS_ROW) {
            read_row(r, &text);
        }
        struct text_unit unit;
        struct bytes rest = r->data;
        while (text_next(&rest, TEXT_SQUEEZED, &unit)) {
        }
    } while (kind != ROWS_END && kind != ROWS_CUT && kind != ROWS_MALFORMED);
    buffer_finish(&text);
    free(r);
    return 0;
}
