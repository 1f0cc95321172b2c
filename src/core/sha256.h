/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_SHA256_H
#define ACCEL_CORE_SHA256_H

/* SHA-256 (FIPS 180-4), so that a worker need not map a whole cryptography library. */

#include <stddef.h>
#include <stdint.h>

#define ACCEL_SHA256_BYTES 32

struct accel_sha256 {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64]; /* size % 64 bytes of it are waiting */
};
void accel_sha256_init(struct accel_sha256 *hash);
void accel_sha256_add(struct accel_sha256 *hash, const void *bytes, size_t size);
void accel_sha256_end(struct accel_sha256 *hash, uint8_t out[ACCEL_SHA256_BYTES]);

#endif
