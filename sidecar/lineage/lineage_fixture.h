/* A catalog and its marks for tests: built through catalog.h's loader from rows as a server gives
 * them. */
#ifndef CHAPERONE_SIDECAR_LINEAGE_FIXTURE_H
#define CHAPERONE_SIDECAR_LINEAGE_FIXTURE_H

#include "sidecar/lineage/lineage.h"

enum fixture_marks {
    FIXTURE_SOME, /* customers.ssn (pii), .email (mail), .salary (pay), ... */
    FIXTURE_NONE,
    FIXTURE_ALL, /* each column, by the rule of its own or "all" */
};

enum { FIXTURE_PII = 1, FIXTURE_MAIL = 2, FIXTURE_PAY = 4, FIXTURE_REST = 8 };

/* Return owned. `empty`: a server without any relation of its own or of ours. */
struct catalog *fixture_catalog(bool empty);
struct lineage_marks *fixture_marks(struct catalog *c, enum fixture_marks marks);

/* Writes what was found as one line for each statement: "-> col(pii), clean [filtered(pii)]".
 * `size` is that of `out`, which is always terminated. */
void fixture_print(const struct lineage *l, char *out, size_t size);
void fixture_print_statement(const struct lineage_statement *s, char *out, size_t size);

#endif
