/* The person's browser. */
#ifndef CHAPERONE_CLI_LOGIN_BROWSER_H
#define CHAPERONE_CLI_LOGIN_BROWSER_H

#include "base/bytes.h"

/* True when one can probably be opened: a display, and xdg-open in PATH. */
bool login_browser_is_there(void);

/* Starts xdg-open with the URL, which outlives us. False: it could not be started. */
bool login_browser_open(const char *url);

#endif
