#include "controlplane/log_keeper.h"

#include <stdio.h>
#include <stdlib.h>

#include "controlplane/witness/witness.h"

/* A witness is asked on the keeper's thread: one that is slow must not hold up the next checkpoint
 * for long. */
static const int64_t witness_timeout_ns = INT64_C(3) * 1000000000;

struct log_keeper {
    struct keeper *keeper;
    struct config *config; /* a reference: the keeper borrows its texts */
    char fallback[LOG_KEEPER_FALLBACK_SIZE];
    struct witness **witnesses; /* owned */
    struct keeper_witness *asked;
    struct journal *journal;
};

struct log_keys_options log_keeper_keys(const struct config *config, struct clock clock,
                                        char *fallback)
{
    const char *host = config->hostnames.count == 0 ? "localhost" : config->hostnames.items[0];
    (void)snprintf(fallback, LOG_KEEPER_FALLBACK_SIZE, "chaperone.%.200s/audit", host);
    return (struct log_keys_options){.data = config->data,
                                     .origin = config->audit_log.origin,
                                     .fallback = fallback,
                                     .overlap_ns = config->audit_log.key_overlap_ns,
                                     .clock = clock};
}

static enum err cosign(void *context, struct bytes note, uint64_t size,
                       const struct tlog_reader *reader, struct buffer *out_line,
                       uint64_t *out_seen, struct err_text *why)
{
    return witness_cosign(context, note, size, reader, out_line, out_seen, why);
}

static enum err read_key(const struct config_witness *w, struct tlog_verifier *out,
                         struct err_text *why)
{
    struct err_text reason = {0};
    if (tlog_verifier_parse(bytes_of_string(w->key), out, &reason) != OK) {
        return err_set(why, ERR_INVALID, "audit_log.witnesses: the key of %.100s: %s", w->url,
                       reason.text);
    }
    return out->type == TLOG_KEY_COSIGNATURE
               ? OK
               : err_set(why, ERR_INVALID,
                         "audit_log.witnesses: the key of %.100s is not one that cosigns "
                         "(`chaperone witness --show-key` prints it)",
                         w->url);
}

static enum err make_witness(const struct config_witness *w, struct clock clock,
                             struct keeper_witness *out, struct witness **out_witness,
                             struct err_text *why)
{
    struct err_text reason = {0};
    enum err e = read_key(w, &out->verifier, why);
    if (e != OK) {
        return e;
    }
    const struct witness_options options = {.url = w->url,
                                            .verifier = &out->verifier,
                                            .ca_file = w->ca_file,
                                            .timeout_ns = witness_timeout_ns,
                                            .clock = clock};
    e = witness_create(&options, out_witness, &reason);
    if (e != OK) {
        return err_set(why, e, "audit_log.witnesses: %s", reason.text);
    }
    out->cosign = cosign;
    out->context = *out_witness;
    return OK;
}

enum err log_keeper_check(const struct config *config, struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < config->audit_log.witnesses.count; i++) {
        struct keeper_witness asked = {.context = NULL};
        struct witness *witness = NULL;
        e = make_witness(&config->audit_log.witnesses.items[i], clock_system(), &asked, &witness,
                         why);
        witness_destroy(witness);
    }
    return e;
}

static enum err open_keeper(struct log_keeper *k, struct store *store, struct clock clock,
                            const struct log *log, struct err_text *why)
{
    const struct config *config = k->config;
    size_t count = config->audit_log.witnesses.count;
    k->witnesses = calloc(count + 1, sizeof(struct witness *));
    k->asked = calloc(count + 1, sizeof(*k->asked));
    enum err e = k->witnesses == NULL || k->asked == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = make_witness(&config->audit_log.witnesses.items[i], clock, &k->asked[i],
                         &k->witnesses[i], why);
    }
    if (e != OK) {
        return e;
    }
    const struct log_keys_options keys = log_keeper_keys(config, clock, k->fallback);
    const struct keeper_options options = {.store = store,
                                           .data = config->data,
                                           .origin = keys.origin,
                                           .fallback = keys.fallback,
                                           .interval_ns = config->audit_log.interval_ns,
                                           .key_overlap_ns = keys.overlap_ns,
                                           .witnesses = k->asked,
                                           .witness_count = count,
                                           .quorum = config->audit_log.quorum,
                                           .clock = clock,
                                           .log = log};
    return keeper_create(&options, &k->keeper, why);
}

enum err log_keeper_create(const struct config *config, struct store *store, struct clock clock,
                           const struct log *log, struct log_keeper **out, struct err_text *why)
{
    struct log_keeper *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return ERR_NO_MEMORY;
    }
    k->config = config_retain((struct config *)(uintptr_t)config);
    enum err e = open_keeper(k, store, clock, log, why);
    if (e != OK) {
        log_keeper_destroy(k);
        return e;
    }
    *out = k;
    return OK;
}

/* A key's change is what a person did; the others are what was found. */
static enum err report(void *context, const char *kind, const char *detail)
{
    struct log_keeper *k = context;
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    struct journal_entry entry = {.session = NULL};
    if (strcmp(kind, "log_key") == 0) {
        static char name[] = "log_key";
        action.action = name;
        action.object = (char *)(uintptr_t)detail;
        entry.action = &action;
    } else {
        finding.kind = (char *)(uintptr_t)kind;
        finding.detail = (char *)(uintptr_t)detail;
        entry.finding = &finding;
    }
    return journal_append(k->journal, &entry, NULL);
}

enum err log_keeper_start(struct log_keeper *keeper, struct journal *journal)
{
    keeper->journal = journal;
    return keeper_start(keeper->keeper, report, keeper);
}

void log_keeper_stop(struct log_keeper *keeper)
{
    if (keeper != NULL && keeper->keeper != NULL) {
        keeper_stop(keeper->keeper);
    }
}

void log_keeper_destroy(struct log_keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    keeper_destroy(keeper->keeper);
    for (size_t i = 0; keeper->witnesses != NULL && keeper->witnesses[i] != NULL; i++) {
        witness_destroy(keeper->witnesses[i]);
    }
    free(keeper->witnesses);
    free(keeper->asked);
    config_release(keeper->config);
    free(keeper);
}

struct keeper *log_keeper_of(struct log_keeper *keeper)
{
    return keeper->keeper;
}
