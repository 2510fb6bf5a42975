#include "controlplane/audit/journal.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/crypto/crypto.h"
#include "controlplane/audit/record.h"

enum {
    ARENA_BLOCK = 16 << 10,
    ARENA_CAP = 64 << 20,
    SALT_SIZE = 16,
    /* Each try loses only to another control plane that wrote. Where four of them do nothing else,
     * three of four tries are lost, but not 60 in a row. */
    TRIES_MAX = 60,
    JITTER_US = 2000, /* times the number of tries so far: about what an append takes */
    JITTER_TRIES_MAX = 20,
};

struct journal {
    struct journal_options with;
    pthread_mutex_t mutex; /* guards the rest */
    struct arena *arena;
    struct store_audit_last last;
    bool last_is_known; /* not at first, and not after a write that failed */
};

struct journal *journal_create(const struct journal_options *options)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return NULL;
    }
    j->with = *options;
    j->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (j->arena == NULL) {
        free(j);
        return NULL;
    }
    (void)pthread_mutex_init(&j->mutex, NULL);
    return j;
}

void journal_destroy(struct journal *journal)
{
    if (journal != NULL) {
        (void)pthread_mutex_destroy(&journal->mutex);
        arena_destroy(journal->arena);
        free(journal);
    }
}

/* --- with the mutex held -----------------------------------------------------------------------
 */

static enum err pack(struct journal *j, const struct journal_entry *entry,
                     const struct store_audit_last *last, struct bytes *out)
{
    static char stream[] = JOURNAL_STREAM;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    record.sidecar = stream;
    record.sequence = last->sequence + 1;
    record.previous =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)last->hash, .len = STORE_HASH_SIZE};
    record.time_unix_ns = clock_wall(&j->with.clock);
    record.session = (char *)(uintptr_t)(entry->session == NULL ? "" : entry->session);
    uint8_t salt[SALT_SIZE];
    if (record.session[0] != '\0') {
        struct crypto_random random = crypto_random_system();
        enum err err = crypto_random_fill(&random, salt, sizeof(salt));
        if (err != OK) {
            return err;
        }
        record.salt = (ProtobufCBinaryData){.data = salt, .len = sizeof(salt)};
    }
    if (entry->approval != NULL) {
        record.event_case = CHAPERONE__V1__RECORD__EVENT_APPROVAL;
        record.approval = (Chaperone__V1__Approval *)(uintptr_t)entry->approval;
    } else if (entry->finding != NULL) {
        record.event_case = CHAPERONE__V1__RECORD__EVENT_FINDING;
        record.finding = (Chaperone__V1__Finding *)(uintptr_t)entry->finding;
    } else {
        record.event_case = CHAPERONE__V1__RECORD__EVENT_ACTION;
        record.action = (Chaperone__V1__Action *)(uintptr_t)entry->action;
    }
    size_t size = chaperone__v1__record__get_packed_size(&record);
    uint8_t *data = size > AUDIT_RECORD_SIZE_MAX ? NULL : arena_alloc(j->arena, size);
    if (data == NULL) {
        return size > AUDIT_RECORD_SIZE_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
    }
    *out = bytes_of(data, chaperone__v1__record__pack(&record, data));
    return OK;
}

/* As a shipped record: what is written was understood before. Moves `last` on to it. */
static enum err prepare(struct journal *j, const struct journal_entry *entry,
                        struct store_audit_last *last, struct store_audit_record *out,
                        struct err_text *why)
{
    static const struct store_audit_opened nothing = {.refused = false};
    struct bytes canonical;
    struct audit_record record;
    if ((entry->approval != NULL) + (entry->action != NULL) + (entry->finding != NULL) != 1) {
        return err_set(why, ERR_INVALID,
                       "a record of the journal is an approval, an action or a finding");
    }
    enum err err = pack(j, entry, last, &canonical);
    if (err == OK) {
        err = audit_record_parse(canonical, j->arena, &record, why);
    }
    if (err != OK) {
        return err;
    }
    *out = record.stored;
    if (out->index.session.size > 0) {
        out->index.about = entry->about == NULL ? &nothing : entry->about;
    }
    last->sequence = out->sequence;
    memcpy(last->hash, out->hash, STORE_HASH_SIZE);
    return OK;
}

static enum err append(struct journal *j, const struct journal_entry *entries, size_t count,
                       journal_write_fn *write, void *context,
                       struct store_audit_appended *out_done, struct err_text *why)
{
    struct store_audit_record records[JOURNAL_ENTRIES_MAX];
    enum err err = OK;
    arena_reset(j->arena);
    if (!j->last_is_known) {
        err = store_audit_last(j->with.store, JOURNAL_STREAM, &j->last);
        j->last_is_known = err == OK;
    }
    struct store_audit_last last = j->last;
    for (size_t i = 0; err == OK && i < count; i++) {
        err = prepare(j, &entries[i], &last, &records[i], why);
    }
    if (err != OK) {
        return err;
    }
    const struct store_audit_write all = {.sidecar = JOURNAL_STREAM,
                                          .records = records,
                                          .count = count,
                                          .received_ns = clock_wall(&j->with.clock),
                                          .out = out_done};
    err = write(context, &all);
    if (err == OK) {
        j->last = out_done->last;
    } else {
        j->last_is_known = false; /* a commit that failed may yet be on the disk */
    }
    return err;
}

/* Whether somebody else has written the stream since its end was read. The store's word alone does
 * not say it: the write may be refused for a reason of its own. */
static bool has_moved(struct journal *j)
{
    struct store_audit_last now;
    return store_audit_last(j->with.store, JOURNAL_STREAM, &now) == OK &&
           (now.sequence != j->last.sequence ||
            memcmp(now.hash, j->last.hash, STORE_HASH_SIZE) != 0);
}

/* Not in step with those who wait for the same. */
static void wait_a_little(int tries)
{
    struct crypto_random random = crypto_random_system();
    uint8_t byte = UINT8_MAX;
    if (crypto_random_fill(&random, &byte, 1) != OK) {
        byte = UINT8_MAX;
    }
    tries = tries < JITTER_TRIES_MAX ? tries : JITTER_TRIES_MAX;
    const struct timespec time = {.tv_nsec = (long)JITTER_US * 1000 * tries * byte / UINT8_MAX};
    (void)nanosleep(&time, NULL);
}

static enum err append_again(struct journal *j, const struct journal_entry *entries, size_t count,
                             journal_write_fn *write, void *context,
                             struct store_audit_appended *out_done, struct err_text *why)
{
    for (int tries = 1;; tries++) {
        enum err err = append(j, entries, count, write, context, out_done, why);
        /* ERR_INTERNAL: of an append in the transaction of something else. */
        bool may_be_beaten =
            (err == ERR_EXISTS || err == ERR_INVALID || err == ERR_INTERNAL) && !j->last_is_known;
        if (!may_be_beaten || !has_moved(j)) {
            return err;
        }
        if (tries == TRIES_MAX) {
            return err_set(why, ERR_UNAVAILABLE, "other control planes write the journal");
        }
        wait_a_little(tries);
    }
}

/* --- from outside ------------------------------------------------------------------------------
 */

enum err journal_append_with(struct journal *journal, const struct journal_entry *entries,
                             size_t count, journal_write_fn *write, void *context,
                             struct err_text *why)
{
    struct store_audit_appended done = {.added = 0};
    if (count == 0 || count > JOURNAL_ENTRIES_MAX) {
        return err_set(why, ERR_INVALID, "1 to %d records are written at once",
                       JOURNAL_ENTRIES_MAX);
    }
    (void)pthread_mutex_lock(&journal->mutex);
    enum err err = append_again(journal, entries, count, write, context, &done, why);
    (void)pthread_mutex_unlock(&journal->mutex);
    if (err == OK && done.added > 0 && journal->with.feed != NULL) {
        audit_feed_publish(journal->with.feed, done.last_position);
    }
    return err;
}

static enum err write_alone(void *context, const struct store_audit_write *write)
{
    return store_audit_append(context, write->sidecar, write->records, write->count,
                              write->received_ns, write->out, NULL, NULL);
}

enum err journal_append(struct journal *journal, const struct journal_entry *entry,
                        struct err_text *why)
{
    return journal_append_with(journal, entry, 1, write_alone, journal->with.store, why);
}
