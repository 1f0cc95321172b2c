/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run run: one run on tensors from files, its outputs to files. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/run.h"
#include "cli/value_file.h"
#include "cli/waiting.h"

#define FILE_NAME 160 /* bytes */

/* The tensors of one run. */
struct run_data {
    size_t inputs_count, outputs_count;
    struct accel_owned_value *owned;
    struct accel_named_value *inputs, *outputs;
    char (*files)[FILE_NAME]; /* of the outputs, without suffix */
};

static void free_data(struct run_data *d)
{
    for (size_t i = 0; d->owned != NULL && i < d->inputs_count; i++)
        accel_owned_value_free(&d->owned[i]);
    accel_free(d->owned);
    accel_free(d->inputs);
    accel_free(d->outputs);
    accel_free(d->files);
}

static int allocate(const struct accel_model *model, size_t inputs, struct run_data *d,
                    struct accel_error *err)
{
    d->inputs_count = inputs;
    d->outputs_count = accel_model_output_count(model);
    d->owned = accel_calloc(inputs, sizeof(*d->owned));
    d->inputs = accel_calloc(inputs, sizeof(*d->inputs));
    d->outputs = accel_calloc(d->outputs_count, sizeof(*d->outputs));
    if (d->owned == NULL || d->inputs == NULL || d->outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu inputs", inputs);
    for (size_t i = 0; i < d->outputs_count; i++)
        d->outputs[i].name = accel_model_output(model, i)->name;
    return ACCEL_OK;
}

/* Of an input that the model does not have, a tensor's: the run will say so. */
static enum accel_value_kind kind_of(const struct accel_model *model, const char *name)
{
    for (size_t i = 0; i < accel_model_input_count(model); i++)
        if (strcmp(accel_model_input(model, i)->name, name) == 0)
            return accel_model_input_kind(model, i);
    return ACCEL_VALUE_TENSOR;
}

/* "NAME=FILE" at its first '='; "FILE" alone is the only input of a model that has one. */
static int read_inputs(const struct accel_model *model, const struct accel_opt_list *list,
                       struct accel_bump *mem, struct run_data *d, struct accel_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        const char *file = equals != NULL ? equals + 1 : list->items[i];

        if (equals != NULL)
            d->inputs[i].name =
                accel_bump_printf(mem, "%.*s", (int)(equals - list->items[i]), list->items[i]);
        else if (accel_model_input_count(model) == 1)
            d->inputs[i].name = accel_model_input(model, 0)->name;
        else
            return accel_fail(err, ACCEL_E_INVALID,
                              "the model has %zu inputs: --input NAME=FILE, not \"%s\"",
                              accel_model_input_count(model), list->items[i]);
        if (d->inputs[i].name == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for the name of an input");
        const char *name = d->inputs[i].name;
        const int rc = accel_value_read(file, kind_of(model, name), &d->owned[i], err);
        if (rc != ACCEL_OK)
            return rc;
        d->inputs[i] = accel_value_named(&d->owned[i], name);
    }
    return ACCEL_OK;
}

/* An output's name as a file's: nothing that could lead out of the folder or hide the file. */
static void file_name(const char *name, size_t index, char *out, size_t size)
{
    size_t n = 0;

    for (; name[n] != '\0' && n + 1 < size; n++) {
        const char c = name[n];
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '_' || c == '-' || (c == '.' && n > 0);

        out[n] = c;
        if (!plain)
            out[n] = '_';
    }
    out[n] = '\0';
    if (n == 0)
        snprintf(out, size, "output_%zu", index);
}

static bool is_taken(char (*names)[FILE_NAME], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(names[i], name) == 0) /* some file systems take these for one */
            return true;
    return false;
}

/* A name for the file of each output. Several outputs may come to one name ("a/b" and "a:b", or
 * beginnings that are cut off): the later ones get their number behind it. */
static int name_files(struct run_data *d, struct accel_error *err)
{
    d->files = accel_calloc(d->outputs_count, sizeof(*d->files));
    if (d->files == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu names", d->outputs_count);
    for (size_t i = 0; i < d->outputs_count; i++) {
        char *name = d->files[i];

        /* Room stays for the number of every output there may be. */
        file_name(d->outputs[i].name, i, name, FILE_NAME - 32);
        while (is_taken(d->files, i, name)) {
            const size_t length = ACCEL_MIN(strlen(name), (size_t)FILE_NAME - 32);

            snprintf(name + length, FILE_NAME - length, "_%zu", i);
        }
    }
    return ACCEL_OK;
}

/* Before the run: nobody waits for results that have no place. *made: there was none before. */
static int make_folder(const char *folder, bool *made, struct accel_error *err)
{
    struct stat st;

    *made = mkdir(folder, 0777) == 0;
    if (*made)
        return ACCEL_OK;
    if (errno != EEXIST)
        return accel_fail_errno(err, errno, "create folder %s", folder);
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
        return accel_fail(err, ACCEL_E_INVALID, "--output %s is there and is no folder", folder);
    return access(folder, W_OK) == 0 ? ACCEL_OK
                                     : accel_fail_errno(err, errno, "write to folder %s", folder);
}

static void print_output(const struct accel_named_value *o, const char *path, const char *file)
{
    char shape[256];

    printf("%s: ", path);
    if (strcmp(file, o->name) != 0) /* which of them that is */
        printf("'%s', ", o->name);
    if (o->kind == ACCEL_VALUE_TENSOR)
        printf("%s %s\n", accel_dtype_name(o->tensor.dtype),
               accel_shape_text(o->tensor.dims, o->tensor.rank, shape, sizeof(shape)));
    else
        printf("%s of %zu\n",
               o->kind == ACCEL_VALUE_OPTIONAL ? "an optional" : accel_value_kind_text(o->kind),
               o->kind == ACCEL_VALUE_MAP         ? (size_t)o->items[0].dims[0]
               : (o->kind & ACCEL_VALUE_MAP) != 0 ? o->count / 2
                                                  : o->count);
}

static int write_outputs(const struct accel_model *model, const struct run_data *d,
                         const char *folder, const char *suffix, struct accel_error *err)
{
    for (size_t i = 0; i < d->outputs_count; i++) {
        ACCEL_CLEANUP(accel_freep)
        char *path = accel_asprintf("%s/%s.%s", folder, d->files[i], suffix);

        if (path == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
        const int rc =
            accel_value_write(path, &d->outputs[i], accel_model_output_kind(model, i), err);
        if (rc != ACCEL_OK)
            return rc;
        print_output(&d->outputs[i], path, d->files[i]);
    }
    return ACCEL_OK;
}

/* What of the words of this verb alone is wrong. */
static int check_words(const struct accel_run_options *o, const struct accel_opt_list *inputs,
                       const char *output, const char *format, struct accel_error *err)
{
    if (output == NULL || output[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "where to? --output DIR");
    if (strcmp(format, "pb") != 0 && strcmp(format, "npy") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "--format takes pb or npy, not \"%s\"", format);
    if (o->packed && o->dims.count + o->input_shapes.count > 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "--packed: dimensions were fixed when the model was packed; give %s to "
                          "accel-run pack",
                          o->dims.count > 0 ? "--dim" : "--input-shape");
    for (size_t i = 0; i < inputs->count; i++) {
        const char *equals = strchr(inputs->items[i], '=');

        if (equals == inputs->items[i] || (equals != NULL ? equals[1] : *inputs->items[i]) == '\0')
            return accel_fail(err, ACCEL_E_INVALID, "--input takes NAME=FILE, not \"%s\"",
                              inputs->items[i]);
    }
    return ACCEL_OK;
}

int accel_run_run(int argc, char **argv, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_run_options_free) struct accel_run_options o = {0};
    ACCEL_CLEANUP(accel_run_unref) struct accel_model *model = NULL;
    ACCEL_CLEANUP(accel_run_end_session) struct accel_session *session = NULL;
    ACCEL_CLEANUP(free_data) struct run_data data = {0};
    ACCEL_CLEANUP(accel_waiting_end) struct accel_waiting waiting = {0};
    struct accel_opt_list inputs = {0};
    bool made = false;
    const char *output = NULL, *format = "pb";
    const struct accel_opt opts[] = {
        {"input", 'i', ACCEL_OPT_LIST, &inputs, "NAME=FILE",
         "a .npy, or a .pb of what the input takes; FILE alone for an only input"},
        {"output", 'o', ACCEL_OPT_STRING, &output, "DIR", "folder for the outputs, one file each"},
        {"format", 'f', ACCEL_OPT_STRING, &format, "pb|npy", "format of the outputs; default: pb"},
        ACCEL_RUN_OPT_THREADS(&o),
        ACCEL_RUN_OPT_LOAD(&o),
        ACCEL_RUN_OPT_DEADLINE(&o),
        ACCEL_RUN_OPT_SHAPES(&o),
        ACCEL_RUN_OPT_PACKED(&o),
        {0},
    };
    int operands;
    int rc = accel_run_parse("run MODEL --input NAME=FILE... --output DIR",
                             "Runs a model once on tensors from files and writes what comes out.",
                             opts, &o, argc, argv, 1, 1, &operands, status, err);

    if (rc != ACCEL_OK)
        return rc;
    if ((rc = check_words(&o, &inputs, output, format, err)) != ACCEL_OK) {
        *status = 2;
        return rc;
    }
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = o.threads};
    accel_waiting_begin(&waiting, "load");
    rc = accel_run_load(&o, argv[0], &model, err);
    if (rc == ACCEL_OK)
        rc = allocate(model, inputs.count, &data, err);
    if (rc == ACCEL_OK)
        rc = read_inputs(model, &inputs, &o.mem, &data, err);
    if (rc == ACCEL_OK)
        rc = accel_session_new(model, &so, &session, err);
    if (rc == ACCEL_OK)
        rc = name_files(&data, err);
    if (rc == ACCEL_OK)
        rc = make_folder(output, &made, err);
    accel_waiting_say(&waiting, "run");
    if (rc == ACCEL_OK)
        rc = accel_session_run_values(session, data.inputs, data.inputs_count, data.outputs,
                                      data.outputs_count, sizeof(*data.inputs), err);
    accel_waiting_end(&waiting);
    if (rc == ACCEL_OK)
        rc = write_outputs(model, &data, output, format, err);
    else if (made)
        rmdir(output);
    *status = rc == ACCEL_OK ? 0 : 1;
    return rc;
}
