#include "sidecar/protocol/http/http_codec.h"

struct http_codec *http1_server_create(const struct http_codec_events *events, void *context)
{
    (void)events;
    (void)context;
    return NULL;
}
