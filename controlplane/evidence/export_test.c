#include "controlplane/evidence/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/audit/fixture.h"

/* A log that stands at `size`; what came of an export, in short. */
struct received {
    uint64_t size; /* of the newest checkpoint; 0: none */
    uint64_t asked;
    enum err tile_error;
    char order[64]; /* h e a p s i t . for the kinds of parts, each run once */
    uint64_t matching, entries, greatest, end, tiles;
    uint64_t policies[8], policy_count;
    char sidecar[64], issuer_key[64];
    int stop_after; /* parts; 0: never */
    int parts;
};

static enum err get_checkpoint(void *context, uint64_t size, struct arena *arena,
                               Chaperone__V1__Checkpoint *out)
{
    struct received *r = context;
    r->asked = size;
    if (r->size == 0) {
        return ERR_NOT_FOUND;
    }
    chaperone__v1__checkpoint__init(out);
    out->size = r->size;
    out->root.data = arena_alloc(arena, TLOG_HASH_SIZE);
    out->root.len = TLOG_HASH_SIZE;
    return out->root.data == NULL ? ERR_NO_MEMORY : OK;
}

static enum err get_tile(void *context, uint64_t size, const struct tlog_tile *tile,
                         struct buffer *out)
{
    static const uint8_t zeros[TLOG_TILE_BYTES];
    struct received *r = context;
    assert_int_equal(size, r->size);
    return r->tile_error != OK
               ? r->tile_error
               : buffer_append(out, bytes_of(zeros, (size_t)tile->width * TLOG_HASH_SIZE));
}

static char letter_of(const Chaperone__V1__ExportPart *part)
{
    static const char letters[] = "?heapsit.";
    assert_in_range(part->part_case, 1, 8);
    return letters[part->part_case];
}

static void take_entries(struct received *r, const Chaperone__V1__ExportEntries *entries)
{
    for (size_t i = 0; i < entries->n_entries; i++) {
        const Chaperone__V1__Entry *e = entries->entries[i];
        assert_int_equal(e->hash.len, STORE_HASH_SIZE);
        assert_true(e->record.len > 0 && e->kind[0] != '\0');
        r->greatest = e->position > r->greatest ? e->position : r->greatest;
        r->entries++;
    }
}

static bool on_part(void *context, const Chaperone__V1__ExportPart *part)
{
    struct received *r = context;
    char letter = letter_of(part);
    size_t used = strlen(r->order);
    if (used == 0 || r->order[used - 1] != letter) {
        assert_true(used + 1 < sizeof(r->order));
        r->order[used] = letter;
    }
    switch (part->part_case) {
    case CHAPERONE__V1__EXPORT_PART__PART_HEADER: r->matching = part->header->matching; break;
    case CHAPERONE__V1__EXPORT_PART__PART_ENTRIES: take_entries(r, part->entries); break;
    case CHAPERONE__V1__EXPORT_PART__PART_POLICY:
        r->policies[r->policy_count++] = part->policy->revision;
        break;
    case CHAPERONE__V1__EXPORT_PART__PART_SIDECAR:
        (void)snprintf(r->sidecar, sizeof(r->sidecar), "%s", part->sidecar->sidecar);
        break;
    case CHAPERONE__V1__EXPORT_PART__PART_ISSUER_KEY:
        (void)snprintf(r->issuer_key, sizeof(r->issuer_key), "%s", part->issuer_key->key_id);
        break;
    case CHAPERONE__V1__EXPORT_PART__PART_TILE: r->tiles++; break;
    case CHAPERONE__V1__EXPORT_PART__PART_END: r->end = part->end->entries; break;
    default: break;
    }
    return ++r->parts != r->stop_after;
}

static Chaperone__V1__SearchRequest everything = CHAPERONE__V1__SEARCH_REQUEST__INIT;

static enum err export(struct test *t, struct received *r, Chaperone__V1__SearchRequest *filter,
                       bool with_all, struct err_text *why) {
    Chaperone__V1__ExportRequest request = CHAPERONE__V1__EXPORT_REQUEST__INIT;
    const struct export_options options = {.store = t->store,
                                           .log = {.checkpoint = get_checkpoint,
                                                   .tile = get_tile,
                                                   .context = r},
                                           .clock = clock_system(),
                                           .made_by = "auditor",
                                           .version = "1",
                                           .on_part = on_part,
                                           .context = r};
    request.filter = filter;
    request.with_proofs = with_all;
    request.with_context = with_all;
    return export_run(&options, &request, why);
}

static void add_policy(struct test *t, uint64_t revision, int64_t created_ns)
{
    const struct store_policy policy = {.revision = revision,
                                        .hash = "aa",
                                        .document = bytes_of_string("{}"),
                                        .signature = bytes_of_string("s"),
                                        .public_key = bytes_of_string("k"),
                                        .source = "",
                                        .created_by = "ann",
                                        .created_ns = created_ns};
    assert_int_equal(store_policy_add(t->store, &policy), OK);
}

static void test_all_of_it_comes_in_order(void **state)
{
    struct test *t = *state;
    struct received r = {.size = 11};
    struct err_text why = {.text = ""};
    fixture_fill(t);
    add_policy(t, 1, 1);
    assert_int_equal(store_issuer_key_seen(t->store, "https://i", "key-1", "{}", 5), OK);
    assert_int_equal(export(t, &r, &everything, true, &why), OK);
    assert_string_equal(r.order, "hepsit.");
    assert_int_equal(r.asked, 11); /* all that there is should be in the checkpoint */
    assert_int_equal(r.matching, 11);
    assert_int_equal(r.entries, 11);
    assert_int_equal(r.end, 11);
    assert_int_equal(r.tiles, 1);
    assert_string_equal(r.sidecar, "s1");
    assert_string_equal(r.issuer_key, "key-1");
}

static void test_only_the_checkpoint_is_exported(void **state)
{
    struct test *t = *state;
    struct received r = {.size = 6};
    fixture_fill(t);
    assert_int_equal(export(t, &r, &everything, false, NULL), OK);
    assert_string_equal(r.order, "he.");
    assert_int_equal(r.entries, 6);
    assert_int_equal(r.greatest, 6);
}

static void test_a_filter_that_nothing_matches(void **state)
{
    static char nobody[] = "nobody";
    struct test *t = *state;
    struct received r = {.size = 11};
    Chaperone__V1__SearchRequest filter = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    filter.identity = nobody;
    fixture_fill(t);
    assert_int_equal(export(t, &r, &filter, true, NULL), OK);
    assert_string_equal(r.order, "ht.");
    assert_int_equal(r.matching, 0);
    assert_int_equal(r.tiles, 1); /* the root can still be computed */
}

/* Of the time that is asked for: those that were made in it, and the one before. */
static void test_policies_that_were_in_force_come_along(void **state)
{
    struct test *t = *state;
    struct received r = {.size = 11};
    Chaperone__V1__SearchRequest filter = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    fixture_fill(t);
    for (uint64_t i = 1; i <= 5; i++) {
        add_policy(t, i, (int64_t)i * 10);
    }
    filter.since_unix_ns = 25;
    filter.until_unix_ns = 45;
    assert_int_equal(export(t, &r, &filter, true, NULL), OK);
    assert_int_equal(r.policy_count, 3);
    assert_int_equal(r.policies[0], 4);
    assert_int_equal(r.policies[2], 2);
}

static void test_what_fails_has_no_end(void **state)
{
    struct test *t = *state;
    struct received none = {.size = 0}, broken = {.size = 11, .tile_error = ERR_UNAVAILABLE},
                    stopped = {.size = 11, .stop_after = 2}, wrong = {.size = 11};
    static char kind[] = "lies", *kinds[] = {kind};
    Chaperone__V1__SearchRequest filter = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct err_text why = {.text = ""};
    fixture_fill(t);
    assert_int_equal(export(t, &none, &everything, true, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "no checkpoint"));
    assert_int_equal(export(t, &broken, &everything, true, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "tile/0/"));
    assert_null(strchr(broken.order, '.'));
    assert_int_equal(export(t, &stopped, &everything, true, &why), ERR_CLOSED);
    assert_int_equal(stopped.parts, 2);
    filter.kinds = kinds;
    filter.n_kinds = 1;
    assert_int_equal(export(t, &wrong, &filter, true, &why), ERR_INVALID);
    assert_int_equal(export(t, &wrong, NULL, true, &why), ERR_INVALID);
    assert_int_equal(wrong.parts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_all_of_it_comes_in_order),
        FIXTURE_TEST(test_only_the_checkpoint_is_exported),
        FIXTURE_TEST(test_a_filter_that_nothing_matches),
        FIXTURE_TEST(test_policies_that_were_in_force_come_along),
        FIXTURE_TEST(test_what_fails_has_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
