/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sha256.h"

#include <string.h>

#include "tap.h"

static void check(const char *text, size_t times, size_t step, const char *want, const char *what)
{
    struct accel_sha256 hash;
    uint8_t out[ACCEL_SHA256_BYTES];
    char hex[65];

    accel_sha256_init(&hash);
    for (size_t i = 0; i < times; i++)
        for (size_t at = 0; at < strlen(text); at += step)
            accel_sha256_add(&hash, text + at, strlen(text) - at < step ? strlen(text) - at : step);
    accel_sha256_end(&hash, out);
    for (int i = 0; i < ACCEL_SHA256_BYTES; i++)
        sprintf(hex + 2 * i, "%02x", out[i]);
    ok(strcmp(hex, want) == 0, "hashes %s, %zu bytes at a time", what, step);
}

/* FIPS 180-4's examples, cut in every way. */
int main(void)
{
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

    check("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "nothing");
    check("abc", 1, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc");
    for (size_t step = 1; step <= strlen(two); step++)
        check(two, 1, step, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
              "two blocks");
    check("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaa"
          "aaaaaaaa",
          10000, 100, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
          "a million times a");
    return tap_done();
}
