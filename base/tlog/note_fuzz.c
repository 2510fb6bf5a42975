#include <assert.h>

#include "base/tlog/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read and is written again is the same bytes. */
static void same_again(struct bytes text, const struct tlog_checkpoint *checkpoint)
{
    struct buffer b;
    buffer_init(&b, text.size);
    assert(tlog_checkpoint_format(checkpoint, &b) == OK);
    assert(b.data != NULL);
    assert(bytes_equal(buffer_bytes(&b), text));
    buffer_finish(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct tlog_note note;
    struct tlog_checkpoint checkpoint;
    struct tlog_verifier verifier;
    struct err_text why;
    if (tlog_note_parse(input, &note, &why) == OK) {
        assert(note.count > 0 && note.count <= TLOG_NOTE_SIGNATURES_MAX);
        assert(note.text.size > 0 && note.text.data[note.text.size - 1] == '\n');
        if (tlog_checkpoint_parse(note.text, &checkpoint, &why) == OK) {
            same_again(note.text, &checkpoint);
        }
    }
    if (tlog_checkpoint_parse(input, &checkpoint, &why) == OK) {
        same_again(input, &checkpoint);
    }
    if (tlog_verifier_parse(input, &verifier, &why) == OK) {
        struct buffer again;
        buffer_init(&again, size);
        assert(tlog_verifier_format(&verifier, &again) == OK);
        assert(again.data != NULL);
        assert(bytes_equal(buffer_bytes(&again), input));
        buffer_finish(&again);
    }
    return 0;
}
