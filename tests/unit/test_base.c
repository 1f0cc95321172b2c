/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bump.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/half.h"
#include "tap.h"

static void an_error_keeps_its_code_and_gains_context(void)
{
    struct accel_error err = {0};

    ok(accel_fail(&err, ACCEL_E_LIMIT, "%d nodes", 7) == ACCEL_E_LIMIT,
       "accel_fail returns the code");
    ok(accel_fail_in(&err, "model %s", "m") == ACCEL_E_LIMIT, "context keeps the code");
    ok(strcmp(err.msg, "model m: 7 nodes") == 0, "context goes in front: %s", err.msg);
    ok(accel_fail(NULL, ACCEL_E_IO, "x") == ACCEL_E_IO, "NULL takes no message");
    accel_fail_errno(&err, ENOENT, "open %s", "/x");
    ok(err.code == ACCEL_E_NOT_FOUND && strcmp(err.msg, "open /x: No such file or directory") == 0,
       "errno becomes code and text: %s", err.msg);
    ok(strcmp(accel_code_name(ACCEL_E_BUSY), "BUSY") == 0 && strcmp(accel_code_name(999), "?") == 0,
       "codes have names");
}

static void a_long_error_says_that_it_was_cut(void)
{
    char text[2 * ACCEL_ERROR_MSG_MAX];
    struct accel_error err;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    accel_fail(&err, ACCEL_E_INVALID, "%s", text);
    ok(strlen(err.msg) == ACCEL_ERROR_MSG_MAX - 1 &&
           strcmp(err.msg + ACCEL_ERROR_MSG_MAX - 4, "...") == 0,
       "a sentence that does not fit ends in dots");
}

static void allocations_fail_when_told(void)
{
    accel_fault_arm(1);
    void *first = accel_malloc(1), *second = accel_malloc(1), *third = accel_malloc(1);
    ok(first != NULL && second == NULL && third != NULL, "the armed allocation fails, once");
    ok(accel_fault_disarm(), "and it is known that it did");
    accel_free(first);
    accel_free(third);
    ok(accel_calloc(SIZE_MAX, 2) == NULL && accel_realloc(NULL, SIZE_MAX, 2) == NULL,
       "a product that overflows is refused");
}

static void a_buffer_collects_and_fails_once(void)
{
    struct accel_buf buf = {.limit = 8};

    accel_buf_puts(&buf, "ab");
    accel_buf_printf(&buf, "%d", 12);
    ok(buf.size == 4 && strcmp(buf.data, "ab12") == 0, "appends text and numbers");
    accel_buf_puts(&buf, "too long");
    accel_buf_puts(&buf, "x");
    ok(accel_buf_failed(&buf) && accel_buf_steal(&buf) == NULL,
       "a buffer over its limit stays failed");
    char *empty = accel_buf_steal(&buf);
    ok(empty != NULL && empty[0] == '\0', "an empty buffer is an empty string");
    accel_free(empty);
}

static void bump_memory_is_zeroed_and_aligned(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    bool good = true;

    for (size_t size = 1; size < 20000; size = size * 3 + 1) {
        const unsigned char *block = accel_bump_alloc(&mem, 1, size);
        good = good && block != NULL && (uintptr_t)block % 16 == 0 && block[0] == 0 &&
               block[size - 1] == 0;
        if (block != NULL)
            memset(accel_bump_alloc(&mem, size, 1), 0xff, size);
    }
    ok(good, "blocks of every size are zeroed and aligned");
    ok(accel_bump_alloc(&mem, SIZE_MAX, 2) == NULL, "a product that overflows is refused");
    ok(strcmp(accel_bump_printf(&mem, "%s-%d", "a", 1), "a-1") == 0 &&
           accel_bump_strdup(&mem, NULL) == NULL,
       "strings are copied and printed");
}

static void a_sealed_memory_file_cannot_change(void)
{
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_error err;
    char back[4] = "";
    size_t got;

    ok(accel_memfd_of("test", "abc", 3, &fd, &err) == ACCEL_OK, "a memory file is made");
    ok(accel_memfd_is_sealed(fd), "it carries all seals");
    ok(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM && ftruncate(fd, 1) < 0,
       "it takes no write and no other size");
    ok(mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED,
       "it takes no writable mapping");
    lseek(fd, 0, SEEK_SET);
    ok(accel_read_full(fd, back, sizeof(back), &got, "test", &err) == ACCEL_OK && got == 3 &&
           memcmp(back, "abc", 3) == 0,
       "it holds what was put in");
}

static void files_are_read_whole_and_bounded(void)
{
    char path[] = "/tmp/test_base.XXXXXX", *text = NULL;
    ACCEL_CLEANUP(accel_closep) int fd = mkstemp(path);
    struct accel_error err;
    char block[9000];
    size_t size = 0;

    memset(block, 'y', sizeof(block));
    ok(accel_write_all(fd, block, sizeof(block), path, &err) == ACCEL_OK, "writes all of it");
    ok(accel_read_file(path, 9000, &text, &size, &err) == ACCEL_OK && size == 9000 &&
           text[9000] == '\0',
       "a file is read to its end");
    accel_freep(&text);
    ok(accel_read_file(path, 8999, &text, &size, &err) == ACCEL_E_LIMIT && text == NULL,
       "one byte too many is refused: %s", err.msg);
    unlink(path);
    ok(accel_read_file(path, 10, &text, &size, &err) == ACCEL_E_NOT_FOUND,
       "a missing file is named: %s", err.msg);
    ok(accel_read_file("/proc/self/status", 1 << 20, &text, &size, &err) == ACCEL_OK && size > 100,
       "a file of /proc that says size 0 is read too");
    accel_free(text);
}

static void halves_convert_both_ways(void)
{
    bool round_trip = true, between = true;

    for (uint32_t h = 0; h < 0x7c00; h++) {
        const float value = accel_half_to_float((uint16_t)h);
        const float next = accel_half_to_float((uint16_t)(h + 1));
        round_trip = round_trip && accel_half_from_float(value) == h &&
                     accel_half_from_float(-value) == (h | 0x8000);
        if (h + 1 == 0x7c00)
            continue;
        /* The middle of two neighbours goes to the even one; a hair beside it to the nearer. */
        const float middle = (value + next) / 2;
        between = between && accel_half_from_float(middle) == (h & 1 ? h + 1 : h) &&
                  accel_half_from_float(nextafterf(middle, 0)) == h &&
                  accel_half_from_float(nextafterf(middle, INFINITY)) == h + 1;
    }
    ok(round_trip, "every finite half survives the way to float and back");
    ok(between, "what lies between two halves goes to the nearer, ties to even");
    ok(accel_half_from_float(65519.0f) == 0x7bff && accel_half_from_float(65520.0f) == 0x7c00 &&
           accel_half_from_float(INFINITY) == 0x7c00 && isinf(accel_half_to_float(0xfc00)),
       "overflow is infinity");
    ok(isnan(accel_half_to_float(accel_half_from_float(NAN))), "NaN stays NaN");
}

static void time_has_the_wire_form(void)
{
    char now[ACCEL_TIMESTAMP_SIZE];

    accel_timestamp(now);
    ok(strlen(now) == 32 && now[10] == 'T' && strcmp(now + 26, "+00:00") == 0, "now is %s", now);
    const int64_t before = accel_now_ns();
    ok(accel_now_ns() >= before, "monotonic time does not go back");
}

int main(void)
{
    an_error_keeps_its_code_and_gains_context();
    a_long_error_says_that_it_was_cut();
    allocations_fail_when_told();
    a_buffer_collects_and_fails_once();
    bump_memory_is_zeroed_and_aligned();
    a_sealed_memory_file_cannot_change();
    files_are_read_whole_and_bounded();
    halves_convert_both_ways();
    time_has_the_wire_form();
    return tap_done();
}
