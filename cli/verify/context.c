#include "cli/verify/context.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "cli/verify/json_read.h"
#include "cli/verify/name_table.h"

enum { NAME_SIZE = 64, HEX_SIZE = 2 * CRYPTO_SHA256_SIZE + 1 };

struct context {
    struct name_table *policies; /* their hashes */
    struct name_table *sidecars;
    uint8_t (*keys)[CRYPTO_SHA256_SIZE]; /* of sidecar n + 1 */
    uint64_t policy_count, sidecar_count;
};

void context_destroy(struct context *c)
{
    if (c == NULL) {
        return;
    }
    name_table_destroy(c->policies);
    name_table_destroy(c->sidecars);
    free(c->keys);
    free(c);
}

/* ---- policies ------------------------------------------------------------------------------- */

/* controlplane/policy/publisher.h says what is signed. */
static bool is_signed(uint64_t revision, const char *hash, struct bytes der, struct bytes signature)
{
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    char text[160];
    int n = snprintf(text, sizeof(text), "chaperone policy v1\n%" PRIu64 "\n%s", revision, hash);
    return n > 0 && (size_t)n < sizeof(text) && crypto_ed25519_public_from_der(der, key) == OK &&
           crypto_ed25519_verify(bytes_of(key, sizeof(key)), bytes_of(text, (size_t)n), signature);
}

static bool find_part(const struct kept *kept, uint64_t revision, const char *suffix,
                      struct bytes *out)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "policies/%" PRIu64 ".%s", revision, suffix);
    return kept_find(kept, name, out);
}

static const char *check_policy(const struct kept *kept, uint64_t revision, const char *hash)
{
    struct bytes document, signature, der;
    uint8_t computed[CRYPTO_SHA256_SIZE];
    char hex[HEX_SIZE];
    if (!find_part(kept, revision, "document", &document) ||
        !find_part(kept, revision, "sig", &signature) ||
        !find_part(kept, revision, "key.der", &der)) {
        return "its document, its signature or its key is missing";
    }
    crypto_sha256_of(document, computed);
    crypto_hex_encode(bytes_of(computed, sizeof(computed)), hex);
    if (strcmp(hex, hash) != 0) {
        return "its document is another than its hash says";
    }
    return is_signed(revision, hash, der, signature) ? NULL : "its signature is wrong";
}

/* "policies/7.json" */
static bool is_policy(const char *name, uint64_t *out_revision)
{
    char again[NAME_SIZE], *end = NULL;
    if (strncmp(name, "policies/", 9) != 0) {
        return false;
    }
    *out_revision = strtoull(name + 9, &end, 10);
    (void)snprintf(again, sizeof(again), "policies/%" PRIu64 ".json", *out_revision);
    return strcmp(again, name) == 0;
}

static enum err read_policy(struct context *c, const struct kept *kept,
                            const struct kept_file *file, uint64_t revision, struct report *report)
{
    uint64_t says = 0;
    uint32_t number = 0;
    const char *hash = NULL;
    cJSON *root = json_read(buffer_bytes(&file->data));
    enum err e = OK;
    c->policy_count++;
    if (root == NULL || !json_read_number(root, "revision", &says) || says != revision ||
        !json_read_string(root, "hash", &hash) || strlen(hash) != HEX_SIZE - 1) {
        report_add(report, REPORT_MALFORMED, 0, "%s is not as it must be", file->name);
    } else {
        const char *wrong = check_policy(kept, revision, hash);
        if (wrong != NULL) {
            report_add(report, REPORT_CHANGED, 0, "policy of revision %" PRIu64 ": %s", revision,
                       wrong);
        }
        e = name_table_put(c->policies, bytes_of_string(hash), &number);
    }
    cJSON_Delete(root);
    return e;
}

/* ---- sidecars ------------------------------------------------------------------------------- */

static bool read_sidecar(struct context *c, const cJSON *item)
{
    static const char *const keys[] = {"sidecar",     "name",     "key_hash",
                                       "enrolled_by", "enrolled", NULL};
    const char *id = NULL;
    uint8_t key[CRYPTO_SHA256_SIZE];
    uint32_t number = 0, before = name_table_count(c->sidecars);
    if (!json_read_has_keys(item, keys) || !json_read_string(item, "sidecar", &id) ||
        !json_read_hex(item, "key_hash", key, sizeof(key)) ||
        name_table_put(c->sidecars, bytes_of_string(id), &number) != OK || number != before + 1) {
        return false;
    }
    memcpy(c->keys[number - 1], key, sizeof(key));
    return true;
}

static void read_sidecars(struct context *c, const struct kept *kept, struct report *report)
{
    struct bytes json = {0};
    bool found = kept_find(kept, "sidecars.json", &json);
    cJSON *root = found ? json_read(json) : NULL;
    const cJSON *item;
    bool good = cJSON_IsArray(root);
    c->sidecar_count = good ? (uint64_t)cJSON_GetArraySize(root) : 0;
    c->keys = calloc((size_t)c->sidecar_count + 1, sizeof(*c->keys));
    good = good && c->keys != NULL;
    cJSON_ArrayForEach(item, root)
    {
        good = good && read_sidecar(c, item);
    }
    if (found && !good) {
        report_add(report, REPORT_MALFORMED, 0, "sidecars.json is not as it must be");
    }
    cJSON_Delete(root);
}

struct context *context_create(const struct kept *kept, struct report *report)
{
    struct context *c = calloc(1, sizeof(*c));
    enum err e = c == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        c->policies = name_table_create();
        c->sidecars = name_table_create();
        e = c->policies == NULL || c->sidecars == NULL ? ERR_NO_MEMORY : OK;
    }
    for (size_t i = 0; e == OK && i < kept->count; i++) {
        uint64_t revision = 0;
        if (is_policy(kept->items[i].name, &revision)) {
            e = read_policy(c, kept, &kept->items[i], revision, report);
        }
    }
    if (e != OK) {
        context_destroy(c);
        return NULL;
    }
    read_sidecars(c, kept, report);
    return c;
}

uint64_t context_policies(const struct context *c)
{
    return c->policy_count;
}

uint64_t context_sidecars(const struct context *c)
{
    return c->sidecar_count;
}

bool context_has_policy(void *context, const char *hash)
{
    const struct context *c = context;
    return name_table_find(c->policies, bytes_of_string(hash)) != 0;
}

bool context_has_key(void *context, const char *stream, const uint8_t key_hash[32], bool *out_known)
{
    const struct context *c = context;
    uint32_t number = name_table_find(c->sidecars, bytes_of_string(stream));
    *out_known = number != 0;
    return number != 0 && memcmp(c->keys[number - 1], key_hash, CRYPTO_SHA256_SIZE) == 0;
}
