#include "sidecar/sql/sql_describe.h"

static enum err describe_object(struct buffer *b, const struct sql_object *o)
{
    enum err e = buffer_append_format(b, "%s %s %s", sql_access_name(o->access),
                                      sql_kind_name(o->kind), o->text);
    for (size_t i = 0; i < o->column_count && e == OK; i++) {
        e = buffer_append_format(b, "%s%s", i == 0 ? "(" : ", ", o->columns[i]);
    }
    return e == OK && o->column_count > 0 ? buffer_append_string(b, ")") : e;
}

static enum err describe_flags(struct buffer *b, const struct sql_statement *s)
{
    const struct {
        bool is_set;
        const char *name;
    } flags[] = {
        {s->is_write, "write"},     {s->is_transaction_control, "transaction"},
        {s->is_session, "session"}, {s->returns_rows_of_write, "returning"},
        {s->is_unknown, "unknown"}, {s->without_where, "without_where"},
    };
    enum err e = OK;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && e == OK; i++) {
        e = flags[i].is_set ? buffer_append_format(b, " [%s]", flags[i].name) : OK;
    }
    return e == OK ? buffer_append_string(b, "\n") : e;
}

enum err sql_describe(struct buffer *b, const struct sql_statement *s)
{
    uint32_t without = s->accesses;
    enum err e = buffer_append_format(b, "-> %s", s->command);
    for (size_t i = 0; i < s->object_count && e == OK; i++) {
        without &= ~(1u << s->objects[i].access);
        e = buffer_append_string(b, i == 0 ? ": " : ", ");
        e = e == OK ? describe_object(b, &s->objects[i]) : e;
    }
    for (int i = 0; i < SQL_ACCESS_COUNT && e == OK; i++) {
        if ((without & 1u << i) != 0) {
            e = buffer_append_format(b, " +%s", sql_access_name((enum sql_access)i));
        }
    }
    return e == OK ? describe_flags(b, s) : e;
}
