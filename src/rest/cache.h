/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_CACHE_H
#define ACCEL_REST_CACHE_H

/* Answers that depend on the request's line, the store and the configuration alone, kept as they
 * were sent until the store changes. Thread-safe. */

#include <stddef.h>
#include <stdint.h>

struct accel_cache;

/* The bytes of an answer; they live until every reference is given back. */
struct accel_cached {
    const char *data;
    size_t size;
    char etag[32];
};

/* NULL: memory is out. Holds at most `bytes_max`, and no answer of more than a quarter of that. */
struct accel_cache *accel_cache_new(size_t bytes_max);
/* Every reference must have been given back. NULL is fine. */
void accel_cache_free(struct accel_cache *cache);

/* A new reference to what was put under `key` at this generation of the store; NULL: nothing. */
const struct accel_cached *accel_cache_get(struct accel_cache *cache, const char *key,
                                           uint64_t generation);
/* Keeps a copy, or does not when there is no room. `generation`: of the store, from before the
 * answer was read from it. */
void accel_cache_put(struct accel_cache *cache, const char *key, uint64_t generation,
                     const char *data, size_t size, const char *etag);
/* NULL is fine. */
void accel_cache_release(struct accel_cache *cache, const struct accel_cached *cached);

#endif
