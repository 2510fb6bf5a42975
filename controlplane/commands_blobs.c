/* blobs sweep. */
#include <stdio.h>

#include "controlplane/commands.h"
#include "controlplane/state.h"

enum err commands_blobs_sweep(const struct commands_context *context, int64_t wait_ns,
                              struct err_text *why)
{
    enum { AT_ONCE = 256 };
    struct state state = {0};
    size_t swept = AT_ONCE, all = 0;
    if (context->config->store.blobs.kind == CONFIG_BLOBS_NONE) {
        return err_set(why, ERR_INVALID, "the configuration has no `blobs`");
    }
    enum err e = state_open(context->config->data, &context->config->store, NULL, &state, why);
    while (e == OK && swept == AT_ONCE) {
        e = store_blobs_sweep(state.store, clock_wall(&context->clock) - wait_ns, AT_ONCE, &swept,
                              why);
        all += swept;
    }
    if (e == OK) {
        printf("%zu\n", all);
    }
    state_close(&state);
    return e;
}
