#include "cli/output/receipt.h"

#include <inttypes.h>

#include "formats/text.h"

static bool is_same(const Chaperone__V1__MaskingReceipt__Masked *a,
                    const Chaperone__V1__MaskingReceipt__Masked *b)
{
    return a->by_content == b->by_content && strcmp(a->rule, b->rule) == 0 &&
           strcmp(a->column, b->column) == 0;
}

/* A rule with several masks says the same several times: the first one stands for all of them, with
 * their sum. False: it is not the first. */
static bool sum_up(const Chaperone__V1__MaskingReceipt *receipt, size_t at, uint64_t *out_rows)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < receipt->n_masked; i++) {
        if (is_same(receipt->masked[i], receipt->masked[at])) {
            if (i < at) {
                return false;
            }
            rows += receipt->masked[i]->rows;
        }
    }
    *out_rows = rows;
    return true;
}

/* "masked: ssn in 3 rows by rule personal-data"; what has no columns, "2 values". */
static void print_masked(const struct terminal *t, const Chaperone__V1__MaskingReceipt__Masked *m,
                         uint64_t rows, size_t indent)
{
    bool has_column = m->column[0] != '\0';
    (void)fprintf(t->out, "%*smasked: ", (int)indent, "");
    text_write(t->out, bytes_of_string(m->column), TEXT_ESCAPED);
    (void)fprintf(t->out, "%s%" PRIu64 " %s%s%s by rule ", has_column ? " in " : "", rows,
                  has_column ? "row" : "value", rows == 1 ? "" : "s",
                  m->by_content ? ", found by content," : "");
    text_write(t->out, bytes_of_string(m->rule), TEXT_ESCAPED);
    (void)fputc('\n', t->out);
}

void receipt_print(const struct terminal *t, const Chaperone__V1__MaskingReceipt *receipt,
                   size_t indent)
{
    for (size_t i = 0; i < receipt->n_masked; i++) {
        uint64_t rows = 0;
        if (sum_up(receipt, i, &rows)) {
            print_masked(t, receipt->masked[i], rows, indent);
        }
    }
    if (receipt->withheld_messages > 0) {
        (void)fprintf(t->out, "%*smessages withheld: %" PRIu64 "\n", (int)indent, "",
                      receipt->withheld_messages);
    }
    if (receipt->rows_cut > 0) {
        (void)fprintf(t->out, "%*srows beyond the limit: %" PRIu64 "\n", (int)indent, "",
                      receipt->rows_cut);
    }
}
