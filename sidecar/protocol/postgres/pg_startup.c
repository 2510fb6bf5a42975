#include "sidecar/protocol/postgres/pg_startup.h"

enum {
    TLS_HANDSHAKE = 0x16, /* RFC 8446 section 5.1: ContentType */
    CODE_MAJOR = 1234,    /* of all requests that are not a version */
    SUPPORTED_MAJOR = 3,
};

/* Pairs of strings, ended by one zero byte, which must be the last one. Gives them without it. */
static struct bytes read_parameters(struct cursor *c)
{
    struct bytes all = bytes_of(c->at, c->remaining);
    while (cursor_read_string(c).size > 0) {
        (void)cursor_read_string(c);
    }
    return bytes_of(all.data, all.size > 0 ? all.size - 1 : 0);
}

static enum wire_result read_body(struct cursor *c, struct pg_startup *startup)
{
    uint32_t code = cursor_read_u32(c);
    startup->major = (uint16_t)(code >> 16);
    startup->minor = (uint16_t)code;
    switch (code) {
    case PG_CODE_SSL: startup->kind = PG_STARTUP_SSL; break;
    case PG_CODE_GSSENC: startup->kind = PG_STARTUP_GSSENC; break;
    case PG_CODE_CANCEL:
        startup->kind = PG_STARTUP_CANCEL;
        return pg_wire_read_key_data(cursor_read_bytes(c, c->remaining), &startup->cancel);
    default:
        if (startup->major == CODE_MAJOR) {
            return WIRE_MALFORMED;
        }
        startup->kind = PG_STARTUP_MESSAGE;
        if (startup->major != SUPPORTED_MAJOR) {
            return WIRE_OK; /* what follows has a format that we do not know */
        }
        startup->parameters = read_parameters(c);
    }
    return cursor_is_complete(c) ? WIRE_OK : WIRE_MALFORMED;
}

enum wire_result pg_startup_read(struct bytes in, struct pg_startup *out)
{
    struct cursor c = cursor_of(in);
    struct pg_startup startup = {.size = cursor_read_u32(&c)};
    if (c.failed) {
        return WIRE_NEED_MORE;
    }
    if (startup.size < PG_STARTUP_SIZE_MIN || startup.size > PG_STARTUP_SIZE_MAX) {
        return WIRE_MALFORMED;
    }
    struct cursor body = cursor_of(cursor_read_bytes(&c, startup.size - 4));
    if (c.failed) {
        return WIRE_NEED_MORE;
    }
    enum wire_result result = read_body(&body, &startup);
    if (result == WIRE_OK) {
        *out = startup;
    }
    return result;
}

bool pg_startup_is_tls(struct bytes in)
{
    return in.size > 0 && in.data[0] == TLS_HANDSHAKE;
}

bool pg_startup_next(struct bytes *parameters, struct pg_setting *out)
{
    struct cursor c = cursor_of(*parameters);
    struct pg_setting setting = {0};
    setting.name = cursor_read_string(&c);
    setting.value = cursor_read_string(&c);
    if (c.failed) {
        return false;
    }
    *parameters = bytes_of(c.at, c.remaining);
    *out = setting;
    return true;
}

size_t pg_startup_find(const struct pg_startup *startup, const char *name, struct bytes *out)
{
    size_t found = 0;
    struct bytes rest = startup->parameters;
    struct pg_setting setting;
    while (pg_startup_next(&rest, &setting)) {
        if (bytes_equal_string(setting.name, name)) {
            *out = setting.value;
            found++;
        }
    }
    return found;
}
