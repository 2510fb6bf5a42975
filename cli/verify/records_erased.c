/* Whether what is erased was said to be. */
#include <inttypes.h>
#include <stdlib.h>

#include "api/audit.pb-c.h"
#include "cli/verify/records_internal.h"

enum err records_take_action(struct records *r, struct bytes event)
{
    enum err e = OK;
    Chaperone__V1__Action *action = chaperone__v1__action__unpack(NULL, event.size, event.data);
    if (action == NULL) {
        return OK; /* then it names none */
    }
    for (size_t i = 0; e == OK && strcmp(action->action, "erase") == 0 && i < action->n_sessions;
         i++) {
        uint32_t number = 0;
        e = name_table_put(r->erasures, bytes_of_string(action->sessions[i]), &number);
    }
    chaperone__v1__action__free_unpacked(action, NULL);
    return e;
}

void records_check_erased(struct records *r, const struct records_expectation *expectation)
{
    uint8_t *seen = calloc((size_t)name_table_count(r->sessions) + 1, 1);
    if (seen == NULL) {
        report_add(r->report, REPORT_UNCHECKED, 0, "erased records: out of memory");
        return;
    }
    for (size_t i = 0; expectation->is_whole && i < r->count; i++) {
        const struct record_fact *f = &r->items[i];
        const char *session = name_table_get(r->sessions, f->session);
        if (!f->is_erased || seen[f->session] != 0) {
            continue;
        }
        seen[f->session] = 1;
        if (name_table_find(r->erasures, bytes_of_string(session)) == 0) {
            /* Not wrong for certain: it may have been erased while the records were being sent,
             * and be said behind the checkpoint. */
            report_add(r->report, REPORT_UNCHECKED, f->position,
                       "session %.64s is erased, from the record at position %" PRIu64
                       " on, and no record says who erased it",
                       session, f->position);
        }
    }
    free(seen);
}
