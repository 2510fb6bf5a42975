/* The TLS library's headers, of the library that the target was declared for. */
#ifndef CHAPERONE_BASE_CRYPTO_CRYPTO_LIBRARY_H
#define CHAPERONE_BASE_CRYPTO_CRYPTO_LIBRARY_H

/* OpenSSL 3 deprecates the low-level digests in favour of fetched ones, which cost more than
 * hashing a small record does. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>

/* Both libraries export the same symbols with different layouts behind them: compiling against
 * one and linking the other would corrupt memory silently. */
#if defined(CHAPERONE_BORINGSSL) != defined(OPENSSL_IS_BORINGSSL)
#error "the headers of the other TLS library were found"
#endif

#include <stddef.h>

/* The type of a length where the two differ. */
#ifdef OPENSSL_IS_BORINGSSL
typedef size_t library_size;
#else
typedef int library_size;
#endif

#endif
