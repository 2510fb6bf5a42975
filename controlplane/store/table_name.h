/* Names of tables, brought to one form so that a search finds them however they were written.
 *
 * A name has one or more parts, parted by dots; a part may be quoted as "SQL" or `MySQL` does,
 * with the quote doubled inside. The one form: parts in lower case (ASCII), quoted ("") only
 * where they hold something else than letters, digits, _, $ and bytes beyond ASCII. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_TABLE_NAME_H
#define CHAPERONE_CONTROLPLANE_STORE_TABLE_NAME_H

#include "base/arena.h"
#include "base/bytes.h"

struct table_name {
    struct bytes full; /* public.orders */
    struct bytes last; /* orders: its last part, never quoted */
};

/* Any bytes give some name (a quote without its end runs to the end): what an agent wrote must be
 * findable. Both in `arena`. ERR_INVALID: nothing is left of it. */
enum err table_name_parse(struct bytes written, struct arena *arena,
                          struct table_name *out) MUST_USE;

/* True when one is the other's tail, part by part: orders and public.orders, but not
 * public.orders and sales.orders. Takes full names as parse made them. */
bool table_name_is_same(struct bytes a, struct bytes b);

#endif
