/* The real fetcher: libcurl. `main` calls curl_global_init before and curl_global_cleanup after. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_FETCH_CURL_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_FETCH_CURL_H

#include "controlplane/identity/fetch.h"

/* Without state: a copy is as good as the original, and there is nothing to free. */
struct identity_fetcher identity_fetcher_curl(void);

#endif
