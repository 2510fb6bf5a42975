/* The first byte chooses what is looked at and how it is cut: the cut must not matter, and what is
 * let through must have no line that another reader could see otherwise. */
#include "sidecar/protocol/http/http1/http1_filter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void look_at_head(const struct http1_filter *f, struct bytes in)
{
    size_t lines = 0, colons = 0;
    bool has_colon = false;
    expect(f->scanned <= in.size && f->scanned >= 2 && f->fields <= HTTP_FIELDS_MAX);
    for (size_t i = f->skipped; i < f->scanned; i++) {
        uint8_t b = in.data[i];
        expect((b >= ' ' && b != 0x7f) || b == '\t' || b == '\r' || b == '\n');
        expect(b != '\r' || (i + 1 < f->scanned && in.data[i + 1] == '\n'));
        expect(b != '\n' || (i > 0 && in.data[i - 1] == '\r'));
        bool starts = i == f->skipped || in.data[i - 1] == '\n';
        expect(!starts || (b != ' ' && b != '\t' && b != ':'));
        has_colon = has_colon || b == ':';
        if (b == '\n') {
            lines++;
            bool is_start_line = lines == 1 && f->lines != HTTP1_TRAILER_LINES;
            colons += has_colon && !is_start_line ? 1 : 0;
            has_colon = false;
        }
    }
    expect(colons == f->fields);
    expect(lines == f->fields + (f->lines == HTTP1_TRAILER_LINES ? 1 : 2));
}

static void fuzz_head(enum http1_lines lines, struct bytes in, size_t piece)
{
    struct http1_filter whole, cut;
    http1_filter_init(&whole, lines);
    http1_filter_init(&cut, lines);
    enum http1_filter_result r = http1_filter_scan(&whole, in), c = HTTP1_FILTER_MORE;
    for (size_t end = piece; c == HTTP1_FILTER_MORE; end += piece) {
        size_t given = end < in.size ? end : in.size;
        uint8_t *copy = malloc(given + 1);
        expect(copy != NULL);
        if (given > 0) {
            memcpy(copy, in.data, given);
        }
        c = http1_filter_scan(&cut, bytes_of(copy, given));
        free(copy);
        if (given == in.size) {
            break;
        }
    }
    expect(r == c && whole.scanned == cut.scanned && whole.fields == cut.fields &&
           whole.problem == cut.problem && whole.why == cut.why);
    if (r == HTTP1_FILTER_WHOLE) {
        look_at_head(&whole, in);
    } else {
        expect((r == HTTP1_FILTER_REFUSED) == (whole.why != NULL));
    }
}

static void fuzz_chunk_line(struct bytes in, size_t piece)
{
    size_t whole = 0, cut = 0;
    const char *why = NULL, *cut_why = NULL;
    enum http1_filter_result r = http1_filter_chunk_line(in, &whole, &why);
    enum http1_filter_result c = HTTP1_FILTER_MORE;
    for (size_t end = piece; c == HTTP1_FILTER_MORE; end += piece) {
        size_t given = end < in.size ? end : in.size;
        c = http1_filter_chunk_line(bytes_of(in.data, given), &cut, &cut_why);
        if (given == in.size) {
            break;
        }
    }
    expect(r == c && whole == cut);
    if (r == HTTP1_FILTER_WHOLE) {
        expect(whole <= HTTP1_CHUNK_LINE_MAX && whole >= 3);
        expect(memcmp(in.data + whole - 2, "\r\n", 2) == 0);
    }
    expect(r != HTTP1_FILTER_MORE || in.size < HTTP1_CHUNK_LINE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes in = bytes_of(data + 1, size - 1);
    size_t piece = (size_t)data[0] / 4 + 1;
    if (data[0] % 4 == 3) {
        fuzz_chunk_line(in, piece);
    } else {
        fuzz_head((enum http1_lines)(data[0] % 4), in, piece);
    }
    return 0;
}
