/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl infer: a picture, or tensors from files, through a served model by the Open Inference
 * Protocol with binary tensors. */
#include "cli/ctl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/half.h"
#include "cli/image.h"
#include "cli/tensor_file.h"

#define INPUTS_MAX  64
#define LABELS_MAX  ((size_t)16 << 20)
#define DEFAULT_TOP 5

struct options {
    const char *image, *labels, *output, *device, *mean, *scale, *fit;
    struct accel_opt_list inputs;
    unsigned top, version;
    bool bgr, softmax;
};

struct input {
    struct accel_owned_tensor owned;
};

/* ---------------------------------------------------------------- datatypes */

static const struct {
    const char *name;
    enum accel_dtype dtype;
} datatypes[] = {
    {"BOOL", ACCEL_DTYPE_BOOL},     {"UINT8", ACCEL_DTYPE_UINT8},   {"UINT16", ACCEL_DTYPE_UINT16},
    {"UINT32", ACCEL_DTYPE_UINT32}, {"UINT64", ACCEL_DTYPE_UINT64}, {"INT8", ACCEL_DTYPE_INT8},
    {"INT16", ACCEL_DTYPE_INT16},   {"INT32", ACCEL_DTYPE_INT32},   {"INT64", ACCEL_DTYPE_INT64},
    {"FP16", ACCEL_DTYPE_FLOAT16},  {"FP32", ACCEL_DTYPE_FLOAT},    {"FP64", ACCEL_DTYPE_DOUBLE},
    {"BF16", ACCEL_DTYPE_BFLOAT16},
};

static const char *datatype_of(enum accel_dtype dtype)
{
    for (size_t i = 0; i < ACCEL_COUNT(datatypes); i++)
        if (datatypes[i].dtype == dtype)
            return datatypes[i].name;
    return NULL;
}

static enum accel_dtype dtype_of(const char *datatype)
{
    for (size_t i = 0; i < ACCEL_COUNT(datatypes); i++)
        if (strcmp(datatypes[i].name, datatype) == 0)
            return datatypes[i].dtype;
    return ACCEL_DTYPE_UNDEFINED;
}

/* ---------------------------------------------------------------- inputs */

/* "104,117,123" or one number for all three. */
static int parse_triple(const char *option, const char *text, float out[3], struct accel_error *err)
{
    char *end;

    for (int i = 0; i < 3; i++) {
        out[i] = strtof(text, &end);
        if (end == text || !isfinite(out[i]))
            break;
        if (i == 0 && *end == '\0') {
            out[1] = out[2] = out[0];
            return ACCEL_OK;
        }
        if (i == 2 && *end == '\0')
            return ACCEL_OK;
        if (*end != ',')
            break;
        text = end + 1;
    }
    return accel_fail(err, ACCEL_E_INVALID, "--%s takes a number or three with commas between",
                      option);
}

static int parse_fit(const char *text, enum accel_image_fit *fit, struct accel_error *err)
{
    static const char *const names[] = {"cover", "stretch", "crop"};

    for (size_t i = 0; i < ACCEL_COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *fit = (enum accel_image_fit)i;
            return ACCEL_OK;
        }
    return accel_fail(err, ACCEL_E_INVALID, "--fit takes cover, stretch or crop, not \"%s\"", text);
}

/* The model's input as a tensor without data: free dimensions are 1, those of a picture's sides 0.
 */
static int describe_input(const json_t *about, struct accel_tensor *t, struct accel_error *err)
{
    const json_t *shape = json_object_get(about, "shape");
    const json_t *dim;
    size_t i;

    *t = (struct accel_tensor){.dtype = dtype_of(accel_ctl_text(about, "datatype"))};
    if (t->dtype == ACCEL_DTYPE_UNDEFINED || json_array_size(shape) > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "input %s has type %s, which no file here holds",
                          accel_ctl_text(about, "name"), accel_ctl_text(about, "datatype"));
    t->rank = (uint32_t)json_array_size(shape);
    json_array_foreach(shape, i, dim)
        t->dims[i] = json_integer_value(dim);
    return ACCEL_OK;
}

static int load_picture(const struct options *o, const json_t *about, struct input *input,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_image_free) struct accel_image image = {0};
    ACCEL_CLEANUP(accel_image_free) struct accel_image fitted = {0};
    struct accel_image_scaling scaling = {.bgr = o->bgr, .scale = {1, 1, 1}};
    struct accel_tensor *t = &input->owned.tensor;
    enum accel_image_fit fit = ACCEL_FIT_COVER;
    int rc = describe_input(about, t, err);

    if (rc == ACCEL_OK && o->mean != NULL)
        rc = parse_triple("mean", o->mean, scaling.mean, err);
    if (rc == ACCEL_OK && o->scale != NULL)
        rc = parse_triple("scale", o->scale, scaling.scale, err);
    if (rc == ACCEL_OK && o->fit != NULL)
        rc = parse_fit(o->fit, &fit, err);
    if (rc == ACCEL_OK)
        rc = accel_image_read(o->image, &image, err);
    if (rc != ACCEL_OK)
        return rc;
    if (t->rank != 4)
        return accel_fail(
            err, ACCEL_E_INVALID,
            "input %s of the model has %u dimensions; a picture needs 4 (use --input)",
            accel_ctl_text(about, "name"), t->rank);
    /* Sides the model leaves open are the picture's own. */
    const bool nchw = t->dims[1] == 1 || t->dims[1] == 3;
    int64_t *height = &t->dims[nchw ? 2 : 1], *width = &t->dims[nchw ? 3 : 2];
    t->dims[0] = t->dims[0] < 1 ? 1 : t->dims[0];
    *height = *height < 1 ? image.height : *height;
    *width = *width < 1 ? image.width : *width;
    if (t->dims[0] != 1 || *height > ACCEL_IMAGE_SIDE_MAX || *width > ACCEL_IMAGE_SIDE_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "input %s of the model is no single picture",
                          accel_ctl_text(about, "name"));
    rc = accel_image_fit(&image, (uint32_t)*width, (uint32_t)*height, fit, &fitted, err);
    if (rc == ACCEL_OK)
        rc = accel_image_to_tensor(&fitted, &scaling, t, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "%s", o->image);
    input->owned.name = accel_strdup(accel_ctl_text(about, "name"));
    return ACCEL_OK;
}

/* --input NAME=FILE, or FILE alone for a model with one input. */
static int load_file(const char *item, const json_t *model, struct input *input,
                     struct accel_error *err)
{
    const json_t *inputs = json_object_get(model, "inputs");
    const char *equals = strchr(item, '=');
    const char *path = equals != NULL ? equals + 1 : item;
    int rc = accel_tensor_read(path, &input->owned, err);

    if (rc != ACCEL_OK)
        return rc;
    if (equals == NULL && input->owned.name[0] != '\0')
        return ACCEL_OK;
    accel_free(input->owned.name);
    input->owned.name = equals != NULL
                            ? accel_strndup(item, (size_t)(equals - item))
                            : accel_strdup(accel_ctl_text(json_array_get(inputs, 0), "name"));
    if (equals == NULL && json_array_size(inputs) != 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "the model has %zu inputs: say which, --input NAME=%s",
                          json_array_size(inputs), path);
    return ACCEL_OK;
}

static int load_inputs(const struct options *o, const json_t *model, struct input *inputs,
                       size_t *count, struct accel_error *err)
{
    int rc = ACCEL_OK;

    if (o->image == NULL && o->inputs.count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "nothing to run it on: give --image or --input");
    if (o->image != NULL)
        rc = load_picture(o, json_array_get(json_object_get(model, "inputs"), 0),
                          &inputs[(*count)++], err);
    for (size_t i = 0; i < o->inputs.count && rc == ACCEL_OK; i++)
        rc = load_file(o->inputs.items[i], model, &inputs[(*count)++], err);
    return rc;
}

/* ---------------------------------------------------------------- request */

static int describe(const struct input *inputs, size_t count, const char *device, json_t **body,
                    struct accel_error *err)
{
    json_t *list = json_array();

    *body = json_pack("{s:o, s:{s:b}}", "inputs", list, "parameters", "binary_data_output", 1);
    for (size_t i = 0; i < count && *body != NULL; i++) {
        const struct accel_tensor *t = &inputs[i].owned.tensor;
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->rank; d++)
            json_array_append_new(shape, json_integer(t->dims[d]));
        if (datatype_of(t->dtype) == NULL) {
            json_decref(shape);
            json_decref(*body);
            *body = NULL;
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %s: %s cannot be sent",
                              inputs[i].owned.name, accel_dtype_name(t->dtype));
        }
        json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:{s:I}}", "name",
                                              inputs[i].owned.name, "shape", shape, "datatype",
                                              datatype_of(t->dtype), "parameters",
                                              "binary_data_size", (json_int_t)t->size_bytes));
    }
    if (*body != NULL && device != NULL)
        json_object_set_new(json_object_get(*body, "parameters"), "acceld_device",
                            json_string(device));
    return *body != NULL ? ACCEL_OK : accel_fail(err, ACCEL_E_NOMEM, "no memory for a request");
}

static int send_request(struct accel_ctl *ctl, const struct options *o, const char *model,
                        const struct input *inputs, size_t count, struct accel_ctl_reply *reply,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf bytes = {0};
    ACCEL_CLEANUP(accel_json_freep) json_t *body = NULL;
    char path[600], name[256];
    int rc = describe(inputs, count, o->device, &body, err);

    if (rc != ACCEL_OK)
        return rc;
    char *text = json_dumps(body, JSON_COMPACT);
    if (text != NULL)
        accel_buf_puts(&bytes, text);
    free(text);
    const size_t json_part = bytes.size;
    for (size_t i = 0; i < count; i++)
        accel_buf_append(&bytes, inputs[i].owned.tensor.data, inputs[i].owned.tensor.size_bytes);
    if (json_part == 0 || accel_buf_failed(&bytes))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a request");
    accel_ctl_escape(model, name, sizeof(name));
    if (o->version > 0)
        snprintf(path, sizeof(path), "/v2/models/%s/versions/%u/infer", name, o->version);
    else
        snprintf(path, sizeof(path), "/v2/models/%s/infer", name);
    return accel_ctl_send(ctl,
                          &(struct accel_ctl_request){.method = "POST",
                                                      .path = path,
                                                      .bytes = bytes.data,
                                                      .bytes_count = bytes.size,
                                                      .json_part = json_part},
                          reply, err);
}

/* ---------------------------------------------------------------- results */

/* Output i of the answer as a tensor over the answer's bytes. */
static int output_tensor(const struct accel_ctl_reply *reply, const json_t *about, size_t *offset,
                         struct accel_tensor *t, struct accel_error *err)
{
    const json_t *size = json_object_get(json_object_get(about, "parameters"), "binary_data_size");
    int rc = describe_input(about, t, err);

    if (rc != ACCEL_OK)
        return rc;
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        (size_t)json_integer_value(size) > reply->body.size - *offset)
        return accel_fail(err, ACCEL_E_CORRUPT, "output %s: the answer does not hold its bytes",
                          accel_ctl_text(about, "name"));
    t->data = reply->body.data + *offset;
    t->size_bytes = (size_t)json_integer_value(size);
    *offset += t->size_bytes;
    return ACCEL_OK;
}

/* Element i of a float tensor; the answer's bytes have no alignment. */
static double element(const struct accel_tensor *t, size_t i)
{
    const char *at = (const char *)t->data + i * accel_dtype_size(t->dtype);
    uint16_t half;
    float single;
    double value;

    switch (t->dtype) {
    case ACCEL_DTYPE_FLOAT16:
        memcpy(&half, at, sizeof(half));
        return accel_half_to_float(half);
    case ACCEL_DTYPE_FLOAT:
        memcpy(&single, at, sizeof(single));
        return single;
    case ACCEL_DTYPE_DOUBLE:
        memcpy(&value, at, sizeof(value));
        return value;
    case ACCEL_DTYPE_UINT8:
        return *(const uint8_t *)at;
    case ACCEL_DTYPE_INT8:
        return *(const int8_t *)at;
    default:
        return NAN;
    }
}

static const char *label(char *labels, size_t wanted, char *copy, size_t size)
{
    const char *line = labels;

    for (size_t i = 0; i < wanted && line != NULL; i++) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    if (line == NULL || *line == '\0')
        return "";
    snprintf(copy, size, "%.*s", (int)strcspn(line, "\r\n"), line);
    return copy;
}

struct scored {
    double score;
    size_t class;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->class < y->class ? -1 : x->class > y->class;
}

static void apply_softmax(struct scored *scored, size_t count)
{
    double highest = -INFINITY, sum = 0;

    for (size_t i = 0; i < count; i++)
        highest = ACCEL_MAX(highest, scored[i].score);
    for (size_t i = 0; i < count; i++)
        sum += scored[i].score = exp(scored[i].score - highest);
    for (size_t i = 0; i < count; i++)
        scored[i].score /= sum;
}

static int print_top(const struct options *o, const struct accel_tensor *t, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_table_free) struct accel_table *table = NULL;
    ACCEL_CLEANUP(accel_freep) char *labels = NULL;
    ACCEL_CLEANUP(accel_freep) struct scored *scored = NULL;
    const size_t width = accel_dtype_size(t->dtype), count = width > 0 ? t->size_bytes / width : 0;
    char copy[256];

    if (o->labels != NULL && accel_read_file(o->labels, LABELS_MAX, &labels, NULL, err) != ACCEL_OK)
        return err->code;
    scored = accel_calloc(count, sizeof(*scored));
    if (scored == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu scores", count);
    for (size_t i = 0; i < count; i++)
        scored[i] = (struct scored){element(t, i), i};
    if (o->softmax)
        apply_softmax(scored, count);
    qsort(scored, count, sizeof(*scored), by_score);
    table = accel_table_new((const char *const[]){"SCORE", "CLASS", "LABEL"}, 3);
    accel_table_align_right(table, 0);
    accel_table_align_right(table, 1);
    for (size_t i = 0; i < ACCEL_MIN(count, (size_t)o->top); i++) {
        accel_table_cell(table, "%.4f", scored[i].score);
        accel_table_cell(table, "%zu", scored[i].class);
        accel_table_cell(table, "%s",
                         labels != NULL ? label(labels, scored[i].class, copy, sizeof(copy)) : "");
    }
    accel_table_print(table, stdout);
    return ACCEL_OK;
}

static int write_output(const char *dir, const char *name, const struct accel_tensor *t,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *path = accel_asprintf("%s/%s.npy", dir, name);

    if (path == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a path");
    /* An output's name may hold any character; a path's part may not. */
    for (char *c = path + strlen(dir) + 1; *c != '\0'; c++)
        if (*c == '/')
            *c = '_';
    const int rc = accel_tensor_write(path, name, t, err);
    if (rc == ACCEL_OK)
        printf("%s\n", path);
    return rc;
}

static bool is_classification(const struct accel_tensor *t)
{
    int64_t elements = 1, widest = 1;

    for (uint32_t i = 0; i < t->rank; i++) {
        elements *= t->dims[i];
        widest = ACCEL_MAX(widest, t->dims[i]);
    }
    return elements == widest && elements > 1 && !isnan(element(t, 0));
}

static void print_summary(const json_t *answer)
{
    const json_t *p = json_object_get(answer, "parameters");

    printf("model %s version %s on %s: ran in %s", accel_ctl_text(answer, "model_name"),
           accel_ctl_text(answer, "model_version"), accel_ctl_text(p, "acceld_device"),
           accel_ctl_seconds(json_number_value(json_object_get(p, "acceld_run_s"))));
    const double predicted = json_number_value(json_object_get(p, "acceld_predicted_s"));
    if (predicted > 0)
        printf(" (predicted %s)", accel_ctl_seconds(predicted));
    putchar('\n');
}

static int show_results(const struct accel_ctl *ctl, const struct options *o,
                        const struct accel_ctl_reply *reply, struct accel_error *err)
{
    const json_t *outputs = json_object_get(reply->json, "outputs"), *about;
    size_t i, offset = reply->json_part;
    int rc = ACCEL_OK;

    if (ctl->json)
        accel_ctl_print_json(reply->json);
    else
        print_summary(reply->json);
    json_array_foreach(outputs, i, about) {
        struct accel_tensor t;
        rc = output_tensor(reply, about, &offset, &t, err);
        if (rc != ACCEL_OK)
            return rc;
        if (o->output != NULL)
            rc = write_output(o->output, accel_ctl_text(about, "name"), &t, err);
        else if (!ctl->json && is_classification(&t))
            rc = print_top(o, &t, err);
        else if (!ctl->json)
            printf("output %s: %s, %zu bytes (--output DIR writes it)\n",
                   accel_ctl_text(about, "name"), accel_ctl_text(about, "datatype"), t.size_bytes);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- command */

static int run_model(struct accel_ctl *ctl, const struct options *o, const char *name,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *model = NULL;
    ACCEL_CLEANUP(accel_ctl_reply_free) struct accel_ctl_reply reply = {0};
    struct input inputs[INPUTS_MAX + 1] = {0};
    char escaped[256];
    size_t count = 0;
    int rc = accel_ctl_json(ctl, "GET", NULL, &model, err, "/v2/models/%s",
                            accel_ctl_escape(name, escaped, sizeof(escaped)));

    if (rc == ACCEL_OK)
        rc = load_inputs(o, model, inputs, &count, err);
    if (rc == ACCEL_OK)
        rc = send_request(ctl, o, name, inputs, count, &reply, err);
    for (size_t i = 0; i < count; i++)
        accel_owned_tensor_free(&inputs[i].owned);
    return rc == ACCEL_OK ? show_results(ctl, o, &reply, err) : rc;
}

int accel_ctl_infer(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    struct options o = {.top = DEFAULT_TOP};
    const struct accel_opt opts[] = {
        {"image", 'i', ACCEL_OPT_STRING, &o.image, "FILE", "a PNG or JPEG for the first input"},
        {"input", 'I', ACCEL_OPT_LIST, &o.inputs, "NAME=FILE", "a tensor, .npy or .pb"},
        {"labels", 'l', ACCEL_OPT_STRING, &o.labels, "FILE", "names of the classes, one a line"},
        {"top", 't', ACCEL_OPT_UINT, &o.top, "N", "classes to print (5)"},
        {"softmax", 0, ACCEL_OPT_FLAG, &o.softmax, NULL,
         "the model ends in logits: normalise them"},
        {"mean", 0, ACCEL_OPT_STRING, &o.mean, "R,G,B", "subtracted from the pixels, 0..255 (0)"},
        {"scale", 0, ACCEL_OPT_STRING, &o.scale, "R,G,B", "then multiplied by (1)"},
        {"bgr", 0, ACCEL_OPT_FLAG, &o.bgr, NULL,
         "channels, and --mean and --scale, in order B,G,R"},
        {"fit", 0, ACCEL_OPT_STRING, &o.fit, "HOW",
         "cover: scale, cut the middle (default); stretch; crop: no scaling"},
        {"output", 'o', ACCEL_OPT_STRING, &o.output, "DIR", "write the outputs there, as .npy"},
        {"device", 'd', ACCEL_OPT_STRING, &o.device, "DEVICE",
         "uuid, identity or PCI address (the best runnable one)"},
        {"version", 'V', ACCEL_OPT_UINT, &o.version, "N", "of the model (the newest)"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options("infer MODEL [--image FILE] [--input NAME=FILE]...", opts,
                                         argc, argv, 1, 1, &operands, err);

    return rc == ACCEL_OK ? run_model(ctl, &o, argv[0], err) : rc;
}
