#include <assert.h>
#include <stdlib.h>

#include "sidecar/lineage/lineage_fixture.h"
#include "sidecar/sql/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any text that passes sql_analyse gives an answer or an error; the answer is coherent; and the
 * same text with every column marked shows no less. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lineage_marks *some, *all;
    if (some == NULL) {
        struct catalog *c = fixture_catalog(false);
        some = fixture_marks(c, FIXTURE_SOME);
        all = fixture_marks(c, FIXTURE_ALL);
        catalog_unref(c);
    }
    struct bytes text = bytes_of(data, size);
    struct sql_analysis *guard = NULL;
    if (sql_analyse(text, 1 << 14, &guard, NULL) != OK) {
        return 0;
    }
    sql_analysis_destroy(guard);
    struct lineage *l = NULL, *more = NULL;
    enum err e = lineage_analyse(some, text, &l);
    if (lineage_analyse(all, text, &more) == OK && e == OK) {
        for (size_t i = 0; i < l->statement_count; i++) {
            const struct lineage_statement *s = &l->statements[i], *m = &more->statements[i];
            assert(s->start + s->size <= size);
            assert((s->filtered & ~m->filtered) == 0 && (s->stored & ~m->stored) == 0);
            assert(s->clean || !m->clean);
            assert(!s->unknown || !s->clean);
            for (size_t k = 0; k < s->output_count; k++) {
                assert(s->outputs[k].origin == LINEAGE_CLEAN ||
                       m->outputs[k].origin != LINEAGE_CLEAN);
            }
        }
    }
    lineage_destroy(l);
    lineage_destroy(more);
    return 0;
}
