/* What was signed, and whether the records are still those. */
#include "controlplane/tlog/keeper_internal.h"

#include <stdio.h>

#include "controlplane/files/files.h"

/* A note of a log that was ended, or of nobody known here. */
static bool is_former(struct keeper *k, struct bytes note)
{
    struct tlog_note parsed;
    struct tlog_checkpoint c;
    return tlog_note_parse(note, &parsed, NULL) == OK &&
           tlog_checkpoint_parse(parsed.text, &c, NULL) == OK &&
           log_keys_is_former(k->keys, c.origin);
}

static bool heads_differ(const struct keeper_head *a, const struct tlog_hash *root)
{
    return !tlog_hash_equal(&a->root, root);
}

/* --- the store's newest ------------------------------------------------------------------------
 */

/* Size 0: none of this log. ERR_DENIED: it is not of this log, or not signed with its keys. */
static enum err read_latest(struct keeper *k, struct keeper_head *out, struct bytes *out_note,
                            size_t *out_cosigned, struct err_text *why)
{
    struct store_checkpoint stored;
    struct tlog_checkpoint c;
    *out = (struct keeper_head){.size = 0};
    enum err e = store_checkpoint_latest(k->with.store, k->arena, &stored);
    if (e == ERR_NOT_FOUND || (e == OK && is_former(k, stored.note))) {
        return OK;
    }
    if (e != OK) {
        return err_set(why, e, "the store's checkpoints cannot be read: %s", err_name(e));
    }
    e = keeper_open_note(k, stored.note, &c, out_cosigned, why);
    if (e == OK &&
        (c.size != stored.size || memcmp(c.root.bytes, stored.root, TLOG_HASH_SIZE) != 0)) {
        e = err_set(why, ERR_DENIED, "a checkpoint in the store is not the one that was signed");
    }
    if (e == ERR_NO_MEMORY) {
        return e;
    }
    if (e != OK) {
        return ERR_DENIED;
    }
    *out = (struct keeper_head){.size = c.size, .root = c.root, .time_ns = stored.time_ns};
    *out_note = stored.note;
    return OK;
}

static enum err take_head(struct keeper *k, const struct keeper_head *head, struct bytes note,
                          size_t cosigned)
{
    k->head = *head;
    k->cosignatures = cosigned;
    buffer_clear(&k->note);
    return buffer_append(&k->note, note);
}

static enum err rolled_back(struct keeper *k, uint64_t is, uint64_t was)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "there are %llu records, but %llu were signed",
                   (unsigned long long)is, (unsigned long long)was);
    return keeper_halt(k, KEEPER_ROLLED_BACK, was, text);
}

static enum err forked(struct keeper *k, uint64_t size)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "the first %llu records are not those that were signed",
                   (unsigned long long)size);
    return keeper_halt(k, KEEPER_FORKED, size, text);
}

static enum err foreign(struct keeper *k, const struct err_text *why)
{
    struct err_text text;
    (void)err_set(&text, ERR_DENIED,
                  "the store has a checkpoint that is not of %.80s with a key known here (%.80s): "
                  "log.key and log.yaml of the control plane that made it are needed",
                  log_keys_origin(k->keys), why->text);
    keeper_set_state(k, KEEPER_FOREIGN, text.text);
    return OK;
}

/* --- this directory's files --------------------------------------------------------------------
 */

/* What cannot be believed proves nothing: it is said, and left out. */
static void read_note(struct keeper *k, const char *name, enum err e, const struct buffer *note,
                      struct keeper_head *out, size_t *out_cosigned)
{
    struct tlog_checkpoint c;
    struct err_text why = {0};
    *out = (struct keeper_head){.size = 0};
    if (e == ERR_NOT_FOUND) {
        return;
    }
    if (e == OK) {
        e = keeper_open_note(k, buffer_bytes(note), &c, out_cosigned, &why);
    }
    if (e == OK) {
        *out = (struct keeper_head){.size = c.size, .root = c.root};
    } else if (!is_former(k, buffer_bytes(note))) {
        log_event(k->with.log, LOG_WARN, "log_checkpoint_ignored", log_text("file", name),
                  log_text("reason", why.text));
    }
}

static void take_published(struct keeper *k, const struct keeper_head *head, struct bytes note,
                           size_t cosigned)
{
    (void)pthread_mutex_lock(&k->mutex);
    buffer_clear(&k->published_note);
    if (buffer_append(&k->published_note, note) == OK) {
        k->published = *head;
        k->status.published = head->size;
        k->status.cosigned = cosigned;
    }
    (void)pthread_mutex_unlock(&k->mutex);
}

/* --- beginning ---------------------------------------------------------------------------------
 */

/* The roots of what was signed here against the tree, which has grown beyond them. */
static enum err check_seen(struct keeper *k, const struct buffer *published, size_t cosigned,
                           struct err_text *why)
{
    struct tlog_hash root;
    enum err e = keeper_tree_flush(k, why);
    for (size_t i = 0; e == OK && i < 2; i++) {
        if (k->seen[i].size == 0) {
            continue;
        }
        e = keeper_tree_root(k, k->seen[i].size, &root);
        if (e != OK) {
            return err_set(why, e, "the tiles cannot be read: %s", err_name(e));
        }
        if (heads_differ(&k->seen[i], &root)) {
            return forked(k, k->seen[i].size);
        }
    }
    if (e == OK && k->seen[1].size > 0 && cosigned >= k->with.quorum) {
        take_published(k, &k->seen[1], buffer_bytes(published), cosigned);
    }
    return e;
}

/* The tree must reach what is to be compared: a turn takes in only so many records. */
static enum err follow_to(struct keeper *k, uint64_t size, struct err_text *why)
{
    enum err e = OK;
    uint64_t before = UINT64_MAX;
    while (e == OK && tlog_grow_size(k->grow) < size && tlog_grow_size(k->grow) != before) {
        before = tlog_grow_size(k->grow);
        e = keeper_tree_follow(k, why);
    }
    return e;
}

static uint64_t largest(const struct keeper *k, uint64_t size)
{
    for (size_t i = 0; i < 2; i++) {
        size = k->seen[i].size > size ? k->seen[i].size : size;
    }
    return size;
}

static enum err begin_from(struct keeper *k, const struct keeper_head *latest,
                           const struct buffer *published, size_t cosigned, struct err_text *why)
{
    uint64_t count = 0, was = largest(k, latest->size);
    enum err e = store_audit_count(k->with.store, &count);
    if (e != OK) {
        return err_set(why, e, "the store's records cannot be counted: %s", err_name(e));
    }
    if (count < was) {
        return rolled_back(k, count, was);
    }
    e = keeper_tree_open(k, latest, why);
    if (e == ERR_DENIED) {
        return forked(k, latest->size);
    }
    if (e == OK) {
        e = follow_to(k, was, why);
    }
    if (e == OK) {
        e = keeper_tree_follow(k, why);
    }
    return e == OK ? check_seen(k, published, cosigned, why) : e;
}

enum err keeper_begin(struct keeper *k, struct err_text *why)
{
    struct keeper_head latest;
    struct bytes note = {0};
    struct buffer local, published;
    size_t cosigned = 0, published_cosigned = 0;
    buffer_init(&local, TLOG_NOTE_SIZE_MAX);
    buffer_init(&published, TLOG_NOTE_SIZE_MAX);
    read_note(k, "log.signed", files_read(k->signed_path, &local, NULL), &local, &k->seen[0], NULL);
    read_note(k, "checkpoint", tile_directory_published(k->directory, &published), &published,
              &k->seen[1], &published_cosigned);
    enum err e = read_latest(k, &latest, &note, &cosigned, why);
    if (e == ERR_DENIED) {
        e = foreign(k, why);
    } else if (e == OK) {
        e = take_head(k, &latest, note, cosigned);
        if (e == OK) {
            e = begin_from(k, &latest, &published, published_cosigned, why);
        }
    }
    buffer_finish(&local);
    buffer_finish(&published);
    return e;
}

/* --- each turn ---------------------------------------------------------------------------------
 */

/* Another control plane has signed more. */
static enum err check_newer(struct keeper *k, const struct keeper_head *latest, struct bytes note,
                            size_t cosigned, struct err_text *why)
{
    struct tlog_hash root;
    uint64_t count = 0;
    enum err e = follow_to(k, latest->size, why);
    if (e == OK && tlog_grow_size(k->grow) < latest->size) {
        e = store_audit_count(k->with.store, &count);
        return e == OK ? rolled_back(k, count, latest->size) : e;
    }
    if (e == OK) {
        e = keeper_tree_flush(k, why);
    }
    if (e == OK) {
        e = keeper_tree_root(k, latest->size, &root);
    }
    if (e == OK && heads_differ(latest, &root)) {
        return forked(k, latest->size);
    }
    return e == OK ? take_head(k, latest, note, cosigned) : e;
}

enum err keeper_compare(struct keeper *k, struct err_text *why)
{
    struct keeper_head latest;
    struct bytes note = {0};
    size_t cosigned = 0;
    enum err e = read_latest(k, &latest, &note, &cosigned, why);
    if (e == ERR_DENIED) {
        return foreign(k, why);
    }
    if (e != OK) {
        return e;
    }
    if (latest.size < k->head.size) {
        return rolled_back(k, latest.size, k->head.size);
    }
    if (latest.size > k->head.size) {
        return check_newer(k, &latest, note, cosigned, why);
    }
    if (latest.size > 0 && heads_differ(&latest, &k->head.root)) {
        return forked(k, latest.size);
    }
    /* The same one, maybe with more cosignatures. */
    return latest.size > 0 && cosigned > k->cosignatures ? take_head(k, &latest, note, cosigned)
                                                         : OK;
}
