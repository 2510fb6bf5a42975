#include "controlplane/applied.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"

static const struct {
    const char *key;
    enum store_document_kind kind;
    const char *word;
} lists[] = {
    {"identity_providers", STORE_IDENTITY_PROVIDER, "identity provider"},
    {"resources", STORE_RESOURCE, "resource"},
    {"credentials", STORE_CREDENTIAL, "credential"},
    {"grants", STORE_GRANT, "grant"},
    {"roles", STORE_ROLE_MAPPING, "role"},
};
enum {
    LISTS = sizeof(lists) / sizeof(lists[0]),
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 256 << 20,
    CHANGES_MAX = 64 << 10, /* of their description: names of some thousands */
};

static size_t count_documents(const struct conf_node *root)
{
    size_t count = 0;
    for (size_t i = 0; i < LISTS; i++) {
        const struct conf_node *n = conf_get(root, lists[i].key);
        count += n == NULL ? 0 : conf_count(n);
    }
    return count;
}

/* The name of a list's item, or the key of a map's member (`roles`). */
static const char *name_of(const struct conf_node *n)
{
    const char *name = conf_key(n);
    const struct conf_node *named = conf_get(n, "name");
    if (name == NULL && (named == NULL || conf_as_string(named, &name, NULL) != OK)) {
        name = ""; /* cannot be: config_load has checked it */
    }
    return name;
}

/* The json of the first `*out_count` is owned. */
static enum err fill(const struct conf_node *root, struct store_document *documents,
                     size_t *out_count)
{
    size_t count = 0;
    for (size_t i = 0; i < LISTS; i++) {
        const struct conf_node *list = conf_get(root, lists[i].key);
        for (const struct conf_node *n = list == NULL ? NULL : conf_first(list); n != NULL;
             n = conf_next(n)) {
            char *json = conf_to_json(n);
            if (json == NULL) {
                *out_count = count;
                return ERR_NO_MEMORY;
            }
            documents[count++] =
                (struct store_document){.kind = lists[i].kind, .name = name_of(n), .json = json};
        }
    }
    *out_count = count;
    return OK;
}

/* --- what changed ------------------------------------------------------------------------------
 */

struct changes {
    struct buffer text;
    size_t left_out; /* that had no room */
};

static void add_change(struct changes *c, const char *word, const char *name, const char *how)
{
    size_t size = strlen(word) + strlen(name) + strlen(how) + 8;
    size_t used = buffer_bytes(&c->text).size;
    if (used + size > CHANGES_MAX - 64 ||
        buffer_append_format(&c->text, "%s%s%s%s %s", used == 0 ? "" : ", ", word,
                             name[0] == '\0' ? "" : " ", name, how) != OK) {
        c->left_out++;
    }
}

static const struct store_document *find(const struct store_document *all, size_t count,
                                         enum store_document_kind kind, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].kind == kind && strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

static void compare_list(struct changes *c, size_t list, const struct store_document *before,
                         size_t before_count, const struct store_document *now, size_t count)
{
    enum store_document_kind kind = lists[list].kind;
    for (size_t i = 0; i < count; i++) {
        if (now[i].kind == kind) {
            const struct store_document *old = find(before, before_count, kind, now[i].name);
            if (old == NULL) {
                add_change(c, lists[list].word, now[i].name, "added");
            } else if (strcmp(old->json, now[i].json) != 0) {
                add_change(c, lists[list].word, now[i].name, "changed");
            }
        }
    }
    for (size_t i = 0; i < before_count; i++) {
        if (find(now, count, kind, before[i].name) == NULL) {
            add_change(c, lists[list].word, before[i].name, "removed");
        }
    }
}

static enum err compare_lists(struct changes *c, struct store *store,
                              const struct store_document *now, size_t count)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < LISTS; i++) {
        struct store_document *before = NULL;
        size_t before_count = 0;
        arena_reset(arena);
        e = store_document_list(store, lists[i].kind, arena, &before, &before_count);
        if (e == OK) {
            compare_list(c, i, before, before_count, now, count);
        }
    }
    arena_destroy(arena);
    return e;
}

static bool is_list(const char *key)
{
    for (size_t i = 0; i < LISTS; i++) {
        if (strcmp(lists[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static enum err compare_section(struct changes *c, const char *key, const struct conf_node *before,
                                const struct conf_node *now)
{
    char *a = before == NULL ? NULL : conf_to_json(before),
         *b = now == NULL ? NULL : conf_to_json(now);
    enum err e = (before != NULL && a == NULL) || (now != NULL && b == NULL) ? ERR_NO_MEMORY : OK;
    if (e == OK && (a == NULL || b == NULL || strcmp(a, b) != 0)) {
        add_change(c, key, "", a == NULL ? "added" : b == NULL ? "removed" : "changed");
    }
    free(a);
    free(b);
    return e;
}

/* The other sections, as a whole: of those before this process nothing is known. */
static enum err compare_sections(struct changes *c, const struct conf_node *before,
                                 const struct conf_node *now)
{
    enum err e = OK;
    for (const struct conf_node *n = conf_first(now); e == OK && n != NULL; n = conf_next(n)) {
        e = is_list(conf_key(n))
                ? OK
                : compare_section(c, conf_key(n), conf_get(before, conf_key(n)), n);
    }
    for (const struct conf_node *n = conf_first(before); e == OK && n != NULL; n = conf_next(n)) {
        if (!is_list(conf_key(n)) && conf_get(now, conf_key(n)) == NULL) {
            e = compare_section(c, conf_key(n), n, NULL);
        }
    }
    return e;
}

/* --- the record --------------------------------------------------------------------------------
 */

static enum err hash_of(const struct conf_node *root, char out[2 * CRYPTO_SHA256_SIZE + 1])
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    char *json = conf_to_json(root);
    if (json == NULL) {
        return ERR_NO_MEMORY;
    }
    crypto_sha256_of(bytes_of_string(json), hash);
    crypto_hex_encode(bytes_of(hash, sizeof(hash)), out);
    free(json);
    return OK;
}

static enum err write_record(const struct applied_options *o, const struct config *config,
                             struct changes *changes, struct err_text *why)
{
    char hash[2 * CRYPTO_SHA256_SIZE + 1], object[sizeof(hash) + 32], from[512], *text = NULL;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action};
    enum err e = hash_of(config_document(config), hash);
    if (e == OK && changes->left_out > 0) {
        e = buffer_append_format(&changes->text, ", and %zu more", changes->left_out);
    }
    text = e == OK ? bytes_to_string(buffer_bytes(&changes->text)) : NULL;
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)snprintf(object, sizeof(object), "configuration %s", hash);
    (void)snprintf(from, sizeof(from), "file %.480s", config->file);
    action.action = (char *)(uintptr_t)o->action;
    action.object = object;
    action.from = from;
    action.reason = text[0] == '\0' ? (char *)(uintptr_t) "nothing changed" : text;
    e = journal_append(o->journal, &entry, why);
    free(text);
    return e;
}

static enum err record(const struct applied_options *o, const struct config *config,
                       const struct store_document *documents, size_t count, struct err_text *why)
{
    struct changes changes = {.left_out = 0};
    buffer_init(&changes.text, CHANGES_MAX);
    enum err e = compare_lists(&changes, o->store, documents, count);
    if (e == OK && o->before != NULL) {
        e = compare_sections(&changes, config_document(o->before), config_document(config));
    }
    e = e == OK ? write_record(o, config, &changes, why) : e;
    buffer_finish(&changes.text);
    return e == OK || why->text[0] != '\0'
               ? e
               : err_set(why, e, "the configuration cannot be recorded: %s", err_name(e));
}

enum err applied_store(const struct applied_options *options, const struct config *config,
                       int64_t now_ns, struct err_text *why)
{
    const struct conf_node *root = config_document(config);
    struct store_document *documents = calloc(count_documents(root) + 1, sizeof(*documents));
    size_t count = 0;
    if (documents == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = fill(root, documents, &count);
    e = e == OK ? record(options, config, documents, count, why) : e;
    if (e == OK) {
        e = store_documents_replace(options->store, documents, count, now_ns, why);
    }
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)documents[i].json);
    }
    free(documents);
    return e;
}
