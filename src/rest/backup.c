/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "rest/handlers.h"

/* A copy of the database: what cannot be found or measured again. */

struct mapping {
    void *bytes;
    size_t size;
};

static void unmap(void *context)
{
    const struct mapping *mapping = context;

    munmap(mapping->bytes, mapping->size);
}

/* GET /v2/backup -> 200, an SQLite database; 403, 503. The copy is made beside the database, where
 * room is known to be needed, and has no name by the time it is sent. */
int accel_get_backup(const struct accel_request *req, struct accel_response *res,
                     struct accel_error *err)
{
    static atomic_uint number;
    struct mapping *mapping = accel_bump_alloc(req->mem, 1, sizeof(*mapping));
    struct accel_piece *piece = accel_bump_alloc(req->mem, 1, sizeof(*piece));
    const char *path = accel_bump_printf(req->mem, "%s/backup-%u.tmp", req->config->state_dir,
                                         atomic_fetch_add(&number, 1));
    ACCEL_CLEANUP(accel_closep) int fd = -1;

    if (mapping == NULL || piece == NULL || path == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a backup");
    unlink(path); /* of a daemon that was killed just here */
    int rc = accel_store_backup(req->store, path, err);
    if (rc == ACCEL_OK && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        rc = accel_fail_errno(err, errno, "open the backup");
    unlink(path);
    if (rc == ACCEL_OK)
        rc = accel_fd_size(fd, &mapping->size, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "GET backup");
    mapping->bytes = mmap(NULL, mapping->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping->bytes == MAP_FAILED)
        return accel_fail_errno(err, errno, "map the backup");
    *piece = (struct accel_piece){mapping->bytes, mapping->size};
    res->status = 200;
    res->pieces = piece;
    res->pieces_count = 1;
    res->release = unmap;
    res->context = mapping;
    res->content_type = "application/vnd.sqlite3";
    res->no_etag = true;
    return ACCEL_OK;
}
