/* What the tests of memory.h share: a memory in a directory of its own, and a key to sign with.
 * Include cmocka.h before. */
#ifndef CHAPERONE_CLI_WITNESS_MEMORY_FIXTURE_H
#define CHAPERONE_CLI_WITNESS_MEMORY_FIXTURE_H

#include <stdlib.h>

#include "base/testing/scratch.h"
#include "cli/witness/memory.h"

struct fixture {
    char directory[SCRATCH_SIZE];
    struct crypto_ed25519 *key;
    struct tlog_signer self;
    struct memory *memory;
    struct err_text why;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    scratch_create(f->directory);
    assert_int_equal(crypto_ed25519_generate(&f->key), OK);
    assert_int_equal(
        tlog_signer_init(bytes_of_string("w.example"), TLOG_KEY_COSIGNATURE, f->key, &f->self), OK);
    assert_int_equal(memory_create(f->directory, &f->memory, &f->why), OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    memory_destroy(f->memory);
    crypto_ed25519_destroy(f->key);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

#endif
