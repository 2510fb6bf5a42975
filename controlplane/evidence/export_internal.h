/* What the parts of an export share. */
#ifndef CHAPERONE_CONTROLPLANE_EVIDENCE_EXPORT_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_EVIDENCE_EXPORT_INTERNAL_H

#include "controlplane/evidence/export.h"
#include "controlplane/evidence/text_set.h"
#include "controlplane/evidence/tile_set.h"

struct export
{
    const struct export_options *with;
    const Chaperone__V1__ExportRequest *request;
    struct err_text *why;
    int64_t now_ns;
    struct store_audit_filter filter; /* its position_max is the checkpoint's size */
    uint64_t matching, sent;
    struct arena *page; /* of what is sent at once */
    struct tile_set *tiles;
    struct text_set approvals, policies, sidecars; /* that the entries name */
};

/* protobuf-c's texts are not const, but what is sent is only read. */
static inline char *export_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

bool export_send(struct export *x, const Chaperone__V1__ExportPart *part);
/* Held operations, policies, sidecars, keys of issuers (export_context.c). */
enum err export_send_context(struct export *x) MUST_USE;

#endif
