#include "sidecar/protocol/http/http_assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

int http_setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    if (f == NULL) {
        return -1;
    }
    fixture_start(f);
    *state = f;
    return 0;
}

int http_teardown(void **state)
{
    fixture_stop(*state);
    free(*state);
    return 0;
}

void http_assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, text);
    }
}

void http_assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("\"%s\" is in: %s", part, text);
    }
}
