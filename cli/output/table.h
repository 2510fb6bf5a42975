/* A table: aligned columns with headings on a terminal, lines with tabs between in a pipe.
 *
 * Cells are copied, and made safe when they are printed (text.h). The last column takes what
 * is left of a terminal's width and is cut there; the others are never wider than their cap. */
#ifndef CHAPERONE_CLI_OUTPUT_TABLE_H
#define CHAPERONE_CLI_OUTPUT_TABLE_H

#include "base/bytes.h"
#include "cli/output/terminal.h"

/* What a terminal shows of a cell; a pipe gets all of it. */
enum { TABLE_CELL_COLUMNS_MAX = 48 };

struct table;

/* `headings` (borrowed) ends with NULL; none at all is allowed for a table without columns.
 * Returns owned; NULL when memory is short. */
struct table *table_create(const char *const *headings) MUST_USE;
void table_destroy(struct table *t); /* takes NULL */

/* Appends a cell; a row is full after as many as there are headings. */
enum err table_add(struct table *t, struct bytes cell) MUST_USE;
enum err table_add_string(struct table *t, const char *cell) MUST_USE;
enum err table_add_number(struct table *t, uint64_t cell) MUST_USE;

size_t table_rows(const struct table *t); /* full ones */
void table_print(const struct table *t, const struct terminal *terminal);
/* As on a terminal, also in a pipe; every line indented; for tables inside of a text. */
void table_print_aligned(const struct table *t, const struct terminal *terminal, size_t indent);

#endif
