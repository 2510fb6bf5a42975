/* IS_SANITIZED: defined where a sanitizer is built in, by gcc or clang. It has a heap of its own,
 * and looks into its own process. */
#ifndef CHAPERONE_BASE_SANITIZED_H
#define CHAPERONE_BASE_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif

#endif
