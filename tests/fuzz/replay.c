/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds files to a fuzz target without libFuzzer, so that any compiler replays the corpus.
 * Usage: fuzz_x FILE... | FOLDER... */
#include <dirent.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/log.h"
#include "fuzz/fuzz.h"
#include "tap.h"

static void feed(const char *path)
{
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    ACCEL_CLEANUP(accel_freep) uint8_t *exact = NULL;
    struct accel_error err;
    size_t size = 0;

    if (accel_read_file(path, 64u << 20, &text, &size, &err) != ACCEL_OK) {
        ok(false, "%s: %s", path, err.msg);
        return;
    }
    /* Without the NUL that reading put behind it: one byte too far is then seen. */
    exact = accel_malloc(size);
    if (exact == NULL && size > 0) {
        ok(false, "%s: no memory for it", path);
        return;
    }
    if (size > 0)
        memcpy(exact, text, size);
    /* Said before: a crash ends this process, and the last line names the file. */
    printf("# %s\n", path);
    fflush(stdout);
    ok(LLVMFuzzerTestOneInput(exact, size) == 0, "survives %s", path);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    accel_log_init("replay", ACCEL_LOG_ERROR);
    for (int i = 1; i < argc; i++) {
        struct dirent **names;
        const int count = scandir(argv[i], &names, visible, alphasort);

        if (count < 0)
            feed(argv[i]);
        for (int j = 0; j < count; j++) {
            char path[4096];

            snprintf(path, sizeof(path), "%s/%s", argv[i], names[j]->d_name);
            feed(path);
            free(names[j]);
        }
        if (count >= 0)
            free(names);
    }
    return tap_done();
}
