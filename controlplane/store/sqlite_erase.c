/* Retention: content goes, its place in the log stays. */
#include "controlplane/store/sqlite.h"

enum err sqlite_audit_erase(struct store *store, const struct store_erase *what, int64_t now_ns,
                            struct arena *arena, const char ***out_sessions, size_t *out_count)
{
    (void)store;
    (void)what;
    (void)now_ns;
    (void)arena;
    (void)out_sessions;
    (void)out_count;
    return ERR_UNAVAILABLE;
}
