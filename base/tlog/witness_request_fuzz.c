#include <assert.h>

#include "base/tlog/witness_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The checkpoint and the key of a witness that answers are fixed. */
static void answer(struct bytes body)
{
    static const char note[] = "log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
                               "\xe2\x80\x94 log AAAAAQ==\n";
    static const uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE] = {1};
    struct tlog_verifier witness;
    struct buffer line;
    uint64_t time = 0;
    assert(tlog_verifier_init(bytes_of_string("w"), TLOG_KEY_COSIGNATURE, public_key, &witness) ==
           OK);
    buffer_init(&line, TLOG_WITNESS_ANSWER_MAX);
    if (tlog_witness_answer_take(body, bytes_of_string(note), &witness, &line, &time, NULL) != OK) {
        assert(buffer_size(&line) == 0);
    }
    buffer_finish(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tlog_witness_request request;
    struct err_text why;
    uint64_t number = 0;
    struct buffer again;
    buffer_init(&again, TLOG_WITNESS_REQUEST_MAX);
    if (tlog_witness_request_parse(bytes_of(data, size), &request, &why) == OK) {
        /* There is one spelling only. */
        assert(tlog_witness_request_format(&request, &again) == OK);
        assert(bytes_equal(buffer_bytes(&again), bytes_of(data, size)));
    }
    buffer_clear(&again);
    if (tlog_witness_size_parse(bytes_of(data, size), &number) == OK) {
        assert(tlog_witness_size_format(number, &again) == OK);
        assert(bytes_equal(buffer_bytes(&again), bytes_of(data, size)));
    }
    buffer_finish(&again);
    answer(bytes_of(data, size));
    return 0;
}
