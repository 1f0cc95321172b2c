/* SPDX-License-Identifier: Apache-2.0 */

/* Model files and their records. A file lies below <state>/models as X.part until its record is
 * about to be written, then as X.model; what no record names is removed at the next start. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/analysis_json.h"
#include "service/service_internal.h"

#define NAME_MAX_BYTES   128
#define ANALYSIS_MAX     (64u << 20)
/* Folding and packing the largest model that the limits admit, on a slow machine. */
#define LOAD_DEADLINE_MS 600000

/* ---------------------------------------------------------------- uploads */

int accel_service_upload_begin(struct accel_service *service, struct accel_upload *upload,
                               struct accel_error *err)
{
    struct accel_uuid uuid;

    *upload = (struct accel_upload){.fd = -1};
    if (service_is_stopping(service))
        return service_refuse(err);
    if (accel_uuid_new(&uuid, err) != ACCEL_OK)
        return accel_fail_in(err, "upload");
    snprintf(upload->file, sizeof(upload->file), "%s.part", uuid.text);
    upload->fd =
        openat(service->models_fd, upload->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (upload->fd < 0)
        return accel_fail_errno(err, errno, "upload: make %s/%s", service->models_dir,
                                upload->file);
    return ACCEL_OK;
}

void accel_service_upload_discard(struct accel_service *service, struct accel_upload *upload)
{
    accel_closep(&upload->fd);
    if (upload->file[0] != '\0' && unlinkat(service->models_fd, upload->file, 0) != 0 &&
        errno != ENOENT)
        accel_log_warning("upload not removed", "file=%s error=\"%s\"", upload->file,
                          strerrordesc_np(errno));
    upload->file[0] = '\0';
}

/* ---------------------------------------------------------------- a worker reads the file */

static int read_analysis(int fd, uint64_t size, struct accel_bump *mem, struct loaded *loaded,
                         struct accel_error *err)
{
    size_t got = 0;
    json_error_t where;

    if (fd < 0 || size == 0 || size > ANALYSIS_MAX || !accel_memfd_is_sealed(fd))
        return accel_fail(err, ACCEL_E_CORRUPT, "analysis of %llu bytes is missing or not sealed",
                          (unsigned long long)size);
    ACCEL_CLEANUP(accel_freep) char *text = accel_malloc(size);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an analysis of %llu bytes",
                          (unsigned long long)size);
    if (lseek(fd, 0, SEEK_SET) != 0 ||
        accel_read_full(fd, text, size, &got, "analysis", err) != ACCEL_OK || got != size)
        return accel_fail(err, ACCEL_E_CORRUPT, "analysis is shorter than it says");
    json_t *json = json_loadb(text, size, 0, &where);
    if (json == NULL)
        return accel_fail(err, ACCEL_E_CORRUPT, "analysis is no JSON: %s", where.text);
    int rc = accel_analysis_from_json(json, mem, &loaded->analysis, err);
    json_decref(json);
    if (rc != ACCEL_OK)
        return accel_fail(err, rc == ACCEL_E_NOMEM ? ACCEL_E_NOMEM : ACCEL_E_CORRUPT,
                          "analysis: %.400s", err->msg);
    /* Written anew from what was checked: nothing else of the worker's document is kept. */
    json = accel_analysis_to_json(loaded->analysis, err);
    if (json == NULL)
        return err->code;
    char *fresh = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    loaded->analysis_json = fresh != NULL ? accel_bump_strdup(mem, fresh) : NULL;
    free(fresh);
    if (loaded->analysis_json == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the analysis");
    return ACCEL_OK;
}

static int take_packed(struct accel_ipc_packet *answer, struct loaded *loaded,
                       struct accel_error *err)
{
    struct stat st;

    loaded->fd = accel_ipc_take_fd(answer, 0);
    loaded->bytes = answer->message->loaded->packed_bytes;
    if (loaded->fd < 0 || !accel_memfd_is_sealed(loaded->fd) || fstat(loaded->fd, &st) != 0 ||
        st.st_size <= 0 || (uint64_t)st.st_size != loaded->bytes)
        return accel_fail(err, ACCEL_E_CORRUPT, "packed model is missing, not sealed or cut off");
    return ACCEL_OK;
}

static int take_loaded(struct accel_ipc_packet *answer, bool analyse_only, struct accel_bump *mem,
                       struct loaded *loaded, struct accel_error *err)
{
    if (answer->message->body_case != ACCEL__IPC__MESSAGE__BODY_LOADED ||
        answer->message->loaded->sha256.len != 32)
        return accel_fail(err, ACCEL_E_CORRUPT, "answer to Load is no Loaded");
    const Accel__Ipc__Loaded *body = answer->message->loaded;
    if (!analyse_only && take_packed(answer, loaded, err) != ACCEL_OK)
        return err->code;
    for (size_t i = 0; i < 32; i++)
        snprintf(loaded->sha256 + 2 * i, 3, "%02x", body->sha256.data[i]);
    ACCEL_CLEANUP(accel_closep) int fd = accel_ipc_take_fd(answer, analyse_only ? 0 : 1);
    return read_analysis(fd, body->analysis_bytes, mem, loaded, err);
}

static int load_shaped(struct accel_service *service, int fd, uint64_t size, const char *label,
                       bool analyse_only, Accel__Ipc__Dim *const *dims, size_t dims_count,
                       struct accel_bump *mem, struct loaded *loaded, struct accel_error *err)
{
    Accel__Ipc__Message request = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Load body = ACCEL__IPC__LOAD__INIT;
    struct worker_call call = {
        .request = &request, .fds = &fd, .fds_count = 1, .deadline_ms = LOAD_DEADLINE_MS};
    struct accel_ipc_packet answer;

    *loaded = (struct loaded){.fd = -1};
    pthread_mutex_lock(&service->lock);
    call.wait_until_ms = accel_now_ms() + service->limits.request_ms;
    pthread_mutex_unlock(&service->lock);
    request.body_case = ACCEL__IPC__MESSAGE__BODY_LOAD;
    request.load = &body;
    body.model = (char *)label;
    body.size_bytes = size;
    body.analyse_only = analyse_only;
    body.dims = (Accel__Ipc__Dim **)dims;
    body.n_dims = dims_count;
    int rc = service_worker_call(service, &call, &answer, err);
    if (rc != ACCEL_OK)
        return rc;
    rc = take_loaded(&answer, analyse_only, mem, loaded, err);
    accel_ipc_packet_free(&answer);
    if (rc != ACCEL_OK)
        service_loaded_free(loaded);
    return rc;
}

int service_load_model(struct accel_service *service, int fd, uint64_t size, const char *label,
                       bool analyse_only, struct accel_bump *mem, struct loaded *loaded,
                       struct accel_error *err)
{
    return load_shaped(service, fd, size, label, analyse_only, NULL, 0, mem, loaded, err);
}

/* ---------------------------------------------------------------- other shapes */

static char *recall_shaped(struct accel_service *service, const char *key, struct accel_bump *mem)
{
    char *text = NULL;

    pthread_mutex_lock(&service->lock);
    for (size_t i = 0; i < SHAPED_MAX && text == NULL; i++)
        if (service->shaped[i].key != NULL && strcmp(service->shaped[i].key, key) == 0)
            text = accel_bump_strdup(mem, service->shaped[i].text);
    pthread_mutex_unlock(&service->lock);
    return text;
}

/* Without memory for it the next one asks again: no error. */
static void remember_shaped(struct accel_service *service, const char *key, const char *text)
{
    struct shaped fresh = {.key = accel_strdup(key), .text = accel_strdup(text)};

    if (fresh.key == NULL || fresh.text == NULL) {
        accel_free(fresh.key);
        accel_free(fresh.text);
        return;
    }
    pthread_mutex_lock(&service->lock);
    struct shaped *slot = &service->shaped[service->shaped_next++ % SHAPED_MAX];
    const struct shaped old = *slot;
    *slot = fresh;
    pthread_mutex_unlock(&service->lock);
    accel_free(old.key);
    accel_free(old.text);
}

void service_shaped_free_all(struct accel_service *service)
{
    for (size_t i = 0; i < SHAPED_MAX; i++) {
        accel_freep(&service->shaped[i].key);
        accel_freep(&service->shaped[i].text);
    }
}

int service_analyse_shaped(struct accel_service *service, const struct accel_model_record *model,
                           Accel__Ipc__Dim *const *dims, size_t dims_count, struct accel_bump *mem,
                           struct accel_analysis **analysis, struct accel_error *err)
{
    struct accel_model_record shaped = *model;
    const char *key = model->uuid.text;
    struct loaded loaded;
    struct stat st;

    for (size_t i = 0; i < dims_count && key != NULL; i++)
        key = accel_bump_printf(mem, "%s %s=%lld", key, dims[i]->name, (long long)dims[i]->value);
    if (key == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu dimensions", dims_count);
    shaped.analysis = recall_shaped(service, key, mem);
    if (shaped.analysis != NULL)
        return service_analysis_of(&shaped, mem, analysis, err);
    ACCEL_CLEANUP(accel_closep)
    int fd = openat(service->models_fd, model->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "file %s of the model: %s", model->file,
                          strerrordesc_np(errno));
    /* Loaded as a run of these shapes would be, packed weights and all, so that the memory is that
     * of the run; what cannot be run is analysed only. */
    if (load_shaped(service, fd, (uint64_t)st.st_size, model->name, !model->runnable, dims,
                    dims_count, mem, &loaded, err) != ACCEL_OK)
        return err->code;
    shaped.analysis = loaded.analysis_json;
    service_loaded_free(&loaded);
    remember_shaped(service, key, shaped.analysis);
    return service_analysis_of(&shaped, mem, analysis, err);
}

void service_loaded_free(struct loaded *loaded)
{
    accel_closep(&loaded->fd);
}

/* ---------------------------------------------------------------- put */

static int check_name(const char *name, struct accel_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    const size_t size = strlen(name);

    if (size == 0 || size > NAME_MAX_BYTES || strspn(name, allowed) != size || name[0] == '.')
        return accel_fail(err, ACCEL_E_INVALID,
                          "name: expected 1 to %d letters, digits, '.', '_' or '-', the first no "
                          "'.'",
                          NAME_MAX_BYTES);
    return ACCEL_OK;
}

/* Names are the node's: a project cannot add a version to another's model, nor learn more than that
 * the name is taken. */
static int check_owner(struct accel_service *service, const struct accel_caller *caller,
                       const char *name, struct accel_bump *mem, struct accel_error *err)
{
    struct accel_model_record there;
    const int rc = accel_store_get_model(service->store, name, 0, mem, &there, err);

    if (rc == ACCEL_E_NOT_FOUND)
        return ACCEL_OK;
    if (rc != ACCEL_OK)
        return rc;
    if (caller->admin || (there.project_id == NULL ? caller->project_id == NULL
                                                   : service_may_see(caller, there.project_id)))
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_CONFLICT, "name: %s is taken by another project", name);
}

static int sync_upload(struct accel_service *service, struct accel_upload *upload, int *readable,
                       uint64_t *size, struct accel_error *err)
{
    struct stat st;

    if (fsync(upload->fd) != 0 || fstat(upload->fd, &st) != 0)
        return accel_fail_errno(err, errno, "write the model to disk");
    if (st.st_size == 0)
        return accel_fail(err, ACCEL_E_INVALID, "the model is empty");
    /* The worker gets a descriptor that it cannot write through. */
    *readable = openat(service->models_fd, upload->file, O_RDONLY | O_CLOEXEC);
    if (*readable < 0)
        return accel_fail_errno(err, errno, "open %s/%s", service->models_dir, upload->file);
    *size = (uint64_t)st.st_size;
    return ACCEL_OK;
}

/* Gives the upload its last name, durably. */
static int keep_upload(struct accel_service *service, struct accel_upload *upload,
                       struct accel_error *err)
{
    char name[sizeof(upload->file)];

    snprintf(name, sizeof(name), "%.*s.model", (int)(strlen(upload->file) - strlen(".part")),
             upload->file);
    if (renameat(service->models_fd, upload->file, service->models_fd, name) != 0)
        return accel_fail_errno(err, errno, "rename %s", upload->file);
    memcpy(upload->file, name, sizeof(name));
    if (fsync(service->models_fd) != 0)
        return accel_fail_errno(err, errno, "write %s to disk", service->models_dir);
    return ACCEL_OK;
}

static int load_upload(struct accel_service *service, int fd, uint64_t size, const char *label,
                       bool predict_only, struct accel_bump *mem, struct loaded *loaded,
                       struct accel_error *err)
{
    int rc = service_load_model(service, fd, size, label, false, mem, loaded, err);

    if (rc == ACCEL_E_UNSUPPORTED && predict_only)
        rc = service_load_model(service, fd, size, label, true, mem, loaded, err);
    return rc;
}

static int put(struct accel_service *service, const struct accel_caller *caller, const char *name,
               int64_t version, bool predict_only, struct accel_upload *upload,
               struct accel_bump *mem, struct accel_model_record *model, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_model_record from = {.name = name,
                                      .model_version = version,
                                      .project_id = caller->project_id,
                                      .file = upload->file};
    struct loaded loaded;
    char label[NAME_MAX_BYTES + 24];
    uint64_t size = 0;

    if (check_name(name, err) != ACCEL_OK ||
        check_owner(service, caller, name, mem, err) != ACCEL_OK)
        return err->code;
    if (version < 0)
        return accel_fail(err, ACCEL_E_INVALID, "version: expected 1 or more");
    if (sync_upload(service, upload, &fd, &size, err) != ACCEL_OK)
        return err->code;
    snprintf(label, sizeof(label), version > 0 ? "%s/%lld" : "%s", name, (long long)version);
    if (load_upload(service, fd, size, label, predict_only, mem, &loaded, err) != ACCEL_OK)
        return err->code;
    from.sha256 = loaded.sha256;
    from.size_bytes = (int64_t)size;
    from.analysis = loaded.analysis_json;
    from.runnable = loaded.fd >= 0 && loaded.analysis->runnable;
    if (keep_upload(service, upload, err) != ACCEL_OK ||
        accel_store_add_model(service->store, &from, mem, model, err) != ACCEL_OK) {
        service_loaded_free(&loaded);
        return err->code;
    }
    if (loaded.fd >= 0)
        service_packed_put(service, &model->uuid, &loaded);
    return ACCEL_OK;
}

int accel_service_put_model(struct accel_service *service, const struct accel_caller *caller,
                            const char *name, int64_t version, bool predict_only,
                            struct accel_upload *upload, struct accel_bump *mem,
                            struct accel_model_record *model, struct accel_error *err)
{
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (put(service, caller, name, version, predict_only, upload, mem, model, err) != ACCEL_OK) {
        accel_service_upload_discard(service, upload); /* under whichever name it has by now */
        return accel_fail_in(err, "model %.128s", name);
    }
    accel_closep(&upload->fd);
    upload->file[0] = '\0';
    accel_log_info("model added", "model=%s version=%lld sha256=%s runnable=%s", model->name,
                   (long long)model->model_version, model->sha256,
                   model->runnable ? "true" : "false");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- get, delete */

int accel_service_get_model(struct accel_service *service, const struct accel_caller *caller,
                            const char *name, int64_t version, struct accel_bump *mem,
                            struct accel_model_record *model, struct accel_error *err)
{
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (accel_store_get_model(service->store, name, version, mem, model, err) != ACCEL_OK)
        return err->code;
    if (model->project_id != NULL && !service_may_see(caller, model->project_id))
        return accel_fail(err, ACCEL_E_NOT_FOUND, "no model %s", name);
    return ACCEL_OK;
}

int accel_service_delete_model(struct accel_service *service, const struct accel_caller *caller,
                               const char *name, int64_t version, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_page all = {0};
    struct accel_model_record first, *versions;
    const char **files;
    size_t count, versions_count;
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (accel_service_get_model(service, caller, name, version, &mem, &first, err) != ACCEL_OK)
        return err->code;
    if (!service_may_see(caller, first.project_id))
        return accel_fail(err, ACCEL_E_DENIED,
                          "model %s belongs to no project: only an admin may "
                          "delete it",
                          name);
    if (accel_store_list_models(service->store, name, NULL, &all, &mem, &versions, &versions_count,
                                err) != ACCEL_OK ||
        accel_store_delete_model(service->store, name, version, &mem, &files, &count, err) !=
            ACCEL_OK)
        return accel_fail_in(err, "delete model %s", name);
    for (size_t i = 0; i < versions_count; i++)
        if (version == 0 || versions[i].model_version == version)
            service_packed_forget(service, &versions[i].uuid);
    /* The record is gone: a file that stays now is removed at the next start. */
    for (size_t i = 0; i < count; i++)
        if (unlinkat(service->models_fd, files[i], 0) != 0 && errno != ENOENT)
            accel_log_warning("model file not removed", "file=%s error=\"%s\"", files[i],
                              strerrordesc_np(errno));
    accel_log_info("model deleted", "model=%s version=%lld", name, (long long)version);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- start */

struct names {
    const char **list;
    size_t count, capacity;
};

static int add_files_of(struct accel_service *service, const char *name, struct accel_bump *mem,
                        struct names *names, struct accel_error *err)
{
    const struct accel_page all = {0};
    struct accel_model_record *versions;
    size_t count;

    if (accel_store_list_models(service->store, name, NULL, &all, mem, &versions, &count, err) !=
            ACCEL_OK ||
        accel_grow(&names->list, &names->capacity, names->count + count, sizeof(*names->list),
                   err) != ACCEL_OK)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        names->list[names->count++] = versions[i].file;
        if (faccessat(service->models_fd, versions[i].file, R_OK, 0) != 0)
            accel_log_error("model file is missing", "model=%s version=%lld file=%s", name,
                            (long long)versions[i].model_version, versions[i].file);
    }
    return ACCEL_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Ours are the names we give; whatever else somebody put there stays. */
static bool is_ours(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL && dot - name == 36 &&
           (strcmp(dot, ".part") == 0 || strcmp(dot, ".model") == 0);
}

static int remove_orphans(struct accel_service *service, const struct names *names,
                          struct accel_error *err)
{
    const int fd = openat(service->models_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (dir == NULL) {
        const int saved = errno;
        if (fd >= 0)
            close(fd);
        return accel_fail_errno(err, saved, "list %s", service->models_dir);
    }
    while ((entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (!is_ours(name) || (names->count > 0 && bsearch(&name, names->list, names->count,
                                                           sizeof(*names->list), compare_names)))
            continue;
        if (unlinkat(service->models_fd, name, 0) == 0)
            accel_log_info("model file without a record removed", "file=%s", name);
    }
    closedir(dir);
    return ACCEL_OK;
}

int service_clean_models(struct accel_service *service, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_page all = {0};
    struct accel_model_record *newest;
    struct names names = {0};
    size_t count;
    int rc = accel_store_list_models(service->store, NULL, NULL, &all, &mem, &newest, &count, err);

    for (size_t i = 0; rc == ACCEL_OK && i < count; i++)
        rc = add_files_of(service, newest[i].name, &mem, &names, err);
    if (rc == ACCEL_OK) {
        if (names.count > 1)
            qsort(names.list, names.count, sizeof(*names.list), compare_names);
        rc = remove_orphans(service, &names, err);
    }
    accel_free(names.list);
    return rc;
}
