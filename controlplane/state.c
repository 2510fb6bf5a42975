#include "controlplane/state.h"

#include <stdlib.h>

#include "controlplane/files/files.h"

static enum err open_all(const char *directory, struct state *out, struct err_text *why)
{
    char *database = files_join(directory, "controlplane.db");
    char *key = files_join(directory, "credentials.key");
    char *masking = files_join(directory, "masking.key");
    char *content = files_join(directory, "content.key");
    uint8_t master[SECRET_KEY_SIZE] = {0};
    const struct store_sqlite_options options = {.content_master =
                                                     bytes_of(master, sizeof(master))};
    bool is_missing = database == NULL || key == NULL || masking == NULL || content == NULL;
    enum err e = is_missing ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        e = secret_key_load(content, "a content key", master, why);
    }
    if (e == OK) {
        e = store_open_sqlite(database, &options, &out->store, why);
    }
    bytes_wipe(master, sizeof(master));
    if (e == OK) {
        e = vault_open(key, &out->vault, why);
    }
    if (e == OK) {
        e = secret_key_load(masking, "a masking key", out->masking_key, why);
    }
    free(database);
    free(key);
    free(masking);
    free(content);
    return e;
}

enum err state_open(const char *directory, struct state *out, struct err_text *why)
{
    struct state state = {0};
    enum err e = files_make_directory(directory, 0700, why);
    if (e == OK) {
        e = open_all(directory, &state, why);
    }
    if (e != OK) {
        state_close(&state);
        return e;
    }
    *out = state;
    bytes_wipe(&state, sizeof(state));
    return OK;
}

void state_close(struct state *state)
{
    vault_close(state->vault);
    store_close(state->store);
    bytes_wipe(state, sizeof(*state));
}
