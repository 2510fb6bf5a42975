#include "sidecar/masking/masker_body.h"
#include "sidecar/masking/masker_internal.h"

bool masker_allows_unknown(const struct masker *m)
{
    /* A rule says so for what it asks for only: any other one refuses. */
    return m->rule_count == 0;
}
