/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx_build.h"
#include "tap.h"

#include "base/fd.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

static float picture[64];

static int run(struct accel_model *m, float out[5], struct accel_error *err)
{
    struct accel_named_tensor in = {.name = "x",
                                    .tensor = {.dtype = ACCEL_DTYPE_FLOAT,
                                               .rank = 4,
                                               .dims = {1, 1, 8, 8},
                                               .data = picture,
                                               .size_bytes = 256}};
    struct accel_named_tensor y = {.name = "y", .tensor = {.data = out, .size_bytes = 20}};
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = 1};
    struct accel_session *s = NULL;
    int rc = accel_session_new(m, &so, &s, err);

    if (rc == ACCEL_OK)
        rc = accel_session_run(s, &in, 1, &y, 1, err);
    accel_session_free(s);
    return rc;
}

/* Opens bytes as a pack, and runs what opens. */
static int open_bytes(const char *bytes, size_t size, unsigned threads, float out[5],
                      struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_load_options o;
    struct accel_model *m = NULL;
    int rc = accel_memfd_of("pack", bytes, size, &fd, err);

    (void)threads;
    accel_load_options_init(&o);
    o.limits.arena_bytes = o.limits.tensor_bytes = 1 << 24;
    if (rc == ACCEL_OK)
        rc = accel_model_open_packed(fd, &o, &m, err);
    if (rc == ACCEL_OK)
        rc = run(m, out, err);
    accel_model_unref(m);
    return rc;
}

/* What may still be written or cut short while it is mapped is refused, whatever seals say that
 * there can be no further ones. */
static void takes_no_file_that_may_change(const struct accel_model *m)
{
    static const struct {
        int seals;
        bool good;
        const char *what;
    } cases[] = {
        {F_SEAL_SEAL, false, "the seals alone"},
        {F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW, false, "its size alone"},
        {F_SEAL_SEAL | F_SEAL_WRITE, false, "its bytes alone"},
        {F_SEAL_WRITE | F_SEAL_SHRINK, true, "bytes and length"},
    };
    struct accel_error err = {0};

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        ACCEL_CLEANUP(accel_closep) int fd = -1;
        struct accel_model *packed = NULL;

        ok(accel_memfd_new("pack", 0, &fd, &err) == ACCEL_OK &&
               accel_model_pack(m, fd, &err) == ACCEL_OK &&
               fcntl(fd, F_ADD_SEALS, cases[i].seals) == 0,
           "a memory file that seals %s", cases[i].what);
        err = (struct accel_error){0};
        ok(accel_model_open_packed(fd, NULL, &packed, &err) ==
               (cases[i].good ? ACCEL_OK : ACCEL_E_INVALID),
           "is %s: %s", cases[i].good ? "opened" : "refused", err.msg);
        accel_model_unref(packed);
    }
}

int main(void)
{
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_buf buf = ob_small_network(true);
    struct accel_model *m = NULL, *packed = NULL;
    struct accel_error err = {0};
    float want[5], got[5];
    char *bytes;
    size_t size;

    for (size_t i = 0; i < 64; i++)
        picture[i] = cosf((float)i);
    ok(ob_load(&buf, NULL, &m, &err) == ACCEL_OK && run(m, want, &err) == ACCEL_OK, "runs: %s",
       err.msg);
    ok(accel_memfd_new("pack", 0, &fd, &err) == ACCEL_OK &&
           accel_model_pack(m, fd, &err) == ACCEL_OK,
       "packs: %s", err.msg);
    ok(accel_model_open_packed(fd, NULL, &packed, &err) == ACCEL_E_INVALID,
       "a memory file that is not sealed is refused: %s", err.msg);
    ok(accel_memfd_seal(fd, &err) == ACCEL_OK &&
           accel_model_open_packed(fd, NULL, &packed, &err) == ACCEL_OK,
       "a sealed one is opened: %s", err.msg);
    ok(run(packed, got, &err) == ACCEL_OK && memcmp(want, got, sizeof(got)) == 0,
       "and gives the very same");
    const struct accel_analysis *a = accel_model_analysis(m), *b = accel_model_analysis(packed);
    ok(a->ops_count == b->ops_count && a->arena_bytes == b->arena_bytes &&
           a->parameters == b->parameters && a->weights_bytes == b->weights_bytes &&
           strcmp(a->producer, b->producer) == 0,
       "its analysis is the same");
    ok(strcmp(accel_model_input(packed, 0)->name, "x") == 0 &&
           accel_model_input(packed, 0)->dims[0] == -1 &&
           strcmp(accel_model_input(packed, 0)->dim_names[0], "N") == 0,
       "its input still has a free dimension N");
    takes_no_file_that_may_change(m);
    accel_model_unref(packed);
    accel_model_unref(m);

    size = (size_t)lseek(fd, 0, SEEK_END);
    bytes = accel_malloc(size);
    ok(pread(fd, bytes, size, 0) == (ssize_t)size, "%zu bytes", size);
    size_t opened = 0, silent = 0, graph = 0;
    memcpy(&graph, bytes + 16, sizeof(graph));
    /* Header and graph wholly, of the weights a part. */
    for (size_t n = 0; n < size; n += n < 64 + graph ? 1 : 97) {
        const char was = bytes[n];

        for (unsigned k = 0; k < 3; k++) {
            err = (struct accel_error){0};
            bytes[n] = (char)(k == 0 ? was ^ 1 : k == 1 ? ~was : was + 13);
            if (open_bytes(bytes, size, 1, got, &err) == ACCEL_OK)
                opened++;
            else
                silent += err.msg[0] == '\0';
        }
        bytes[n] = was;
    }
    ok(silent == 0 && opened > 0, "with a byte damaged it is refused or does no harm (%zu opened)",
       opened);
    size_t cut = 0;
    for (size_t n = 0; n < size; n += n < 64 + graph ? 5 : 4096)
        cut += open_bytes(bytes, n, 1, got, &err) == ACCEL_OK;
    ok(cut == 0, "cut off anywhere it is refused");
    ok(open_bytes(bytes, size, 1, got, &err) == ACCEL_OK && memcmp(want, got, sizeof(got)) == 0,
       "undamaged it still runs");
    accel_free(bytes);
    accel_buf_free(&buf);
    return tap_done();
}
