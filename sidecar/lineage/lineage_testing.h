/* The state of a group of tests: catalogs, and what is marked of them. A failure is the test's.
 * Include it behind cmocka.h. */
#ifndef CHAPERONE_SIDECAR_LINEAGE_TESTING_H
#define CHAPERONE_SIDECAR_LINEAGE_TESTING_H

#include <stdlib.h>

#include "sidecar/lineage/lineage_fixture.h"

struct fixture {
    struct catalog *catalog, *empty;
    struct lineage_marks *some, *none, *all; /* of `catalog` */
    struct lineage_marks *unaware;           /* of `empty` */
    size_t *compared;                        /* borrows; for the test that counts */
};

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->catalog = fixture_catalog(false);
    f->empty = fixture_catalog(true);
    f->some = fixture_marks(f->catalog, FIXTURE_SOME);
    f->none = fixture_marks(f->catalog, FIXTURE_NONE);
    f->all = fixture_marks(f->catalog, FIXTURE_ALL);
    f->unaware = fixture_marks(f->empty, FIXTURE_SOME);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    lineage_marks_destroy(f->some);
    lineage_marks_destroy(f->none);
    lineage_marks_destroy(f->all);
    lineage_marks_destroy(f->unaware);
    catalog_unref(f->catalog);
    catalog_unref(f->empty);
    free(f);
    return 0;
}

/* Returns owned. */
static inline struct lineage *analyse(const struct lineage_marks *m, const char *text)
{
    struct lineage *l = NULL;
    enum err e = lineage_analyse(m, bytes_of_string(text), &l);
    if (e != OK) {
        print_message("%s: %s\n", text, err_name(e));
    }
    assert_int_equal(e, OK);
    return l;
}

#endif
