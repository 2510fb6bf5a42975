/* manifest.json: what was asked for, what is in the package, and the hash of every other file. */
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "cli/evidence/package_internal.h"
#include "formats/text.h"

static void add_moment(struct json *j, cJSON *to, const char *name, int64_t wall_ns)
{
    if (wall_ns == 0) {
        json_add_null(j, to, name);
    } else {
        json_add_time(j, to, name, wall_ns);
    }
}

static void add_filter(struct json *j, const Chaperone__V1__SearchRequest *filter)
{
    cJSON *to = json_add_object(j, j->root, "filter");
    const struct {
        const char *name, *value;
    } texts[] = {{"identity", filter->identity},
                 {"resource", filter->resource},
                 {"session", filter->session}};
    add_moment(j, to, "since", filter->since_unix_ns);
    add_moment(j, to, "until", filter->until_unix_ns);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_add_string(j, to, texts[i].name, texts[i].value[0] == '\0' ? NULL : texts[i].value);
    }
}

static void add_counts(struct json *j, struct collection *c)
{
    cJSON *to = json_add_object(j, j->root, "counts");
    json_add_unsigned(j, to, "entries", collection_count(c));
    json_add_unsigned(j, to, "erased", collection_erased(c));
    json_add_unsigned(j, to, "sessions", collection_session_count(c));
    json_add_unsigned(j, to, "approvals", collection_item_count(c, COLLECTION_APPROVAL));
    json_add_unsigned(j, to, "policies", collection_item_count(c, COLLECTION_POLICY));
    json_add_unsigned(j, to, "sidecars", collection_item_count(c, COLLECTION_SIDECAR));
    json_add_unsigned(j, to, "issuer_keys", collection_item_count(c, COLLECTION_ISSUER_KEY));
    json_add_unsigned(j, to, "tiles", tiles_count(collection_tiles(c)));
    to = json_add_object(j, j->root, "kinds");
    for (size_t n = 0; n < collection_kinds(c); n++) {
        uint64_t count = 0;
        const char *name = collection_kind_name(c, n, &count);
        json_add_unsigned(j, to, name, count);
    }
}

static void add_checkpoint(struct json *j, const Chaperone__V1__Checkpoint *checkpoint)
{
    char root[2 * COLLECTION_HASH_SIZE + 1];
    cJSON *to = json_add_object(j, j->root, "checkpoint");
    crypto_hex_encode(bytes_of(checkpoint->root.data, COLLECTION_HASH_SIZE), root);
    json_add_string(j, to, "origin", checkpoint->origin);
    json_add_unsigned(j, to, "size", checkpoint->size);
    json_add_string(j, to, "root", root);
}

struct positions {
    struct json *j;
    cJSON *list;
};

static enum err add_position(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                             const Chaperone__V1__Record *record)
{
    struct positions *s = context;
    (void)number;
    (void)record;
    json_add_unsigned(s->j, s->list, NULL, entry->position);
    return OK;
}

static enum err add_sample(struct package *p, struct json *j)
{
    struct sample *sample = collection_sample(p->with.collection);
    enum err e = OK;
    if (sample == NULL) {
        json_add_null(j, j->root, "sample");
        return OK;
    }
    cJSON *to = json_add_object(j, j->root, "sample");
    json_add_string(j, to, "seed", p->with.seed);
    json_add_string(j, to, "of", p->with.sample_of);
    json_add_unsigned(j, to, "population", sample_population(sample));
    struct positions s = {.j = j, .list = json_add_array(j, to, "positions")};
    for (size_t i = 0; e == OK && i < sample_count(sample); i++) {
        e = package_with(p, sample_get(sample, i), add_position, &s);
    }
    return e;
}

static enum err describe(struct package *p, struct json *j)
{
    const Chaperone__V1__ExportHeader *header = collection_header(p->with.collection);
    json_add_string(j, j->root, "format", "chaperone-evidence/1");
    json_add_time(j, j->root, "made", header->made_unix_ns);
    json_add_string(j, j->root, "made_by", header->made_by);
    json_add_string(j, j->root, "version", header->version);
    json_add_string(j, j->root, "reason", p->with.request->reason);
    add_filter(j, p->with.request->filter);
    add_counts(j, p->with.collection);
    add_checkpoint(j, header->checkpoint);
    return add_sample(p, j);
}

/* An object whose last member is a list that is too long for the memory: its text without the
 * brace, the list's items one by one, and the brace. */
static enum err write_open_object(struct json *j, FILE *out)
{
    char *text = j->failed ? NULL : cJSON_PrintUnformatted(j->root);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    text[strlen(text) - 1] = '\0';
    text_write_json(out, text);
    cJSON_free(text);
    return OK;
}

static enum err write_files(struct package *p, FILE *out)
{
    enum err e = OK;
    (void)fputs(",\"files\":[\n", out);
    for (size_t n = 0; e == OK && n < zip_count(p->with.zip); n++) {
        cJSON *list = cJSON_CreateArray();
        struct json j = {.root = list, .failed = list == NULL};
        e = zip_describe(p->with.zip, n, &j, list);
        char *text = e == OK ? cJSON_PrintUnformatted(cJSON_GetArrayItem(list, 0)) : NULL;
        e = e == OK && text == NULL ? ERR_NO_MEMORY : e;
        if (e == OK) {
            (void)fputs(n > 0 ? ",\n" : "", out);
            text_write_json(out, text);
        }
        cJSON_free(text);
        cJSON_Delete(list);
    }
    (void)fputs("]}\n", out);
    return e;
}

enum err package_write_manifest(struct package *p)
{
    struct json j;
    json_init(&j);
    enum err e = describe(p, &j);
    FILE *out = e == OK ? zip_begin(p->with.zip, "manifest.json") : NULL;
    if (out != NULL) {
        e = write_open_object(&j, out);
        e = e == OK ? write_files(p, out) : e;
        enum err ended = zip_end(p->with.zip);
        e = e == OK ? ended : e;
    } else {
        e = e == OK ? ERR_IO : e;
    }
    json_finish(&j);
    return e;
}
