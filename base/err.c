#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

const char *err_name(enum err code)
{
    switch (code) {
    case OK: return "ok";
    case ERR_NO_MEMORY: return "no_memory";
    case ERR_INVALID: return "invalid";
    case ERR_LIMIT: return "limit";
    case ERR_IO: return "io";
    case ERR_FULL: return "full";
    case ERR_NOT_FOUND: return "not_found";
    case ERR_EXISTS: return "exists";
    case ERR_DENIED: return "denied";
    case ERR_UNAVAILABLE: return "unavailable";
    case ERR_TIMEOUT: return "timeout";
    case ERR_CLOSED: return "closed";
    case ERR_INTERNAL: return "internal";
    }
    return "unknown";
}

enum err err_set(struct err_text *out, enum err code, const char *format, ...)
{
    if (out != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(out->text, sizeof(out->text), format, args);
        va_end(args);
    }
    return code;
}
