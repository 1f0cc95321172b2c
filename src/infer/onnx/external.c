/* SPDX-License-Identifier: Apache-2.0 */
/* External data: files beside the model, or members of the tar it came in. */
#include "base/fd.h"
#include "infer/onnx/onnx.h"
#include "infer/onnx/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

bool accel_location_inside(const char *location)
{
    const char *part = location;

    if (location[0] == '/' || location[0] == '\0' || strchr(location, '\\') != NULL)
        return false;
    while (part != NULL) {
        const size_t n = strcspn(part, "/");

        if (n == 0 || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part = part[n] == '/' ? part + n + 1 : NULL;
    }
    return true;
}

/* ---------------------------------------------------------------- a folder */

struct mapped {
    struct mapped *next;
    char *location;
    void *bytes;
    size_t size;
};

struct accel_folder {
    int fd;
    size_t bytes_left;
    struct mapped *files;
};

int accel_folder_new(const char *model_path, size_t max_bytes, struct accel_folder **out,
                     struct accel_error *err)
{
    const char *slash = strrchr(model_path, '/');
    ACCEL_CLEANUP(accel_freep)
    char *path = slash == NULL ? accel_strdup(".")
                               : accel_strndup(model_path, (size_t)(slash - model_path) + 1);
    ACCEL_CLEANUP(accel_freep) struct accel_folder *folder = accel_calloc(1, sizeof(*folder));

    if (path == NULL || folder == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to open %s", model_path);
    folder->bytes_left = max_bytes;
    folder->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    *out = accel_steal(&folder);
    return ACCEL_OK;
}

void accel_folder_freep(struct accel_folder **slot)
{
    struct accel_folder *folder = *slot;

    if (folder == NULL)
        return;
    while (folder->files != NULL) {
        struct mapped *m = folder->files;

        folder->files = m->next;
        if (m->size > 0)
            munmap(m->bytes, m->size);
        accel_free(m->location);
        accel_free(m);
    }
    accel_closep(&folder->fd);
    accel_free(folder);
    *slot = NULL;
}

/* Opens part by part and follows no link: whatever the folder holds, we stay inside it. */
static int open_inside(int folder, const char *location, int *out, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int at = -1;

    for (const char *part = location;;) {
        const size_t n = strcspn(part, "/");
        const bool last = part[n] == '\0';
        char name[256];

        if (n >= sizeof(name))
            return accel_fail(err, ACCEL_E_INVALID, "external data '%s': name too long", location);
        memcpy(name, part, n);
        name[n] = '\0';
        const int next =
            openat(at >= 0 ? at : folder, name,
                   O_CLOEXEC | O_NOFOLLOW | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY));
        if (next < 0)
            return accel_fail_errno(err, errno, "external data '%s'", location);
        accel_closep(&at);
        at = next;
        if (last) {
            *out = accel_steal_fd(&at);
            return ACCEL_OK;
        }
        part += n + 1;
    }
}

int accel_folder_external(void *context, const char *location, const void **bytes, size_t *size,
                          struct accel_error *err)
{
    struct accel_folder *folder = context;
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct stat st;

    for (const struct mapped *m = folder->files; m != NULL; m = m->next) {
        if (strcmp(m->location, location) == 0) {
            *bytes = m->bytes;
            *size = m->size;
            return ACCEL_OK;
        }
    }
    const int rc = open_inside(folder->fd, location, &fd, err);
    if (rc != ACCEL_OK)
        return rc;
    if (fstat(fd, &st) != 0)
        return accel_fail_errno(err, errno, "external data '%s'", location);
    if (!S_ISREG(st.st_mode))
        return accel_fail(err, ACCEL_E_INVALID, "external data '%s' is not a file", location);
    if ((uint64_t)st.st_size > folder->bytes_left)
        return accel_fail(err, ACCEL_E_LIMIT,
                          "external data '%s': the model is larger than the limit", location);
    struct mapped *m = accel_calloc(1, sizeof(*m));
    char *copy = accel_strdup(location);
    void *data = st.st_size > 0 && m != NULL && copy != NULL
                     ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
                     : NULL;
    if (m == NULL || copy == NULL || data == MAP_FAILED) {
        accel_free(m);
        accel_free(copy);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to map external data '%s'", location);
    }
    *m = (struct mapped){
        .next = folder->files, .location = copy, .bytes = data, .size = (size_t)st.st_size};
    folder->files = m;
    folder->bytes_left -= m->size;
    *bytes = m->bytes;
    *size = m->size;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- a tar */

static bool ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);

    return n >= k && strcmp(name + n - k, end) == 0;
}

int accel_bundle_open(const void *bytes, size_t size, struct accel_bundle *bundle,
                      struct accel_error *err)
{
    struct accel_tar tar = {.bytes = {.data = bytes, .size = size}};
    struct accel_tar_member m;
    size_t others = 0;
    int more;

    *bundle = (struct accel_bundle){.model = {.data = bytes, .size = size}};
    if (!accel_is_tar(bytes, size))
        return ACCEL_OK;
    bundle->model.data = NULL;
    while ((more = accel_tar_next(&tar, &m, err)) > 0) {
        if (strcmp(m.name, "model.onnx") == 0) {
            bundle->model = m.data;
            others = 1;
            break;
        }
        if (ends_in(m.name, ".onnx")) {
            bundle->model = m.data;
            others++;
        }
    }
    if (more < 0)
        return -more;
    if (others != 1)
        return accel_fail(err, ACCEL_E_INVALID, "the tar holds %s",
                          others == 0 ? "no model.onnx" : "several .onnx, none called model.onnx");
    bundle->tar = (struct accel_slice){.data = bytes, .size = size};
    return ACCEL_OK;
}

int accel_bundle_external(void *context, const char *location, const void **bytes, size_t *size,
                          struct accel_error *err)
{
    const struct accel_bundle *bundle = context;
    struct accel_tar tar = {.bytes = bundle->tar};
    struct accel_tar_member m;
    int more = 0;

    while (bundle->tar.size > 0 && (more = accel_tar_next(&tar, &m, err)) > 0) {
        if (strcmp(m.name, location) == 0) {
            *bytes = m.data.data;
            *size = m.data.size;
            return ACCEL_OK;
        }
    }
    if (more < 0)
        return -more;
    return accel_fail(err, ACCEL_E_INVALID,
                      bundle->tar.size > 0
                          ? "external data '%s' is not in the tar"
                          : "its data is in another file ('%s'): upload a tar of model and data",
                      location);
}
