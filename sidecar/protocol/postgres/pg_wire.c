#include "sidecar/protocol/postgres/pg_wire.h"

#include "sidecar/protocol/postgres/pg_wire_internal.h"

enum {
    /* PQ_SMALL_MESSAGE_LIMIT of the server. */
    SMALL = 10000,
    /* The server's PG_MAX_AUTH_TOKEN_LENGTH. */
    TOKEN = 65535,
    /* libpq takes only some kinds above this. */
    MODERATE = 30000,
    /* ParameterDescription with all 65535 parameters. */
    OIDS = 2 + 4 * 65535,
};

static const struct pg_kind frontend_kinds[256] = {
    [PG_FRONTEND_BIND] = {"Bind", PG_BODY_MAX},
    [PG_FRONTEND_CLOSE] = {"Close", SMALL},
    [PG_FRONTEND_COPY_DATA] = {"CopyData", PG_BODY_MAX},
    [PG_FRONTEND_COPY_DONE] = {"CopyDone", 0},
    [PG_FRONTEND_COPY_FAIL] = {"CopyFail", SMALL},
    [PG_FRONTEND_DESCRIBE] = {"Describe", SMALL},
    [PG_FRONTEND_EXECUTE] = {"Execute", SMALL},
    [PG_FRONTEND_FLUSH] = {"Flush", 0},
    [PG_FRONTEND_FUNCTION_CALL] = {"FunctionCall", PG_BODY_MAX},
    [PG_FRONTEND_PARSE] = {"Parse", PG_BODY_MAX},
    [PG_FRONTEND_PASSWORD] = {"PasswordMessage", TOKEN},
    [PG_FRONTEND_QUERY] = {"Query", PG_BODY_MAX},
    [PG_FRONTEND_SYNC] = {"Sync", 0},
    [PG_FRONTEND_TERMINATE] = {"Terminate", 0},
};

static const struct pg_kind backend_kinds[256] = {
    [PG_BACKEND_AUTHENTICATION] = {"Authentication", MODERATE},
    [PG_BACKEND_BIND_COMPLETE] = {"BindComplete", 0},
    [PG_BACKEND_CLOSE_COMPLETE] = {"CloseComplete", 0},
    [PG_BACKEND_COMMAND_COMPLETE] = {"CommandComplete", MODERATE},
    [PG_BACKEND_COPY_BOTH] = {"CopyBothResponse", MODERATE},
    [PG_BACKEND_COPY_DATA] = {"CopyData", PG_BODY_MAX},
    [PG_BACKEND_COPY_DONE] = {"CopyDone", 0},
    [PG_BACKEND_COPY_IN] = {"CopyInResponse", MODERATE},
    [PG_BACKEND_COPY_OUT] = {"CopyOutResponse", MODERATE},
    [PG_BACKEND_DATA_ROW] = {"DataRow", PG_BODY_MAX},
    [PG_BACKEND_EMPTY_QUERY] = {"EmptyQueryResponse", 0},
    [PG_BACKEND_ERROR] = {"ErrorResponse", PG_BODY_MAX},
    [PG_BACKEND_FUNCTION_RESULT] = {"FunctionCallResponse", PG_BODY_MAX},
    [PG_BACKEND_KEY_DATA] = {"BackendKeyData", 4 + PG_KEY_MAX},
    [PG_BACKEND_NEGOTIATE] = {"NegotiateProtocolVersion", MODERATE},
    [PG_BACKEND_NO_DATA] = {"NoData", 0},
    [PG_BACKEND_NOTICE] = {"NoticeResponse", PG_BODY_MAX},
    [PG_BACKEND_NOTIFICATION] = {"NotificationResponse", PG_BODY_MAX},
    [PG_BACKEND_PARAMETER_DESCRIPTION] = {"ParameterDescription", OIDS},
    [PG_BACKEND_PARAMETER_STATUS] = {"ParameterStatus", MODERATE},
    [PG_BACKEND_PARSE_COMPLETE] = {"ParseComplete", 0},
    [PG_BACKEND_PORTAL_SUSPENDED] = {"PortalSuspended", 0},
    [PG_BACKEND_READY] = {"ReadyForQuery", 1},
    [PG_BACKEND_ROW_DESCRIPTION] = {"RowDescription", PG_BODY_MAX},
};

const struct pg_kind *pg_wire_frontend_kind(uint8_t type)
{
    return frontend_kinds[type].name == NULL ? NULL : &frontend_kinds[type];
}

const struct pg_kind *pg_wire_backend_kind(uint8_t type)
{
    return backend_kinds[type].name == NULL ? NULL : &backend_kinds[type];
}

enum wire_result pg_wire_read_header(struct bytes in, struct pg_header *out)
{
    struct cursor c = cursor_of(in);
    uint8_t type = cursor_read_u8(&c);
    uint32_t length = cursor_read_u32(&c);
    if (c.failed) {
        return WIRE_NEED_MORE;
    }
    if (length < 4 || length - 4 > PG_BODY_MAX) {
        return WIRE_MALFORMED;
    }
    *out = (struct pg_header){.type = type, .body_size = length - 4};
    return WIRE_OK;
}

enum wire_result pg_wire_read_empty(struct bytes body)
{
    return body.size == 0 ? WIRE_OK : WIRE_MALFORMED;
}

enum wire_result pg_wire_read_string(struct bytes body, struct bytes *out)
{
    struct cursor c = cursor_of(body);
    struct bytes text = cursor_read_string(&c);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = text;
    return WIRE_OK;
}

bool pg_values_next(struct pg_values *values, struct pg_value *out)
{
    if (values->c.remaining == 0) {
        return false;
    }
    *out = pg_read_value(&values->c);
    return true;
}

uint32_t pg_oids_get(const struct pg_oids *oids, size_t index)
{
    if (index >= pg_oids_count(oids)) {
        return 0;
    }
    struct cursor c = cursor_of(bytes_of(oids->raw.data + 4 * index, 4));
    return cursor_read_u32(&c);
}

enum wire_result pg_wire_read_parse(struct bytes body, struct pg_parse *out)
{
    struct cursor c = cursor_of(body);
    struct pg_parse parse = {0};
    parse.name = cursor_read_string(&c);
    parse.text = cursor_read_string(&c);
    parse.types.raw = pg_read_counted(&c, 4);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = parse;
    return WIRE_OK;
}

enum wire_result pg_wire_read_target(struct bytes body, struct pg_target *out)
{
    struct cursor c = cursor_of(body);
    struct pg_target target = {0};
    target.kind = cursor_read_u8(&c);
    target.name = cursor_read_string(&c);
    if (!cursor_is_complete(&c) || (target.kind != 'S' && target.kind != 'P')) {
        return WIRE_MALFORMED;
    }
    *out = target;
    return WIRE_OK;
}

enum wire_result pg_wire_read_execute(struct bytes body, struct pg_execute *out)
{
    struct cursor c = cursor_of(body);
    struct pg_execute execute = {0};
    execute.portal = cursor_read_string(&c);
    execute.max_rows = cursor_read_i32(&c);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = execute;
    return WIRE_OK;
}

enum wire_result pg_wire_read_function_call(struct bytes body, struct pg_function_call *out)
{
    struct cursor c = cursor_of(body);
    struct pg_function_call call = {0};
    call.function = cursor_read_u32(&c);
    call.formats = pg_read_formats(&c);
    call.arguments = pg_read_values(&c);
    call.binary_result = pg_read_format(&c) == PG_FORMAT_BINARY;
    size_t formats = pg_formats_count(&call.formats);
    if (!cursor_is_complete(&c) || (formats > 1 && formats != call.arguments.count)) {
        return WIRE_MALFORMED;
    }
    *out = call;
    return WIRE_OK;
}
