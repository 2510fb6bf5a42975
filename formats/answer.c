#include "formats/answer.h"

void answer_init(struct rows *r, const Chaperone__V1__Outcome *outcome)
{
    rows_init(r, record_bytes(outcome->response));
    for (size_t i = 0; i < outcome->n_columns && i < ROWS_COLUMNS_MAX; i++) {
        const Chaperone__V1__Column *c = outcome->columns[i];
        r->columns[i] = (struct rows_column){
            .name = c->name, .type_oid = c->type_oid, .binary = c->format == 1};
        r->column_count = i + 1;
    }
}
