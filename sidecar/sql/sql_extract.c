/* Reads texts from stdin, each ended by a NUL byte; prints a line for each of their statements and
 * an empty line after each text. A text that is refused is "!! SQLSTATE message". */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/sql/sql_describe.h"

enum { OUTPUT_MAX = 64 << 20 };

static enum err extract(struct buffer *out, struct bytes text)
{
    struct sql_analysis *a = NULL;
    struct sql_error error;
    enum err e = OK;
    if (sql_analyse(text, SQL_TEXT_SIZE_DEFAULT, &a, &error) != OK) {
        e = buffer_append_format(out, "!! %s %s\n", error.sqlstate, error.message);
    }
    for (size_t i = 0; a != NULL && i < a->statement_count && e == OK; i++) {
        e = sql_describe(out, &a->statements[i]);
    }
    sql_analysis_destroy(a);
    return e == OK ? buffer_append_string(out, "\n") : e;
}

int main(void)
{
    struct buffer out;
    buffer_init(&out, OUTPUT_MAX);
    char *text = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    enum err e = OK;
    while (e == OK && (size = getdelim(&text, &capacity, '\0', stdin)) > 0) {
        size_t bare = text[size - 1] == '\0' ? (size_t)size - 1 : (size_t)size;
        e = extract(&out, bytes_of(text, bare));
    }
    (void)fwrite(buffer_bytes(&out).data, 1, buffer_size(&out), stdout);
    free(text);
    buffer_finish(&out);
    return e == OK && ferror(stdin) == 0 ? 0 : 1;
}
