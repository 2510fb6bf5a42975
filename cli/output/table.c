#include "cli/output/table.h"

#include <stdlib.h>

#include "formats/text.h"

/* Far above what a person reads; a bound against a server that never ends. */
enum { TABLE_BYTES_MAX = 256 << 20, TABLE_GAP = 2, TABLE_LAST_MIN = 16 };

struct table {
    const char *const *headings;
    size_t columns;
    char **cells;
    size_t count, capacity;
    size_t bytes;
};

struct table *table_create(const char *const *headings)
{
    struct table *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    t->headings = headings;
    while (headings[t->columns] != NULL) {
        t->columns++;
    }
    return t;
}

void table_destroy(struct table *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    free(t);
}

static enum err grow(struct table *t)
{
    if (t->count < t->capacity) {
        return OK;
    }
    size_t capacity = t->capacity == 0 ? 64 : t->capacity * 2;
    char **cells = realloc(t->cells, capacity * sizeof(*cells));
    if (cells == NULL) {
        return ERR_NO_MEMORY;
    }
    t->cells = cells;
    t->capacity = capacity;
    return OK;
}

enum err table_add(struct table *t, struct bytes cell)
{
    if (cell.size > TABLE_BYTES_MAX - t->bytes) {
        return ERR_LIMIT;
    }
    if (grow(t) != OK) {
        return ERR_NO_MEMORY;
    }
    /* Valid UTF-8 without NUL, so that the cell can be kept as a string. */
    char *copy = text_to_utf8(cell);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    t->bytes += cell.size;
    t->cells[t->count++] = copy;
    return OK;
}

enum err table_add_string(struct table *t, const char *cell)
{
    return table_add(t, bytes_of_string(cell));
}

enum err table_add_number(struct table *t, uint64_t cell)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)cell);
    return table_add_string(t, text);
}

size_t table_rows(const struct table *t)
{
    return t->columns == 0 ? 0 : t->count / t->columns;
}

static struct bytes cell_at(const struct table *t, size_t row, size_t column)
{
    return bytes_of_string(t->cells[row * t->columns + column]);
}

static size_t column_width(const struct table *t, size_t column)
{
    size_t width = text_columns(bytes_of_string(t->headings[column]), TEXT_SQUEEZED);
    for (size_t row = 0; row < table_rows(t); row++) {
        size_t cell = text_columns(cell_at(t, row, column), TEXT_SQUEEZED);
        width = cell > width ? cell : width;
        if (width >= TABLE_CELL_COLUMNS_MAX) {
            return TABLE_CELL_COLUMNS_MAX;
        }
    }
    return width;
}

/* The last column gets what the terminal has left, never less than is readable. */
static void find_widths(const struct table *t, size_t limit, size_t indent, size_t *widths)
{
    size_t used = indent;
    for (size_t i = 0; i + 1 < t->columns; i++) {
        widths[i] = column_width(t, i);
        used += widths[i] + TABLE_GAP;
    }
    size_t last = limit == 0 ? SIZE_MAX : limit > used ? limit - used : 0;
    widths[t->columns - 1] = last < TABLE_LAST_MIN ? TABLE_LAST_MIN : last;
}

static void print_line(const struct table *t, FILE *out, const size_t *widths, size_t indent,
                       size_t row, bool heading)
{
    (void)fprintf(out, "%*s", (int)indent, "");
    size_t owed = 0; /* padding, written only when something follows: no trailing spaces */
    for (size_t i = 0; i < t->columns; i++) {
        struct bytes cell = heading ? bytes_of_string(t->headings[i]) : cell_at(t, row, i);
        if (cell.size > 0) {
            (void)fprintf(out, "%*s", (int)owed, "");
            owed = 0;
        }
        size_t used = text_write_cut(out, cell, TEXT_SQUEEZED, widths[i]);
        if (i + 1 < t->columns) {
            owed += widths[i] - used + TABLE_GAP;
        }
    }
    (void)fputc('\n', out);
}

void table_print_aligned(const struct table *t, const struct terminal *terminal, size_t indent)
{
    if (t->columns == 0) {
        return;
    }
    size_t *widths = calloc(t->columns, sizeof(*widths));
    if (widths == NULL) {
        return;
    }
    find_widths(t, terminal->width, indent, widths);
    terminal_style(terminal, STYLE_HEADING);
    print_line(t, terminal->out, widths, indent, 0, true);
    terminal_style(terminal, STYLE_PLAIN);
    for (size_t row = 0; row < table_rows(t); row++) {
        print_line(t, terminal->out, widths, indent, row, false);
    }
    free(widths);
}

void table_print(const struct table *t, const struct terminal *terminal)
{
    if (terminal->is_terminal) {
        table_print_aligned(t, terminal, 0);
        return;
    }
    for (size_t row = 0; row < table_rows(t); row++) {
        for (size_t i = 0; i < t->columns; i++) {
            text_write(terminal->out, cell_at(t, row, i), TEXT_ESCAPED);
            (void)fputc(i + 1 < t->columns ? '\t' : '\n', terminal->out);
        }
    }
}
