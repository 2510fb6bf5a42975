#include "base/tlog/tree.h"

#include "base/crypto/crypto.h"

_Static_assert(TLOG_HASH_SIZE == (int)CRYPTO_SHA256_SIZE, "the hash is SHA-256");

void tlog_hash_leaf(struct bytes record, struct tlog_hash *out)
{
    static const uint8_t prefix = 0x00;
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    crypto_sha256_update(&hash, bytes_of(&prefix, 1));
    crypto_sha256_update(&hash, record);
    crypto_sha256_finish(&hash, out->bytes);
}

void tlog_hash_node(const struct tlog_hash *left, const struct tlog_hash *right,
                    struct tlog_hash *out)
{
    uint8_t node[1 + 2 * TLOG_HASH_SIZE] = {0x01};
    memcpy(node + 1, left->bytes, TLOG_HASH_SIZE);
    memcpy(node + 1 + TLOG_HASH_SIZE, right->bytes, TLOG_HASH_SIZE);
    crypto_sha256_of(bytes_of(node, sizeof(node)), out->bytes);
}

/* k of RFC 6962: the largest power of two smaller than n; n is at least 2. */
static uint64_t split_of(uint64_t n)
{
    return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

/* MTH(D[start:start + count]) where start is a multiple of the largest power of two in count, as
 * it is in every subtree that RFC 6962 makes by splitting. Complete subtrees from the right, the
 * smallest first, each joined to what is right of it. */
static enum err range_root(const struct tlog_reader *reader, uint64_t start, uint64_t count,
                           struct tlog_hash *out)
{
    struct tlog_hash sum = {{0}}, part;
    bool any = false;
    for (uint64_t left = count; left != 0; left &= left - 1) {
        unsigned level = (unsigned)__builtin_ctzll(left);
        uint64_t from = start + (left & (left - 1));
        enum err e = reader->read(reader->context, level, from >> level, any ? &part : &sum);
        if (e != OK) {
            return e;
        }
        if (any) {
            tlog_hash_node(&part, &sum, &sum);
        }
        any = true;
    }
    *out = sum;
    return OK;
}

enum err tlog_tree_root(const struct tlog_reader *reader, uint64_t size, struct tlog_hash *out)
{
    if (size > TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    if (size == 0) {
        crypto_sha256_of((struct bytes){0}, out->bytes);
        return OK;
    }
    return range_root(reader, 0, size, out);
}

/* The proof is found from the root down and given from the leaf up. */
static void proof_reverse(struct tlog_proof *proof)
{
    for (size_t i = 0; i < proof->count / 2; i++) {
        struct tlog_hash *a = &proof->hashes[i], *b = &proof->hashes[proof->count - 1 - i];
        struct tlog_hash kept = *a;
        *a = *b;
        *b = kept;
    }
}

enum err tlog_tree_prove_inclusion(const struct tlog_reader *reader, uint64_t size, uint64_t index,
                                   struct tlog_proof *out)
{
    if (size > TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    if (index >= size) {
        return ERR_INVALID;
    }
    struct tlog_proof proof = {.count = 0};
    uint64_t start = 0, count = size;
    while (count > 1) {
        uint64_t k = split_of(count);
        bool is_left = index - start < k;
        struct tlog_hash *other = &proof.hashes[proof.count++];
        enum err e = is_left ? range_root(reader, start + k, count - k, other)
                             : range_root(reader, start, k, other);
        if (e != OK) {
            return e;
        }
        start = is_left ? start : start + k;
        count = is_left ? k : count - k;
    }
    proof_reverse(&proof);
    *out = proof;
    return OK;
}

/* SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2, with the recursion unrolled. */
enum err tlog_tree_prove_consistency(const struct tlog_reader *reader, uint64_t size,
                                     uint64_t before, struct tlog_proof *out)
{
    if (size > TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    if (before > size) {
        return ERR_INVALID;
    }
    struct tlog_proof proof = {.count = 0};
    uint64_t start = 0, count = size, m = before;
    bool known = true; /* b: the subtree that remains is the smaller tree itself */
    while (m != count && m != 0) {
        uint64_t k = split_of(count);
        bool is_left = m <= k;
        struct tlog_hash *other = &proof.hashes[proof.count++];
        enum err e = is_left ? range_root(reader, start + k, count - k, other)
                             : range_root(reader, start, k, other);
        if (e != OK) {
            return e;
        }
        known = known && is_left;
        start = is_left ? start : start + k;
        count = is_left ? k : count - k;
        m = is_left ? m : m - k;
    }
    if (!known) {
        enum err e = range_root(reader, start, count, &proof.hashes[proof.count]);
        if (e != OK) {
            return e;
        }
        proof.count++;
    }
    proof_reverse(&proof);
    *out = proof;
    return OK;
}

/* RFC 9162 section 2.1.3.2. */
bool tlog_tree_check_inclusion(const struct tlog_proof *proof, uint64_t size, uint64_t index,
                               const struct tlog_hash *leaf, const struct tlog_hash *root)
{
    if (size > TLOG_SIZE_MAX || index >= size || proof->count > TLOG_PROOF_MAX) {
        return false;
    }
    uint64_t fn = index, sn = size - 1;
    struct tlog_hash r = *leaf;
    for (size_t i = 0; i < proof->count; i++) {
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            tlog_hash_node(&proof->hashes[i], &r, &r);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            tlog_hash_node(&r, &proof->hashes[i], &r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && tlog_hash_equal(&r, root);
}

/* RFC 9162 section 2.1.4.2, steps 3 to 6, for 0 < before < size. */
static bool check_path(const struct tlog_proof *proof, uint64_t size, uint64_t before,
                       const struct tlog_hash *root, const struct tlog_hash *before_root)
{
    uint64_t fn = before - 1, sn = size - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    /* A smaller tree that is complete is a node of the larger one, and its head is known: it is
     * not in the proof (step 2). */
    bool is_complete = (before & (before - 1)) == 0;
    if (!is_complete && proof->count == 0) {
        return false;
    }
    struct tlog_hash fr = is_complete ? *before_root : proof->hashes[0], sr = fr;
    for (size_t i = is_complete ? 0 : 1; i < proof->count; i++) {
        const struct tlog_hash *c = &proof->hashes[i];
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            tlog_hash_node(c, &fr, &fr);
            tlog_hash_node(c, &sr, &sr);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            tlog_hash_node(&sr, c, &sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && tlog_hash_equal(&fr, before_root) && tlog_hash_equal(&sr, root);
}

bool tlog_tree_check_consistency(const struct tlog_proof *proof, uint64_t size, uint64_t before,
                                 const struct tlog_hash *root, const struct tlog_hash *before_root)
{
    if (size > TLOG_SIZE_MAX || before > size || proof->count > TLOG_PROOF_MAX) {
        return false;
    }
    struct tlog_hash empty;
    crypto_sha256_of((struct bytes){0}, empty.bytes);
    if ((size == 0 && !tlog_hash_equal(root, &empty)) ||
        (before == 0 && !tlog_hash_equal(before_root, &empty))) {
        return false;
    }
    if (before == size) {
        return proof->count == 0 && tlog_hash_equal(root, before_root);
    }
    if (before == 0) {
        return proof->count == 0;
    }
    return check_path(proof, size, before, root, before_root);
}

enum err tlog_edge_append(struct tlog_edge *edge, const struct tlog_hash *leaf)
{
    if (edge->size >= TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    size_t held = (size_t)__builtin_popcountll(edge->size);
    struct tlog_hash hash = *leaf;
    for (uint64_t left = edge->size; (left & 1) != 0; left >>= 1) {
        tlog_hash_node(&edge->hashes[--held], &hash, &hash);
    }
    edge->hashes[held] = hash;
    edge->size++;
    return OK;
}

void tlog_edge_root(const struct tlog_edge *edge, struct tlog_hash *out)
{
    size_t held = (size_t)__builtin_popcountll(edge->size);
    if (held == 0) {
        crypto_sha256_of((struct bytes){0}, out->bytes);
        return;
    }
    struct tlog_hash sum = edge->hashes[--held];
    while (held > 0) {
        tlog_hash_node(&edge->hashes[--held], &sum, &sum);
    }
    *out = sum;
}
