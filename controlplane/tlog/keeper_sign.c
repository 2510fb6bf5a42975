/* Signs, asks witnesses, publishes. */
#include "controlplane/tlog/keeper_internal.h"

#include <stdio.h>

#include "base/file.h"
#include "controlplane/files/files.h"

static const int64_t second_ns = 1000000000;
enum { PAUSE_FIRST_S = 5, PAUSE_MAX_S = 300 };

enum err keeper_open_note(struct keeper *k, struct bytes note, struct tlog_checkpoint *out,
                          size_t *out_cosigned, struct err_text *why)
{
    struct tlog_verifier witnesses[KEEPER_WITNESSES_MAX];
    struct tlog_checkpoint_seal seal = {.witnesses = 0};
    struct tlog_trust trust = {.origin = log_keys_origin(k->keys),
                               .witnesses = witnesses,
                               .witness_count = k->with.witness_count};
    trust.logs = log_keys_known(k->keys, &trust.log_count);
    for (size_t i = 0; i < k->with.witness_count; i++) {
        witnesses[i] = k->with.witnesses[i].verifier;
    }
    enum err e = tlog_checkpoint_open(note, &trust, out, &seal, why);
    if (e == OK && out_cosigned != NULL) {
        *out_cosigned = seal.witnesses;
    }
    return e;
}

/* --- signing -----------------------------------------------------------------------------------
 */

/* The last look before a signature: what is on the disk makes this root, and begins with what was
 * signed before. */
static enum err check_tiles(struct keeper *k, const struct keeper_head *next, struct err_text *why)
{
    struct tlog_tile_reader *tiles = NULL;
    struct tlog_proof proof;
    struct tlog_hash root;
    enum err e = tlog_tile_reader_create(tile_directory_source(k->directory), next->size, &tiles);
    if (e == OK) {
        struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
        e = tlog_tree_root(&reader, next->size, &root);
        if (e == OK) {
            e = tlog_tree_prove_consistency(&reader, next->size, k->head.size, &proof);
        }
    }
    tlog_tile_reader_destroy(tiles);
    if (e == ERR_NO_MEMORY) {
        return e;
    }
    if (e != OK || !tlog_hash_equal(&root, &next->root) ||
        (k->head.size > 0 && !tlog_tree_check_consistency(&proof, next->size, k->head.size,
                                                          &next->root, &k->head.root))) {
        return err_set(why, ERR_INVALID, "the tiles on the disk do not make the tree in memory");
    }
    return OK;
}

static enum err make_note(struct keeper *k, const struct keeper_head *head, struct buffer *out)
{
    struct tlog_signer signers[LOG_SIGNERS_MAX];
    const struct tlog_checkpoint c = {.origin = bytes_of_string(log_keys_origin(k->keys)),
                                      .size = head->size,
                                      .root = head->root};
    size_t count = log_keys_signers(k->keys, head->time_ns, signers);
    struct buffer text;
    buffer_init(&text, TLOG_NOTE_SIZE_MAX);
    enum err e = count == 0 ? ERR_INTERNAL : tlog_checkpoint_format(&c, &text);
    if (e == OK) {
        e = tlog_note_sign(buffer_bytes(&text), signers, count, 0, out);
    }
    buffer_finish(&text);
    return e;
}

/* The row in the store is what makes it signed: until it is committed, nobody is shown the note. */
static enum err commit(struct keeper *k, const struct keeper_head *next, const struct buffer *note,
                       struct err_text *why)
{
    struct store_checkpoint row = {
        .size = next->size, .time_ns = next->time_ns, .note = buffer_bytes(note)};
    memcpy(row.root, next->root.bytes, STORE_HASH_SIZE);
    keeper_step(k, "checkpoint_add");
    enum err e = store_checkpoint_add(k->with.store, &row);
    if (e == ERR_EXISTS || e == ERR_DENIED) {
        return e; /* another control plane was faster: the next turn sees what it signed */
    }
    if (e != OK) {
        return err_set(why, e, "the store cannot take the checkpoint: %s", err_name(e));
    }
    keeper_step(k, "checkpoint_added");
    k->head = *next;
    k->cosignatures = 0;
    buffer_clear(&k->note);
    e = buffer_append(&k->note, buffer_bytes(note));
    return e == OK ? file_replace(k->signed_path, 0600, buffer_bytes(note), why) : e;
}

enum err keeper_sign(struct keeper *k, struct err_text *why)
{
    struct keeper_head next = {.size = tlog_grow_size(k->grow),
                               .time_ns = clock_wall(&k->with.clock)};
    struct buffer note;
    buffer_init(&note, TLOG_NOTE_SIZE_MAX);
    enum err e = keeper_tree_flush(k, why);
    if (e == OK) {
        e = tlog_grow_root(k->grow, &next.root);
    }
    if (e == OK) {
        e = check_tiles(k, &next, why);
    }
    if (e == OK) {
        e = make_note(k, &next, &note);
    }
    if (e == OK) {
        e = commit(k, &next, &note, why);
    }
    if (e == OK) {
        k->signed_at_ns = clock_monotonic(&k->with.clock);
    }
    buffer_finish(&note);
    return e == ERR_EXISTS || e == ERR_DENIED ? OK : e;
}

/* --- witnesses ---------------------------------------------------------------------------------
 */

static void pause_asking(struct keeper *k, struct keeper_asked *a, int64_t first_s)
{
    int64_t now = clock_monotonic(&k->with.clock);
    a->pause_ns = a->pause_ns == 0 ? first_s * second_ns : a->pause_ns * 2;
    a->pause_ns = a->pause_ns > PAUSE_MAX_S * second_ns ? PAUSE_MAX_S * second_ns : a->pause_ns;
    a->not_before_ns = now + a->pause_ns;
}

static bool has_signed(struct bytes note, const struct tlog_verifier *witness)
{
    struct tlog_note parsed;
    enum tlog_signature_state state = TLOG_SIGNATURE_ABSENT;
    return tlog_note_parse(note, &parsed, NULL) == OK &&
           tlog_note_check(&parsed, witness, &state, NULL) == OK && state == TLOG_SIGNATURE_GOOD;
}

/* The note with one more line counts only when it verifies as a whole. One that has signed before
 * was asked for what it has seen: its line is not needed twice. */
static enum err add_line(struct keeper *k, const struct tlog_verifier *witness,
                         const struct buffer *line, struct err_text *why)
{
    struct buffer note;
    struct tlog_checkpoint c;
    size_t cosigned = 0;
    bool again = has_signed(buffer_bytes(&k->note), witness);
    buffer_init(&note, TLOG_NOTE_SIZE_MAX);
    enum err e = buffer_append(&note, buffer_bytes(&k->note));
    if (e == OK) {
        e = buffer_append(&note, buffer_bytes(line));
    }
    if (e == OK) {
        e = keeper_open_note(k, buffer_bytes(&note), &c, &cosigned, why);
    }
    if (e == OK && !has_signed(buffer_bytes(&note), witness)) {
        e = err_set(why, ERR_DENIED, "what it answered is not its signature");
    }
    if (e == OK && !again) {
        keeper_step(k, "set_note");
        e = store_checkpoint_set_note(k->with.store, k->head.size, buffer_bytes(&note));
        if (e == OK) {
            buffer_clear(&k->note);
            e = buffer_append(&k->note, buffer_bytes(&note));
            k->cosignatures = cosigned;
        }
    }
    buffer_finish(&note);
    return e;
}

/* A witness's word alone stops nothing as long as others make the quorum without it. */
static enum err weigh_refusals(struct keeper *k, enum err reason, uint64_t seen, const char *name)
{
    char text[256];
    size_t refusing = 0, needed = k->with.quorum == 0 ? 1 : k->with.quorum;
    for (size_t i = 0; i < k->with.witness_count; i++) {
        refusing += k->asked[i].contradicts ? 1 : 0;
    }
    (void)snprintf(text, sizeof(text), "the witness %.100s has seen %llu records of this log, %s",
                   name, (unsigned long long)seen,
                   reason == ERR_EXISTS ? "more than there are" : "others than there are");
    if (refusing + needed <= k->with.witness_count) {
        keeper_report_once(k, "witness_refused", k->head.size, text);
        return OK;
    }
    return keeper_halt(k, reason == ERR_EXISTS ? KEEPER_ROLLED_BACK : KEEPER_FORKED, k->head.size,
                       text);
}

static bool store_has_signed(struct keeper *k, uint64_t size)
{
    struct store_checkpoint latest;
    return store_checkpoint_latest(k->with.store, k->arena, &latest) == OK && latest.size >= size;
}

static enum err refused(struct keeper *k, size_t i, enum err reason, uint64_t seen,
                        const struct err_text *why)
{
    const char *name = k->with.witnesses[i].verifier.name;
    struct keeper_asked *a = &k->asked[i];
    bool again = a->said;
    if (reason == ERR_EXISTS && store_has_signed(k, seen)) {
        return OK; /* another control plane on this store: the next turn sees it */
    }
    bool is_its_word = reason == ERR_EXISTS || reason == ERR_INVALID || reason == ERR_DENIED;
    pause_asking(k, a, is_its_word ? PAUSE_MAX_S : PAUSE_FIRST_S);
    a->said = true;
    if (!again) {
        log_event(k->with.log, LOG_WARN, "witness_refused", log_text("witness", name),
                  log_text("error", err_name(reason)), log_text("reason", why->text));
    }
    if (reason == ERR_EXISTS || reason == ERR_INVALID) {
        a->contradicts = true;
        return weigh_refusals(k, reason, seen, name);
    }
    if (reason == ERR_DENIED && !again) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%.80s: %.160s", name, why->text);
        keeper_report_once(k, "witness_refused", k->head.size, text);
    }
    return OK;
}

static enum err ask(struct keeper *k, size_t i, const struct tlog_reader *reader)
{
    const struct keeper_witness *w = &k->with.witnesses[i];
    struct keeper_asked *a = &k->asked[i];
    struct err_text why = {0};
    struct buffer line;
    uint64_t seen = 0;
    buffer_init(&line, TLOG_NOTE_SIZE_MAX);
    keeper_step(k, "cosign");
    enum err e =
        w->cosign(w->context, buffer_bytes(&k->note), k->head.size, reader, &line, &seen, &why);
    if (e == OK) {
        e = add_line(k, &w->verifier, &line, &why);
    }
    if (e == OK) {
        *a = (struct keeper_asked){.cosigned = k->head.size, .checked = true};
    } else {
        a->checked = e == ERR_EXISTS || e == ERR_INVALID || e == ERR_DENIED;
        e = refused(k, i, e, seen, &why);
    }
    buffer_finish(&line);
    return e;
}

enum err keeper_ask_witnesses(struct keeper *k, struct err_text *why)
{
    struct tlog_tile_reader *tiles = NULL;
    int64_t now = clock_monotonic(&k->with.clock);
    if (k->head.size == 0 || k->with.witness_count == 0) {
        return OK;
    }
    enum err e = tlog_tile_reader_create(tile_directory_source(k->directory), k->flushed, &tiles);
    if (e != OK) {
        return err_set(why, e, "no memory");
    }
    struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
    for (size_t i = 0; e == OK && i < k->with.witness_count; i++) {
        bool is_well = keeper_state_is_well(k->status.state) || k->status.state == KEEPER_FAILING;
        if (is_well && k->asked[i].cosigned != k->head.size && k->asked[i].not_before_ns <= now) {
            e = ask(k, i, &reader);
        }
    }
    tlog_tile_reader_destroy(tiles);
    return e;
}

/* --- publishing --------------------------------------------------------------------------------
 */

enum err keeper_publish(struct keeper *k, struct err_text *why)
{
    bool is_new = k->published.size != k->head.size ||
                  !bytes_equal(buffer_bytes(&k->published_note), buffer_bytes(&k->note));
    if (k->head.size == 0 || !is_new || k->cosignatures < k->with.quorum) {
        return OK;
    }
    enum err e = keeper_tree_put_edge(k, k->head.size, why);
    if (e == OK) {
        e = tile_directory_publish(k->directory, buffer_bytes(&k->note), why);
    }
    if (e != OK) {
        return e;
    }
    (void)pthread_mutex_lock(&k->mutex);
    buffer_clear(&k->published_note);
    e = buffer_append(&k->published_note, buffer_bytes(&k->note));
    if (e == OK) {
        k->published = k->head;
        k->status.published = k->head.size;
        k->status.published_ns = k->head.time_ns;
        k->status.cosigned = k->cosignatures;
    }
    (void)pthread_cond_broadcast(&k->changed);
    (void)pthread_mutex_unlock(&k->mutex);
    tile_directory_sweep(k->directory, k->swept, k->head.size);
    k->swept = k->head.size;
    return e;
}
