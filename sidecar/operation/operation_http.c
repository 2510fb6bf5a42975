#include "sidecar/operation/operation_http.h"

enum err operation_http_fill(struct arena *a, const Chaperone__V1__HttpRequest *request,
                             struct policy_http *out)
{
    (void)a;
    (void)request;
    (void)out;
    return ERR_INVALID;
}
