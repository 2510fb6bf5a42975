/* What PostgreSQL calls the columns of a statement's result (FigureColname in parse_target.c), as
 * far as the text alone says. */
#ifndef CHAPERONE_CLI_POLICY_RESULT_NAMES_H
#define CHAPERONE_CLI_POLICY_RESULT_NAMES_H

#include "base/bytes.h"

struct result_names;

/* Returns owned. ERR_INVALID: not SQL. */
enum err result_names_create(const char *sql, struct result_names **out) MUST_USE;
void result_names_destroy(struct result_names *r); /* takes NULL */

/* The column `number` of `count`, from 0, of a statement, from 0. `origin` is what a column is
 * called there where it comes from, for those that a `*` stands for; NULL: not known. Valid until
 * destroy, or as long as `origin`. */
const char *result_names_find(const struct result_names *r, size_t statement, size_t number,
                              size_t count, const char *origin);

#endif
