#include "cli/output/statement_fixture.h"

void statement_init(struct statement *s, uint64_t sequence)
{
    shown_init(&s->shown, "shop", "postgres", sequence);
}

void statement_intent(struct statement *s, const char *text, size_t size)
{
    statement_init(s, 2);
    chaperone__v1__intent__init(&s->intent);
    chaperone__v1__object__init(&s->object);
    chaperone__v1__stated__init(&s->stated);
    s->object.kind = TEXT("table");
    s->object.name = TEXT("customers");
    s->object.access = TEXT("read");
    s->objects[0] = &s->object;
    s->stated.text = TEXT("ticket 42");
    s->stated.assurance = CHAPERONE__V1__ASSURANCE__DECLARED;
    s->stated.source = TEXT("sql_comment");
    s->reasons[0] = &s->stated;
    for (size_t i = 0; i < 2; i++) {
        chaperone__v1__parameter__init(&s->parameters[i]);
        s->parameter_list[i] = &s->parameters[i];
    }
    s->parameters[0].type = TEXT("int4");
    s->parameters[0].value = BYTES("42");
    s->parameters[1].is_null = true;
    s->commands[0] = TEXT("SELECT");
    s->intent.operation = 7;
    s->intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    s->intent.rule = TEXT("everything");
    s->intent.policy_hash = TEXT("abc");
    s->intent.text = (ProtobufCBinaryData){.data = (uint8_t *)TEXT(text), .len = size};
    s->intent.n_commands = 1;
    s->intent.commands = s->commands;
    s->intent.n_objects = 1;
    s->intent.objects = s->objects;
    s->intent.n_parameters = 2;
    s->intent.parameters = s->parameter_list;
    s->intent.n_reasons = 1;
    s->intent.reasons = s->reasons;
    s->shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    s->shown.record.intent = &s->intent;
}

/* DataRow with one cell, "Ada". */
static const char row[] = "D\0\0\0\x0d\0\x01\0\0\0\x03"
                          "Ada";

void statement_outcome(struct statement *s)
{
    statement_init(s, 3);
    chaperone__v1__outcome__init(&s->outcome);
    chaperone__v1__column__init(&s->column);
    s->column.name = TEXT("name");
    s->columns[0] = &s->column;
    s->outcome.operation = 7;
    s->outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    s->outcome.command_tag = TEXT("SELECT 1");
    s->outcome.rows = 1;
    s->outcome.bytes = 3;
    s->outcome.duration_us = 1500;
    s->outcome.response_encoding = TEXT("postgres");
    s->outcome.response = BYTES(row);
    s->outcome.n_columns = 1;
    s->outcome.columns = s->columns;
    s->shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    s->shown.record.outcome = &s->outcome;
}
