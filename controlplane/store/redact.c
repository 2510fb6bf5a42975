#include "controlplane/store/redact.h"

#include "api/approvals.pb-c.h"

static char no_text[] = "";

static void intent_redact(Chaperone__V1__Intent *intent)
{
    intent->text.len = 0;
    intent->text_size = 0;
    intent->text_truncated = 0;
    intent->n_parameters = 0;
    intent->n_objects = 0;
    intent->n_reasons = 0;
    intent->http = NULL;
    intent->statement_name = no_text;
    intent->portal = no_text;
    intent->error = no_text;
}

/* The parts that change are copies; the rest is the message's own, and only read. */
static enum err held_pack(const Chaperone__V1__HeldOperation *held, struct buffer *out)
{
    Chaperone__V1__HeldOperation kept = *held;
    Chaperone__V1__Intent intent;
    Chaperone__V1__Prediction prediction;
    if (held->intent != NULL) {
        intent = *held->intent;
        intent_redact(&intent);
        intent.base.n_unknown_fields = 0;
        kept.intent = &intent;
    }
    if (held->prediction != NULL) {
        prediction = *held->prediction;
        prediction.plan = no_text;
        prediction.unavailable = no_text;
        prediction.base.n_unknown_fields = 0;
        kept.prediction = &prediction;
    }
    kept.n_locks = 0;
    kept.n_reasons = 0;
    kept.shape = no_text;
    kept.base.n_unknown_fields = 0;
    size_t size = chaperone__v1__held_operation__get_packed_size(&kept);
    uint8_t *at = buffer_reserve(out, size);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    buffer_commit(out, chaperone__v1__held_operation__pack(&kept, at));
    return OK;
}

enum err redact_held(struct bytes held, struct buffer *out)
{
    buffer_clear(out);
    Chaperone__V1__HeldOperation *message =
        chaperone__v1__held_operation__unpack(NULL, held.size, held.data);
    if (message == NULL) {
        return OK;
    }
    enum err err = held_pack(message, out);
    chaperone__v1__held_operation__free_unpacked(message, NULL);
    return err;
}

struct bytes redact_text_of(const Chaperone__V1__Record *record)
{
    if (record->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        return bytes_of(record->intent->text.data, record->intent->text.len);
    }
    if (record->event_case == CHAPERONE__V1__RECORD__EVENT_MESSAGE &&
        strcmp(record->message->kind, "binary") != 0) {
        return bytes_of(record->message->data.data, record->message->data.len);
    }
    return bytes_of(NULL, 0);
}

enum err redact_find_text(struct bytes canonical, struct arena *arena, struct bytes *out)
{
    Chaperone__V1__Record *record =
        chaperone__v1__record__unpack(NULL, canonical.size, canonical.data);
    struct bytes text = {0};
    enum err err = OK;
    struct bytes found = record == NULL ? text : redact_text_of(record);
    if (found.size > 0) {
        uint8_t *copy = arena_alloc(arena, found.size);
        if (copy == NULL) {
            err = ERR_NO_MEMORY;
        } else {
            memcpy(copy, found.data, found.size);
            text = bytes_of(copy, found.size);
        }
    }
    if (record != NULL) {
        chaperone__v1__record__free_unpacked(record, NULL);
    }
    if (err == OK) {
        *out = text;
    }
    return err;
}
