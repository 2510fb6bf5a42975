/* Words as they are told from texts, beside the index itself with the same tokenizer: it is right.
 * What fails, fails the test. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_TOKENS_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_TOKENS_FIXTURE_H

#include <sqlite3.h>

#include "controlplane/store/sqlite_tokens.h"

enum { TOKENS_TEXT_MAX = 64 << 20 };

struct tokens_fixture {
    sqlite3 *handle;
    sqlite3_stmt *put, *drop, *terms, *ask;
    struct tokens *tokens;
    struct buffer set, terms_found;
    uint32_t seed;
};

int tokens_setup(void **state);
int tokens_teardown(void **state);
#define TOKENS_TEST(name) cmocka_unit_test_setup_teardown(name, tokens_setup, tokens_teardown)

/* Below `bound`, the same numbers in each run. */
uint32_t tokens_random(struct tokens_fixture *t, uint32_t bound);
/* The index has this text, and no other. */
void tokens_index_put(struct tokens_fixture *t, struct bytes text);
/* The set of the texts' words; valid until the next. */
struct bytes tokens_set_of(struct tokens_fixture *t, const struct bytes *texts, size_t count);

#endif
