/* What the C2SP text formats have in common: lines, decimal numbers, hashes in base64, names.
 * Within base/tlog only. */
#ifndef CHAPERONE_BASE_TLOG_TEXT_H
#define CHAPERONE_BASE_TLOG_TEXT_H

#include "base/tlog/tree.h"

/* Valid UTF-8 (RFC 3629) without ASCII control characters other than newline (signed-note,
 * "Format"). */
bool text_is_clean(struct bytes text);

/* A key name: clean, 1 to `most` bytes, no Unicode space, no plus, no newline. */
bool text_is_name(struct bytes text, size_t most);

bool text_has_prefix(struct bytes text, const char *prefix);

/* Takes the first line off `rest`, without its newline. False when there is no newline. Both
 * stay untouched then. */
bool text_take_line(struct bytes *rest, struct bytes *out);

/* ASCII decimal without leading zeros, at most `most`. */
bool text_to_number(struct bytes text, uint64_t most, uint64_t *out);

/* Base64 of exactly `size` bytes. ERR_INVALID, ERR_NO_MEMORY. */
enum err text_to_bytes(struct bytes text, uint8_t *out, size_t size) MUST_USE;
enum err text_to_hash(struct bytes text, struct tlog_hash *out) MUST_USE;
/* The lines of a proof and the empty one after them. `what` is what they stand in. ERR_INVALID,
 * ERR_LIMIT. */
enum err text_take_proof(struct bytes *rest, const char *what, struct tlog_proof *out,
                         struct err_text *why) MUST_USE;
/* Appends it with a newline. */
enum err text_put_hash(struct buffer *out, const struct tlog_hash *hash) MUST_USE;

/* Makes the buffer as long again as it was, when something that was begun cannot be finished. */
void text_take_back(struct buffer *out, size_t size);

#endif
