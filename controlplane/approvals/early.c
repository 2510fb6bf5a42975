#include "controlplane/approvals/early.h"

#include <stdio.h>
#include <string.h>

void early_add(struct early *early, const char *sidecar, const char *id)
{
    if (strlen(sidecar) < EARLY_SIDECAR_SIZE && strlen(id) < UUID_TEXT_SIZE) {
        size_t at = early->next++ % EARLY_MAX;
        (void)snprintf(early->items[at].sidecar, EARLY_SIDECAR_SIZE, "%s", sidecar);
        (void)snprintf(early->items[at].id, UUID_TEXT_SIZE, "%s", id);
    }
}

bool early_take(struct early *early, const char *sidecar, const char *id)
{
    for (size_t i = 0; i < EARLY_MAX; i++) {
        if (early->items[i].id[0] != '\0' && strcmp(early->items[i].id, id) == 0 &&
            strcmp(early->items[i].sidecar, sidecar) == 0) {
            early->items[i].id[0] = '\0';
            return true;
        }
    }
    return false;
}
