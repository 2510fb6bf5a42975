/* What others ask of the log, on any thread. */
#include "controlplane/tlog/keeper_internal.h"

#include <time.h>

enum { LOOK_MAX = 64 }; /* checkpoints that are looked through for one with a quorum */

void keeper_read_status(struct keeper *keeper, struct keeper_status *out)
{
    (void)pthread_mutex_lock(&keeper->mutex);
    *out = keeper->status;
    (void)pthread_mutex_unlock(&keeper->mutex);
}

/* --- checkpoints -------------------------------------------------------------------------------
 */

/* With the mutex held. */
static enum err copy_published(const struct keeper *k, struct arena *arena,
                               struct keeper_checkpoint *out)
{
    struct bytes note = buffer_bytes(&k->published_note);
    if (k->published.size == 0) {
        return ERR_NOT_FOUND;
    }
    char *copy = arena_copy_string(arena, note);
    const char *origin = arena_copy_string(arena, bytes_of_string(log_keys_origin(k->keys)));
    if (copy == NULL || origin == NULL) {
        return ERR_NO_MEMORY;
    }
    *out = (struct keeper_checkpoint){.size = k->published.size,
                                      .root = k->published.root,
                                      .time_ns = k->published.time_ns,
                                      .note = bytes_of(copy, note.size),
                                      .origin = origin};
    return OK;
}

enum err keeper_latest(struct keeper *keeper, struct arena *arena, struct keeper_checkpoint *out)
{
    (void)pthread_mutex_lock(&keeper->mutex);
    enum err e = copy_published(keeper, arena, out);
    (void)pthread_mutex_unlock(&keeper->mutex);
    return e;
}

/* Whether this one of the store may be shown. */
static bool is_good(struct keeper *k, const struct store_checkpoint *stored,
                    struct keeper_checkpoint *out)
{
    struct tlog_checkpoint c;
    size_t cosigned = 0;
    (void)pthread_mutex_lock(&k->mutex);
    enum err e = keeper_open_note(k, stored->note, &c, &cosigned, NULL);
    (void)pthread_mutex_unlock(&k->mutex);
    if (e != OK || cosigned < k->with.quorum || c.size != stored->size) {
        return false;
    }
    out->size = c.size;
    out->root = c.root;
    out->time_ns = stored->time_ns;
    out->note = stored->note;
    return true;
}

enum err keeper_checkpoint_from(struct keeper *keeper, uint64_t size, struct arena *arena,
                                struct keeper_checkpoint *out)
{
    struct keeper_checkpoint found;
    struct store_checkpoint stored;
    enum err e = keeper_latest(keeper, arena, &found);
    if (e != OK || found.size < size) {
        return e == OK ? ERR_NOT_FOUND : e;
    }
    uint64_t from = size == 0 ? 1 : size;
    for (size_t i = 0; i < LOOK_MAX && from < found.size; i++, from = stored.size + 1) {
        if (store_checkpoint_from(keeper->with.store, from, arena, &stored) != OK ||
            stored.size >= found.size) {
            break;
        }
        if (is_good(keeper, &stored, &found)) {
            break;
        }
    }
    *out = found;
    return OK;
}

enum err keeper_await(struct keeper *keeper, uint64_t size, int64_t timeout_ns, struct arena *arena,
                      struct keeper_checkpoint *out)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + timeout_ns;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    (void)pthread_mutex_lock(&keeper->mutex);
    bool in_time = true;
    while (in_time && !keeper->stopping && keeper->published.size < size) {
        in_time = pthread_cond_timedwait(&keeper->changed, &keeper->mutex, &until) == 0;
    }
    bool is_there = keeper->published.size >= size;
    (void)pthread_mutex_unlock(&keeper->mutex);
    return is_there ? keeper_checkpoint_from(keeper, size, arena, out) : ERR_TIMEOUT;
}

/* --- keys --------------------------------------------------------------------------------------
 */

static enum err put_key(const struct tlog_verifier *v, struct arena *arena, char **out)
{
    struct buffer text;
    buffer_init(&text, TLOG_VERIFIER_TEXT_MAX + 1);
    enum err e = tlog_verifier_format(v, &text);
    if (e == OK) {
        *out = arena_copy_string(arena, buffer_bytes(&text));
        e = *out == NULL ? ERR_NO_MEMORY : OK;
    }
    buffer_finish(&text);
    return e;
}

enum err keeper_list_keys(struct keeper *keeper, struct arena *arena, struct keeper_keys *out)
{
    struct keeper_keys keys = {.witness_count = keeper->with.witness_count,
                               .quorum = keeper->with.quorum};
    keys.logs = arena_alloc(arena, LOG_KEYS_MAX * sizeof(char *));
    keys.witnesses = arena_alloc(arena, KEEPER_WITNESSES_MAX * sizeof(char *));
    if (keys.logs == NULL || keys.witnesses == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    (void)pthread_mutex_lock(&keeper->mutex);
    const struct tlog_verifier *known = log_keys_known(keeper->keys, &keys.log_count);
    for (size_t i = 0; e == OK && i < keys.log_count; i++) {
        e = put_key(&known[i], arena, &keys.logs[i]);
    }
    (void)pthread_mutex_unlock(&keeper->mutex);
    for (size_t i = 0; e == OK && i < keys.witness_count; i++) {
        e = put_key(&keeper->with.witnesses[i].verifier, arena, &keys.witnesses[i]);
    }
    if (e == OK) {
        *out = keys;
    }
    return e;
}

/* --- proofs and tiles --------------------------------------------------------------------------
 */

static enum err suspicious(struct keeper *k)
{
    (void)pthread_mutex_lock(&k->mutex);
    k->suspect = true;
    (void)pthread_mutex_unlock(&k->mutex);
    return ERR_UNAVAILABLE;
}

static enum err open_tree(struct keeper *k, uint64_t size, struct tlog_tile_reader **out)
{
    return tlog_tile_reader_create(tile_directory_source(k->directory), size, out);
}

enum err keeper_prove_inclusion(struct keeper *keeper, const struct keeper_checkpoint *checkpoint,
                                uint64_t index, const struct tlog_hash *leaf,
                                struct tlog_proof *out)
{
    struct tlog_tile_reader *tiles = NULL;
    struct tlog_proof proof;
    if (index >= checkpoint->size) {
        return ERR_INVALID;
    }
    enum err e = open_tree(keeper, checkpoint->size, &tiles);
    if (e != OK) {
        return e;
    }
    struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
    e = tlog_tree_prove_inclusion(&reader, checkpoint->size, index, &proof);
    tlog_tile_reader_destroy(tiles);
    if (e != OK ||
        !tlog_tree_check_inclusion(&proof, checkpoint->size, index, leaf, &checkpoint->root)) {
        return e == ERR_NO_MEMORY ? e : suspicious(keeper);
    }
    *out = proof;
    return OK;
}

enum err keeper_prove_consistency(struct keeper *keeper, const struct keeper_checkpoint *checkpoint,
                                  uint64_t before, struct tlog_proof *out)
{
    struct tlog_tile_reader *tiles = NULL;
    struct tlog_proof proof;
    struct tlog_hash root;
    if (before > checkpoint->size) {
        return ERR_INVALID;
    }
    enum err e = open_tree(keeper, checkpoint->size, &tiles);
    if (e != OK) {
        return e;
    }
    struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
    e = tlog_tree_prove_consistency(&reader, checkpoint->size, before, &proof);
    if (e == OK) {
        e = tlog_tree_root(&reader, before, &root);
    }
    tlog_tile_reader_destroy(tiles);
    if (e != OK ||
        !tlog_tree_check_consistency(&proof, checkpoint->size, before, &checkpoint->root, &root)) {
        return e == ERR_NO_MEMORY ? e : suspicious(keeper);
    }
    *out = proof;
    return OK;
}

enum err keeper_read_tile(struct keeper *keeper, uint64_t size, const struct tlog_tile *tile,
                          struct buffer *out)
{
    return tile_directory_has(size, tile) ? tile_directory_read(keeper->directory, tile, out)
                                          : ERR_INVALID;
}
