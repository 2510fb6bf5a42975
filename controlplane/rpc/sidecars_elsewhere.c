/* A sidecar that is revoked at one control plane and connected to another one: that ends what it
 * runs, and who was asked reads in the log what it said. */
#include <stdio.h>
#include <time.h>

#include "base/uuid.h"
#include "controlplane/rpc/sidecars_internal.h"

enum {
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 256 << 20,
    PAGE = 256,
    PAGE_BYTES = 4 << 20,
    /* The others' news wait so long where a sidecar does not answer, once. */
    ANSWER_MS = 1000,
    CLOCKS_S = 5, /* that control planes may differ by */
};

/* --- at the one that has it --------------------------------------------------------------------
 */

static enum err record(struct services *services, const struct store_sidecar *sidecar,
                       const struct watchers_order *order, const struct watchers_answer *answer)
{
    char object[SIDECARS_OBJECT_SIZE];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    sidecars_describe(sidecar->id, object);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : sidecars_fill_end(order, answer, services_now(services), object,
                                                   arena, &action);
    by.subject = (char *)(uintptr_t)sidecar->revoked_by;
    action.by = &by;
    action.from = object;
    e = e == OK ? services_record_own(services, &action) : e;
    arena_destroy(arena);
    return e;
}

void sidecars_end_revoked(struct services *services, const struct store_sidecar *sidecar)
{
    char id[UUID_TEXT_SIZE];
    struct watchers_answers answers = {0};
    enum err e = uuid_make_v7(&services->with.clock, id);
    const struct watchers_order order = sidecars_order(id, sidecar->revoked_ns);
    if (e == OK) {
        e = watchers_order(services->watchers, sidecar->id, &order, ANSWER_MS * INT64_C(1000000),
                           &answers);
    }
    sidecars_close(services, sidecar);
    if (e == OK) {
        e = record(services, sidecar, &order, &answers.items[0]);
    }
    if (e != OK) { /* it is closed all the same; who was asked says that it was not confirmed */
        log_event(services->with.log, LOG_WARN, "end_not_recorded",
                  log_text("sidecar", sidecar->id), log_text("error", err_name(e)));
    }
    watchers_answers_finish(&answers);
}

/* --- at the one that was asked -----------------------------------------------------------------
 */

/* True: this record is what is awaited. */
static bool is_word(const struct store_audit_entry *entry, const char *object, struct arena *arena,
                    const char **out_why)
{
    Chaperone__V1__Record *r =
        chaperone__v1__record__unpack(NULL, entry->canonical.size, entry->canonical.data);
    bool is = r != NULL && r->event_case == CHAPERONE__V1__RECORD__EVENT_ACTION &&
              strcmp(r->action->action, "kill") == 0 && strcmp(r->action->object, object) == 0;
    if (is) {
        *out_why = r->action->error[0] == '\0'
                       ? NULL
                       : arena_copy_string(arena, bytes_of_string(r->action->error));
    }
    chaperone__v1__record__free_unpacked(r, NULL);
    return is;
}

static enum err look(struct store *store, const char *object, int64_t since_ns, struct arena *pages,
                     struct arena *arena, const char **out_why)
{
    const struct store_audit_filter filter = {.kinds = store_kind_bit(STORE_ACTION),
                                              .since_ns = since_ns};
    enum err e = OK;
    int64_t from = since_ns;
    for (bool more = true; e == OK && more;) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        arena_reset(pages);
        e = store_audit_page(store, &filter, from, PAGE, PAGE_BYTES, pages, &items, &count, &more,
                             NULL);
        for (size_t i = 0; e == OK && i < count; i++) {
            from = items[i].key + 1;
            if (is_word(&items[i], object, arena, out_why)) {
                return OK;
            }
        }
        more = more && count > 0;
    }
    return e == OK ? ERR_NOT_FOUND : e;
}

enum err sidecars_await_elsewhere(const struct call *call, const char *sidecar, int64_t since_ns,
                                  struct arena *arena, const char **out_why)
{
    const struct clock *clock = &call->services->with.clock;
    const struct timespec pause = {.tv_nsec = REPLICAS_POLL_MS * 1000000L};
    char object[SIDECARS_OBJECT_SIZE];
    int64_t wait_ns = (int64_t)REPLICAS_ORDER_WAIT_MS * 1000000;
    int64_t most_ns = services_order_timeout(call);
    int64_t until = clock_monotonic(clock) + (most_ns < wait_ns ? most_ns : wait_ns);
    int64_t from = since_ns - CLOCKS_S * INT64_C(1000000000);
    struct arena *pages = arena_create(ARENA_BLOCK, ARENA_CAP);
    sidecars_describe(sidecar, object);
    enum err e = pages == NULL ? ERR_NO_MEMORY : ERR_NOT_FOUND;
    for (bool again = false; e == ERR_NOT_FOUND && (!again || clock_monotonic(clock) < until);) {
        if (again) {
            (void)nanosleep(&pause, NULL);
        }
        again = true;
        e = look(call->services->with.store, object, from, pages, arena, out_why);
    }
    arena_destroy(pages);
    return e == ERR_NOT_FOUND ? ERR_TIMEOUT : e;
}
