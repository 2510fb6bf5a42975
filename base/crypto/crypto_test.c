/* The published vectors, against whichever library this is linked with. */
#include "base/crypto/crypto.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_hex(const uint8_t *data, size_t size, const char *expected)
{
    char text[256];
    assert_true(2 * size + 1 <= sizeof(text));
    crypto_hex_encode(bytes_of(data, size), text);
    assert_string_equal(text, expected);
}

static void sha256_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct bytes text = bytes_of_string(vectors[i].text);
        uint8_t digest[CRYPTO_SHA256_SIZE];
        crypto_sha256_of(text, digest);
        assert_hex(digest, sizeof(digest), vectors[i].digest);
        for (size_t split = 0; split <= text.size; split++) {
            struct crypto_sha256 hash;
            crypto_sha256_init(&hash);
            crypto_sha256_update(&hash, bytes_of(text.data, split));
            struct crypto_sha256 copy = hash;
            crypto_sha256_update(&copy, bytes_of(text.data + split, text.size - split));
            crypto_sha256_finish(&copy, digest);
            assert_hex(digest, sizeof(digest), vectors[i].digest);
        }
    }
}

static void sha256_of_a_million(void **state)
{
    (void)state;
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    uint8_t block[1000];
    memset(block, 'a', sizeof(block));
    for (int i = 0; i < 1000; i++) {
        crypto_sha256_update(&hash, bytes_of(block, sizeof(block)));
    }
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256_finish(&hash, digest);
    assert_hex(digest, sizeof(digest),
               "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231: test cases 1, 2 and 6 (a key longer than a block). */
static void hmac_vectors(void **state)
{
    (void)state;
    uint8_t mac[CRYPTO_SHA256_SIZE], key[131];
    memset(key, 0x0b, 20);
    crypto_hmac_of(bytes_of(key, 20), bytes_of_string("Hi There"), mac);
    assert_hex(mac, sizeof(mac),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    crypto_hmac_of(bytes_of_string("Jefe"), bytes_of_string("what do ya want for nothing?"), mac);
    assert_hex(mac, sizeof(mac),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    crypto_hmac_of(bytes_of(key, sizeof(key)),
                   bytes_of_string("Test Using Larger Than Block-Size Key - Hash Key First"), mac);
    assert_hex(mac, sizeof(mac),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 7914 section 11 (first 32 bytes), and the common SHA-256 versions of RFC 6070. */
static void pbkdf2_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *password, *salt, *key;
        uint32_t iterations;
    } vectors[] = {
        {"passwd", "salt", "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc", 1},
        {"Password", "NaCl", "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56",
         80000},
        {"password", "salt", "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b", 1},
        {"password", "salt", "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a",
         4096},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct bytes password = bytes_of_string(vectors[i].password);
        struct bytes salt = bytes_of_string(vectors[i].salt);
        uint8_t key[CRYPTO_SHA256_SIZE];
        crypto_pbkdf2_of(password, salt, vectors[i].iterations, key);
        assert_hex(key, sizeof(key), vectors[i].key);
        struct crypto_pbkdf2 kdf;
        crypto_pbkdf2_init(&kdf, password, salt, vectors[i].iterations);
        uint32_t slices = 1;
        while (!crypto_pbkdf2_step(&kdf, 1000)) {
            slices++;
        }
        assert_int_equal(
            slices, vectors[i].iterations <= 1000 ? 1 : (vectors[i].iterations - 1 + 999) / 1000);
        crypto_pbkdf2_finish(&kdf, key);
        assert_hex(key, sizeof(key), vectors[i].key);
    }
}

/* RFC 1321 appendix A.5. */
static void md5_vectors(void **state)
{
    (void)state;
    uint8_t digest[CRYPTO_MD5_SIZE];
    crypto_md5_of(bytes_of_string(""), digest);
    assert_hex(digest, sizeof(digest), "d41d8cd98f00b204e9800998ecf8427e");
    crypto_md5_of(bytes_of_string("message digest"), digest);
    assert_hex(digest, sizeof(digest), "f96b697d7cb7938d525a2f31aaf161d0");
}

static void random_bytes_differ(void **state)
{
    (void)state;
    struct crypto_random random = crypto_random_system();
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(crypto_random_fill(&random, a, sizeof(a)), OK);
    assert_int_equal(crypto_random_fill(&random, b, sizeof(b)), OK);
    assert_memory_not_equal(a, b, sizeof(a));
}

static void comparison(void **state)
{
    (void)state;
    assert_true(crypto_equal(bytes_of_string("abc"), bytes_of_string("abc")));
    assert_false(crypto_equal(bytes_of_string("abc"), bytes_of_string("abd")));
    assert_false(crypto_equal(bytes_of_string("abc"), bytes_of_string("ab")));
    assert_true(crypto_equal(bytes_of(NULL, 0), bytes_of_string("")));
}

static void hex_both_ways(void **state)
{
    (void)state;
    uint8_t out[3] = {9, 9, 9};
    assert_int_equal(crypto_hex_decode(bytes_of_string("00fFa7"), out, 3), OK);
    assert_hex(out, 3, "00ffa7");
    assert_int_equal(crypto_hex_decode(bytes_of_string("00fFa"), out, 3), ERR_INVALID);
    assert_int_equal(crypto_hex_decode(bytes_of_string("00fFa7"), out, 2), ERR_INVALID);
    assert_int_equal(crypto_hex_decode(bytes_of_string("00fFag"), out, 3), ERR_INVALID);
    assert_int_equal(crypto_hex_decode(bytes_of_string("00fFa\xe7"), out, 3), ERR_INVALID);
    assert_hex(out, 3, "00ffa7");
}

/* RFC 4648 section 10, into a buffer whose cap is exact. */
static void base64_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct bytes plain = bytes_of_string(vectors[i][0]);
        struct bytes text = bytes_of_string(vectors[i][1]);
        struct buffer out;
        buffer_init(&out, text.size);
        assert_int_equal(crypto_base64_encode(plain, &out), OK);
        assert_true(bytes_equal(buffer_bytes(&out), text));
        buffer_finish(&out);
        buffer_init(&out, plain.size);
        assert_int_equal(crypto_base64_decode(text, &out), OK);
        assert_true(bytes_equal(buffer_bytes(&out), plain));
        buffer_finish(&out);
        if (plain.size > 0) {
            buffer_init(&out, plain.size - 1);
            assert_int_equal(crypto_base64_decode(text, &out), ERR_LIMIT);
            assert_int_equal(crypto_base64_encode(plain, &out), ERR_LIMIT);
            assert_int_equal(buffer_size(&out), 0);
            buffer_finish(&out);
        }
    }
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Z",     "Zg",   "Zg=",  "Zh==",     "Zm9=", "Zg==\n", " Zg=",         "Zm 9",
        "Zm9v=", "====", "A===", "Zg==Zg==", "Zm-v", "Zm_v",   "Zm9v\n\n\n\n", "=m9v"};
    struct buffer out;
    buffer_init(&out, 64);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(crypto_base64_decode(bytes_of_string(wrong[i]), &out), ERR_INVALID);
        assert_int_equal(buffer_size(&out), 0);
    }
    buffer_finish(&out);
}

/* RFC 8410 section 10.3: a key, and the public key that belongs to it (section 10.1). */
static const char rfc8410_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
    "-----END PRIVATE KEY-----\n";
static const char rfc8410_public[] =
    "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

static void ed25519_pem(void **state)
{
    (void)state;
    struct crypto_ed25519 *key = NULL;
    assert_int_equal(crypto_ed25519_from_pem(bytes_of_string(rfc8410_pem), &key, NULL), OK);
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE];
    crypto_ed25519_public(key, public_key);
    assert_hex(public_key, sizeof(public_key), rfc8410_public);
    struct buffer pem;
    buffer_init(&pem, 1024);
    assert_int_equal(crypto_ed25519_to_pem(key, &pem), OK);
    assert_true(bytes_equal_string(buffer_bytes(&pem), rfc8410_pem));
    buffer_finish(&pem);
    crypto_ed25519_destroy(key);
}

static void ed25519_pem_refused(void **state)
{
    (void)state;
    /* Nothing; no PEM; a truncated key; a P-256 key; a public key. */
    static const char *const wrong[] = {
        "",
        "no key",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n"
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n"
        "OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n"
        "1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n"
        "-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct crypto_ed25519 *key = NULL;
        struct err_text why = {.text = ""};
        assert_int_equal(crypto_ed25519_from_pem(bytes_of_string(wrong[i]), &key, &why),
                         ERR_INVALID);
        assert_null(key);
        assert_string_not_equal(why.text, "");
    }
}

/* RFC 8032 section 7.1, TEST 1 (no message) and TEST 3. */
static void ed25519_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *seed, *public_key, *message, *signature;
    } vectors[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "c"
         "f9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
         "8"
         "4dc6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        /* PKCS#8 is a fixed prefix before the seed (RFC 8410 section 7). */
        uint8_t der[48], message[2];
        assert_int_equal(
            crypto_hex_decode(bytes_of_string("302e020100300506032b657004220420"), der, 16), OK);
        assert_int_equal(crypto_hex_decode(bytes_of_string(vectors[i].seed), der + 16, 32), OK);
        struct buffer pem;
        buffer_init(&pem, 1024);
        assert_int_equal(buffer_append_string(&pem, "-----BEGIN PRIVATE KEY-----\n"), OK);
        assert_int_equal(crypto_base64_encode(bytes_of(der, sizeof(der)), &pem), OK);
        assert_int_equal(buffer_append_string(&pem, "\n-----END PRIVATE KEY-----\n"), OK);
        struct crypto_ed25519 *key = NULL;
        assert_int_equal(crypto_ed25519_from_pem(buffer_bytes(&pem), &key, NULL), OK);
        size_t size = strlen(vectors[i].message) / 2;
        assert_int_equal(crypto_hex_decode(bytes_of_string(vectors[i].message), message, size), OK);
        uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE], public_key[CRYPTO_ED25519_PUBLIC_SIZE];
        assert_int_equal(crypto_ed25519_sign(key, bytes_of(message, size), signature), OK);
        assert_hex(signature, sizeof(signature), vectors[i].signature);
        crypto_ed25519_public(key, public_key);
        assert_hex(public_key, sizeof(public_key), vectors[i].public_key);
        assert_true(crypto_ed25519_verify(bytes_of(public_key, sizeof(public_key)),
                                          bytes_of(message, size),
                                          bytes_of(signature, sizeof(signature))));
        crypto_ed25519_destroy(key);
        buffer_finish(&pem);
    }
}

static void ed25519_wrong_signatures(void **state)
{
    (void)state;
    struct crypto_ed25519 *key = NULL, *other = NULL;
    assert_int_equal(crypto_ed25519_generate(&key), OK);
    assert_int_equal(crypto_ed25519_generate(&other), OK);
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE], other_key[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE];
    crypto_ed25519_public(key, public_key);
    crypto_ed25519_public(other, other_key);
    struct bytes message = bytes_of_string("a record"), signed_ = bytes_of(signature, 64);
    assert_int_equal(crypto_ed25519_sign(key, message, signature), OK);
    assert_true(crypto_ed25519_verify(bytes_of(public_key, 32), message, signed_));
    assert_false(crypto_ed25519_verify(bytes_of(other_key, 32), message, signed_));
    assert_false(
        crypto_ed25519_verify(bytes_of(public_key, 32), bytes_of_string("a recorD"), signed_));
    assert_false(crypto_ed25519_verify(bytes_of(public_key, 32), message, bytes_of(signature, 63)));
    assert_false(crypto_ed25519_verify(bytes_of(public_key, 31), message, signed_));
    for (size_t i = 0; i < sizeof(signature); i += 7) {
        signature[i] ^= 1;
        assert_false(crypto_ed25519_verify(bytes_of(public_key, 32), message, signed_));
        signature[i] ^= 1;
    }
    crypto_ed25519_destroy(key);
    crypto_ed25519_destroy(other);
}

static void ed25519_der(void **state)
{
    (void)state;
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE], again[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t der[CRYPTO_ED25519_DER_SIZE + 1] = {0};
    assert_int_equal(crypto_hex_decode(bytes_of_string(rfc8410_public), public_key, 32), OK);
    assert_int_equal(crypto_ed25519_public_to_der(public_key, der), OK);
    assert_hex(der, CRYPTO_ED25519_DER_SIZE,
               "302a300506032b6570032100"
               "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
    assert_int_equal(crypto_ed25519_public_from_der(bytes_of(der, CRYPTO_ED25519_DER_SIZE), again),
                     OK);
    assert_memory_equal(again, public_key, sizeof(again));
    for (size_t size = 0; size <= sizeof(der); size++) {
        if (size != CRYPTO_ED25519_DER_SIZE) {
            assert_int_equal(crypto_ed25519_public_from_der(bytes_of(der, size), again),
                             ERR_INVALID);
        }
    }
    der[8] = 0x6e; /* X25519 has the same shape */
    assert_int_equal(crypto_ed25519_public_from_der(bytes_of(der, CRYPTO_ED25519_DER_SIZE), again),
                     ERR_INVALID);
}

static void ed25519_files(void **state)
{
    (void)state;
    char directory[64], path[96];
    (void)snprintf(directory, sizeof(directory), "/tmp/crypto_test.XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/key.pem", directory);
    struct crypto_ed25519 *key = NULL, *again = NULL;
    struct err_text why = {.text = ""};
    assert_int_equal(crypto_ed25519_load(path, &again, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, path));

    assert_int_equal(crypto_ed25519_generate(&key), OK);
    mode_t before = umask(0);
    assert_int_equal(crypto_ed25519_store(key, path, &why), OK);
    assert_int_equal(crypto_ed25519_store(key, path, &why), OK); /* replaces */
    (void)umask(before);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    assert_int_equal(crypto_ed25519_load(path, &again, &why), OK);
    uint8_t a[CRYPTO_ED25519_PUBLIC_SIZE], b[CRYPTO_ED25519_PUBLIC_SIZE];
    crypto_ed25519_public(key, a);
    crypto_ed25519_public(again, b);
    assert_memory_equal(a, b, sizeof(a));
    crypto_ed25519_destroy(again);
    again = NULL;
    assert_int_equal(crypto_ed25519_load_or_make(path, &again, &why), OK);
    crypto_ed25519_public(again, b);
    assert_memory_equal(a, b, sizeof(a));
    crypto_ed25519_destroy(again);
    again = NULL;

    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(crypto_ed25519_load_or_make(path, &again, &why), ERR_DENIED);
    assert_int_equal(crypto_ed25519_load(path, &again, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "0640"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 60), 0);
    assert_int_equal(crypto_ed25519_load(path, &again, &why), ERR_INVALID);
    assert_int_equal(truncate(path, 1 << 20), 0);
    assert_int_equal(crypto_ed25519_load(path, &again, &why), ERR_INVALID);
    assert_int_equal(unlink(path), 0);
    struct crypto_ed25519 *made = NULL;
    assert_int_equal(crypto_ed25519_load_or_make(path, &made, &why), OK);
    assert_int_equal(crypto_ed25519_load(path, &again, &why), OK);
    crypto_ed25519_public(made, a);
    crypto_ed25519_public(again, b);
    assert_memory_equal(a, b, sizeof(a));
    crypto_ed25519_destroy(made);
    crypto_ed25519_destroy(again);
    again = NULL;
    assert_int_equal(unlink(path), 0);
    /* Nothing else was left in the directory. */
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(crypto_ed25519_store(key, path, &why), ERR_IO);
    assert_null(again);
    crypto_ed25519_destroy(key);
    crypto_ed25519_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),  cmocka_unit_test(sha256_of_a_million),
        cmocka_unit_test(hmac_vectors),    cmocka_unit_test(pbkdf2_vectors),
        cmocka_unit_test(md5_vectors),     cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(comparison),      cmocka_unit_test(hex_both_ways),
        cmocka_unit_test(base64_vectors),  cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(ed25519_pem),     cmocka_unit_test(ed25519_pem_refused),
        cmocka_unit_test(ed25519_vectors), cmocka_unit_test(ed25519_wrong_signatures),
        cmocka_unit_test(ed25519_der),     cmocka_unit_test(ed25519_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
