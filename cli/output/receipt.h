/* What was masked in an answer, shown: a line for each rule and column. */
#ifndef CHAPERONE_CLI_OUTPUT_RECEIPT_H
#define CHAPERONE_CLI_OUTPUT_RECEIPT_H

#include "cli/output/terminal.h"
#include "formats/record.h"

void receipt_print(const struct terminal *t, const Chaperone__V1__MaskingReceipt *receipt,
                   size_t indent);

#endif
