/* The Merkle tree of a transparency log: hashes, tree heads, and proofs, made and checked.
 *
 * RFC 6962 section 2.1 with SHA-256; checking follows RFC 9162 sections 2.1.3.2 and 2.1.4.2. Pure:
 * no I/O, no allocation, no clock. Stored hashes are read through a callback, so that tiles in a
 * file system, rows of a store or an array can be behind it.
 *
 * A proof that is made from hashes which nobody vouches for is safe to use after it was checked
 * against a root that was signed: a wrong hash gives a proof that does not check. */
#ifndef CHAPERONE_BASE_TLOG_TREE_H
#define CHAPERONE_BASE_TLOG_TREE_H

#include "base/bytes.h"

enum {
    TLOG_HASH_SIZE = 32,
    /* Binary levels of the largest tree. */
    TLOG_LEVELS = 62,
    /* A consistency proof has at most one hash more than there are levels (RFC 6962, 2.1.2). */
    TLOG_PROOF_MAX = TLOG_LEVELS + 1,
};

/* Leaves of the largest tree: sums of two sizes stay below 2^63, so that no sum here wraps, and the
 * other implementations, which count in a signed 64-bit integer, can follow. */
#define TLOG_SIZE_MAX (UINT64_C(1) << TLOG_LEVELS)

struct tlog_hash {
    uint8_t bytes[TLOG_HASH_SIZE];
};

/* Hashes from the leaf's (or the smaller tree's) end up to the root's. A plain value. */
struct tlog_proof {
    size_t count; /* at most TLOG_PROOF_MAX */
    struct tlog_hash hashes[TLOG_PROOF_MAX];
};

/* Gives the hash of the complete subtree of 2^level leaves that starts at leaf index * 2^level.
 * Only such as lie wholly in the tree are asked for. An error is handed on. */
struct tlog_reader {
    enum err (*read)(void *context, unsigned level, uint64_t index, struct tlog_hash *out);
    void *context; /* borrows */
};

static inline bool tlog_hash_equal(const struct tlog_hash *a, const struct tlog_hash *b)
{
    return memcmp(a->bytes, b->bytes, TLOG_HASH_SIZE) == 0;
}

/* SHA-256(0x00 || record) and SHA-256(0x01 || left || right). `out` may be one of the inputs. */
void tlog_hash_leaf(struct bytes record, struct tlog_hash *out);
void tlog_hash_node(const struct tlog_hash *left, const struct tlog_hash *right,
                    struct tlog_hash *out);

/* The head of the tree of the first `size` leaves; of an empty one SHA-256(). ERR_LIMIT above
 * TLOG_SIZE_MAX. */
enum err tlog_tree_root(const struct tlog_reader *reader, uint64_t size,
                        struct tlog_hash *out) MUST_USE;

/* That leaf `index` (from 0) is in the tree of `size` leaves: PATH(index, D[size]). ERR_INVALID
 * when index >= size. */
enum err tlog_tree_prove_inclusion(const struct tlog_reader *reader, uint64_t size, uint64_t index,
                                   struct tlog_proof *out) MUST_USE;

/* That the tree of `before` leaves is the beginning of the one of `size`: PROOF(before, D[size]).
 * Empty when before is size or 0 (every tree begins with the empty one). ERR_INVALID when
 * before > size. */
enum err tlog_tree_prove_consistency(const struct tlog_reader *reader, uint64_t size,
                                     uint64_t before, struct tlog_proof *out) MUST_USE;

/* Any size, index and proof may be given; what does not fit exactly is false. */
bool tlog_tree_check_inclusion(const struct tlog_proof *proof, uint64_t size, uint64_t index,
                               const struct tlog_hash *leaf, const struct tlog_hash *root) MUST_USE;

/* `before_root` and `root` are the heads of the smaller and the larger tree. An empty smaller tree
 * must have the head of the empty tree. */
bool tlog_tree_check_consistency(const struct tlog_proof *proof, uint64_t size, uint64_t before,
                                 const struct tlog_hash *root,
                                 const struct tlog_hash *before_root) MUST_USE;

/* ---- The head of a growing tree without its stored hashes: for whoever reads every leaf ---------
 */

/* Hashes of the complete subtrees on the right edge, the largest first: one for each bit of `size`.
 * All zero bytes is the empty tree. */
struct tlog_edge {
    uint64_t size;
    struct tlog_hash hashes[TLOG_LEVELS + 1];
};

/* ERR_LIMIT when the tree has TLOG_SIZE_MAX leaves. */
enum err tlog_edge_append(struct tlog_edge *edge, const struct tlog_hash *leaf) MUST_USE;
void tlog_edge_root(const struct tlog_edge *edge, struct tlog_hash *out);

#endif
