#include "cli/output/answer.h"

#include <stdlib.h>

#include "cli/output/table.h"
#include "formats/text.h"

enum { CELL_SHOWN_MAX = 64 << 10 };

/* One result while it is read: the table of its first rows, and how many there were. */
struct result {
    const char **headings;
    struct table *table;
    uint64_t seen;
    struct buffer cell;
};

static void result_finish(struct result *result)
{
    table_destroy(result->table);
    free(result->headings);
    buffer_finish(&result->cell);
    *result = (struct result){0};
}

static enum err result_start(struct result *result, const struct rows *r)
{
    result->headings = calloc(r->column_count + 1, sizeof(*result->headings));
    if (result->headings == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < r->column_count; i++) {
        result->headings[i] = r->columns[i].name;
    }
    buffer_init(&result->cell, CELL_SHOWN_MAX);
    result->table = table_create(result->headings);
    return result->table == NULL ? ERR_NO_MEMORY : OK;
}

static enum err add_row(struct result *result, const struct rows *r)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < r->column_count; i++) {
        buffer_clear(&result->cell);
        if (i >= r->cell_count || r->cells[i].is_null) {
            e = table_add_string(result->table, i < r->cell_count ? "NULL" : "");
            continue;
        }
        e = rows_append_text(&r->columns[i], r->cells[i].value, &result->cell);
        if (e == ERR_LIMIT) {
            e = OK; /* what fits of it is more than is shown */
        }
        if (e == OK) {
            e = table_add(result->table, buffer_bytes(&result->cell));
        }
    }
    return e;
}

static void result_print(const struct result *result, const struct terminal *t, size_t indent)
{
    if (result->table == NULL || result->seen == 0) {
        return;
    }
    table_print_aligned(result->table, t, indent);
    uint64_t shown = table_rows(result->table);
    if (result->seen > shown) {
        (void)fprintf(t->out, "%*s... %llu more\n", (int)indent, "",
                      (unsigned long long)(result->seen - shown));
    }
}

static enum err take_row(struct result *result, const struct rows *r, size_t max_rows)
{
    if (result->table == NULL && result_start(result, r) != OK) {
        return ERR_NO_MEMORY;
    }
    result->seen++;
    return result->seen <= max_rows ? add_row(result, r) : OK;
}

/* COPY data: lines as they are, when they are lines. */
static void print_copy(const struct terminal *t, struct bytes data, uint64_t number,
                       size_t max_rows, size_t indent)
{
    if (number <= max_rows) {
        while (data.size > 0 && data.data[data.size - 1] == '\n') {
            data.size--;
        }
        (void)fprintf(t->out, "%*s", (int)indent, "");
        text_write(t->out, data, TEXT_ESCAPED);
        (void)fputc('\n', t->out);
    }
}

void answer_print(const struct terminal *t, const Chaperone__V1__Outcome *outcome, size_t max_rows,
                  size_t indent)
{
    struct rows *r = malloc(sizeof(*r));
    struct result result = {0};
    uint64_t copied = 0;
    enum err e = r == NULL ? ERR_NO_MEMORY : OK;
    if (r == NULL) {
        goto out;
    }
    answer_init(r, outcome);
    enum rows_kind kind = rows_next(r);
    for (; e == OK && kind != ROWS_END && kind != ROWS_CUT && kind != ROWS_MALFORMED;
         kind = rows_next(r)) {
        if (kind == ROWS_ROW) {
            e = take_row(&result, r, max_rows);
        } else if (kind == ROWS_COPY) {
            print_copy(t, r->data, ++copied, max_rows, indent);
        } else if (kind == ROWS_COMMAND || kind == ROWS_COLUMNS) {
            result_print(&result, t, indent);
            result_finish(&result);
        }
    }
    result_print(&result, t, indent);
    if (copied > max_rows) {
        (void)fprintf(t->out, "%*s... %llu more\n", (int)indent, "",
                      (unsigned long long)(copied - max_rows));
    }
    if (kind == ROWS_CUT || outcome->response_truncated) {
        (void)fprintf(t->out,
                      "%*s(the recording of the answer ends here; its digest covers all of it)\n",
                      (int)indent, "");
    }
out:
    if (e != OK) {
        (void)fprintf(t->out, "%*s(the answer cannot be shown: %s)\n", (int)indent, "",
                      err_name(e));
    }
    result_finish(&result);
    free(r);
}
