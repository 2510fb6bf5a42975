/* What was recorded, in words; and a spool that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/session_fixture.h"

static const char *status_name(Chaperone__V1__Status status)
{
    return status == CHAPERONE__V1__STATUS__SUCCESS        ? "success"
           : status == CHAPERONE__V1__STATUS__REFUSED      ? "refused"
           : status == CHAPERONE__V1__STATUS__NOT_EXECUTED ? "not executed"
                                                           : "unknown";
}

/* Ids are random: they are numbered as they come. */
struct approval_ids {
    char ids[FIXTURE_RECORDS][UUID_TEXT_SIZE];
    size_t count;
};

static void add_approval(struct approval_ids *known, const char *id, char *out, size_t size)
{
    size_t i = 0;
    if (id[0] == '\0') {
        return;
    }
    while (i < known->count && strcmp(known->ids[i], id) != 0) {
        i++;
    }
    if (i == known->count) {
        assert_true(known->count < FIXTURE_RECORDS);
        (void)snprintf(known->ids[known->count++], UUID_TEXT_SIZE, "%s", id);
    }
    size_t length = strlen(out);
    (void)snprintf(out + length, size - length, " #%zu", i + 1);
}

static void describe(const Chaperone__V1__Record *r, struct approval_ids *known, char *out,
                     size_t size)
{
    switch (r->event_case) {
    case CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED:
        if (r->session_opened->verdict == CHAPERONE__V1__VERDICT__ALLOW) {
            (void)snprintf(out, size, "opened allow");
        } else {
            (void)snprintf(out, size, "opened deny %s", r->session_opened->error_code);
        }
        break;
    case CHAPERONE__V1__RECORD__EVENT_INTENT:
        (void)snprintf(out, size, "intent %.*s", (int)r->intent->text.len,
                       (const char *)r->intent->text.data);
        add_approval(known, r->intent->approval, out, size);
        break;
    case CHAPERONE__V1__RECORD__EVENT_APPROVAL:
        (void)snprintf(out, size, "approval %s", r->approval->state);
        add_approval(known, r->approval->id, out, size);
        break;
    case CHAPERONE__V1__RECORD__EVENT_OUTCOME:
        (void)snprintf(out, size, "outcome %s", status_name(r->outcome->status));
        add_approval(known, r->outcome->approval, out, size);
        break;
    case CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED:
        (void)snprintf(out, size, "closed %s%s%s", r->session_closed->reason,
                       r->session_closed->ordered_by[0] == '\0' ? "" : " by ",
                       r->session_closed->ordered_by);
        break;
    default: (void)snprintf(out, size, "another"); break;
    }
}

const char *const *fixture_records(struct fixture *f)
{
    static char texts[FIXTURE_RECORDS][128];
    static const char *all[FIXTURE_RECORDS + 1];
    size_t count = 0;
    struct approval_ids known = {.count = 0};
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    assert_int_equal(recorder_reader_create(f->recorder, 0, &reader), OK);
    while (recorder_reader_next(reader, 16, 1 << 20, &batch) == OK) {
        for (size_t i = 0; i < batch.count && count < FIXTURE_RECORDS; i++) {
            Chaperone__V1__Record *r =
                chaperone__v1__record__unpack(NULL, batch.records[i].size, batch.records[i].data);
            assert_non_null(r);
            describe(r, &known, texts[count], sizeof(texts[count]));
            all[count] = texts[count];
            count++;
            chaperone__v1__record__free_unpacked(r, NULL);
        }
    }
    recorder_reader_destroy(reader);
    all[count] = NULL;
    return all;
}

void fixture_expect_records(struct fixture *f, const char *expected)
{
    char found[4096] = "";
    const char *const *all = fixture_records(f);
    size_t length = 0;
    for (size_t i = 0; all[i] != NULL && length < sizeof(found) - 200; i++) {
        length += (size_t)snprintf(found + length, sizeof(found) - length, "%s%s",
                                   i == 0 ? "" : "; ", all[i]);
    }
    assert_string_equal(found, expected);
}

void fixture_fill_spool(struct fixture *f)
{
    static uint8_t text[4000];
    enum err e = OK;
    for (int i = 0; e == OK; i++) {
        assert_true(i < 10000);
        Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
        Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
        intent.text = (ProtobufCBinaryData){.data = text, .len = sizeof(text)};
        record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
        record.intent = &intent;
        e = recorder_write(f->recorder, &record, NULL);
    }
    assert_int_equal(e, ERR_FULL);
}
