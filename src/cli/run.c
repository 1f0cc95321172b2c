/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/half.h"

void accel_run_options_free(struct accel_run_options *o)
{
    accel_bump_free(&o->mem);
}

void accel_run_unref(struct accel_model **model)
{
    accel_model_unref(*model);
    *model = NULL;
}

void accel_run_end_session(struct accel_session **session)
{
    accel_session_free(*session);
    *session = NULL;
}

/* ---------------------------------------------------------------- how to load */

static int parse_cpu_mask(const char *text, unsigned *mask, struct accel_error *err)
{
    static const struct {
        const char *name;
        unsigned bits;
    } names[] = {
        {"plain", 0},
        {"all", ACCEL_CPU_ALL},
        {"avx2", ACCEL_CPU_AVX2},
        {"avx512", ACCEL_CPU_AVX512},
        {"vnni", ACCEL_CPU_VNNI},
        {"bf16", ACCEL_CPU_BF16},
    };
    char *end;

    errno = 0;
    const unsigned long number = strtoul(text, &end, 0);
    if (end != text && *end == '\0' && errno == 0 && number <= UINT32_MAX && *text != '-') {
        *mask = (unsigned)number;
        return ACCEL_OK;
    }
    *mask = 0;
    for (;;) {
        const size_t length = strcspn(text, "+,");
        size_t i = 0;

        while (i < ACCEL_COUNT(names) &&
               (strlen(names[i].name) != length || strncmp(names[i].name, text, length) != 0))
            i++;
        if (i == ACCEL_COUNT(names))
            return accel_fail(err, ACCEL_E_INVALID,
                              "--cpu-mask takes a number or plain, avx2, avx512, vnni, bf16, all "
                              "joined by +, not \"%.*s\"",
                              (int)length, text);
        *mask |= names[i].bits;
        if (text[length] == '\0')
            return ACCEL_OK;
        text += length + 1;
    }
}

/* "1x3x224x224" */
static int parse_shape(const char *text, uint32_t *rank, int64_t *dims, struct accel_error *err)
{
    const char *at = text;

    for (*rank = 0; *at != '\0'; ++*rank) {
        char *end;

        errno = 0;
        const long long dim = *rank < ACCEL_RANK_MAX ? strtoll(at, &end, 10) : -1;
        if (dim < 0 || errno != 0 || end == at || (*end != 'x' && *end != '\0') ||
            (*end == 'x' && end[1] == '\0'))
            return accel_fail(err, ACCEL_E_INVALID,
                              "a shape is sizes joined by x, like 1x3x224x224, not \"%s\"", text);
        dims[*rank] = dim;
        at = *end == 'x' ? end + 1 : end;
    }
    return ACCEL_OK;
}

/* An --input-shape at its last colon: names may hold some ("input:0:1x224"). */
static int split_input_shape(const char *item, size_t *name_length, uint32_t *rank, int64_t *dims,
                             struct accel_error *err)
{
    const char *colon = strrchr(item, ':');

    if (colon == NULL || colon == item)
        return accel_fail(err, ACCEL_E_INVALID, "--input-shape takes NAME:DIMS, not \"%s\"", item);
    *name_length = (size_t)(colon - item);
    if (parse_shape(colon + 1, rank, dims, err) != ACCEL_OK)
        return accel_fail_in(err, "--input-shape");
    return ACCEL_OK;
}

static int bind_dim(struct accel_run_options *o, const char *item, struct accel_dim_binding *b,
                    struct accel_error *err)
{
    const char *equals = strrchr(item, '=');
    char *name = accel_bump_strdup(&o->mem, item), *end = NULL;

    if (name == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for --dim %s", item);
    if (equals != NULL) {
        name[equals - item] = '\0';
        errno = 0;
        b->value = strtoll(equals + 1, &end, 10);
    }
    if (equals == NULL || equals == item || end == equals + 1 || *end != '\0' || errno != 0 ||
        b->value < 0)
        return accel_fail(err, ACCEL_E_INVALID, "--dim takes NAME=N, not \"%s\"", item);
    b->name = name;
    return ACCEL_OK;
}

/* Is `name` in a comma-separated list? */
static bool listed(const char *list, const char *name)
{
    const size_t length = strlen(name);

    while (*list != '\0') {
        const size_t part = strcspn(list, ",");

        if (part == length && strncmp(list, name, length) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

static int check_passes(const char *list, const char *option, struct accel_error *err)
{
    const char *names[64];
    size_t count = 0;

    while (count < ACCEL_COUNT(names) && (names[count] = accel_pass_name(count, NULL)) != NULL)
        count++;
    for (; *list != '\0'; list += strcspn(list, ",") + (list[strcspn(list, ",")] == ',')) {
        char name[64];
        bool known = strcspn(list, ",") == 0;

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(list, ","), list);
        for (size_t i = 0; i < count; i++)
            known = known || strcmp(names[i], name) == 0;
        if (known || strcmp(name, "all") == 0)
            continue;
        const char *nearest = accel_nearest_name(name, names, count);
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s: there is no graph pass \"%s\"%s%s; --passes list names them", option,
                          name, nearest != NULL ? "; did you mean " : "",
                          nearest != NULL ? nearest : "");
    }
    return ACCEL_OK;
}

/* What the library is to leave out: passes_off, or all that passes does not name. */
static int choose_passes(struct accel_run_options *o, const char **off, struct accel_error *err)
{
    const char *name;

    *off = o->passes_off;
    if (o->passes == NULL)
        return o->passes_off != NULL ? check_passes(o->passes_off, "--passes-off", err) : ACCEL_OK;
    if (o->passes_off != NULL)
        return accel_fail(err, ACCEL_E_INVALID, "--passes and --passes-off: only one of them");
    const int rc = check_passes(o->passes, "--passes", err);
    if (rc != ACCEL_OK || listed(o->passes, "all"))
        return rc;
    *off = "";
    for (size_t i = 0; *off != NULL && (name = accel_pass_name(i, NULL)) != NULL; i++)
        /* What an operator on halves cannot run without stays on, as it does with "all". */
        if (!listed(o->passes, name) && strcmp(name, "widen-f16") != 0)
            *off = accel_bump_printf(&o->mem, "%s,%s", *off, name);
    return *off != NULL ? ACCEL_OK : accel_fail(err, ACCEL_E_NOMEM, "no memory for --passes");
}

/* Fills o->load from the options. Errors: INVALID names the option and what it takes. */
static int load_options(struct accel_run_options *o, struct accel_error *err)
{
    struct accel_load_options *load = &o->load;
    size_t n = 0;

    accel_load_options_init(load);
    load->values = true;
    if (o->deadline_s < 0 || o->deadline_s > 1e9)
        return accel_fail(err, ACCEL_E_INVALID, "--deadline takes seconds, 0 to 1e9, not %g",
                          o->deadline_s);
    load->limits.run_ms = (int64_t)ceil(o->deadline_s * 1000);
    load->limits.arena_bytes = (size_t)o->memory_mib << 20;
    if (o->packed && (o->passes != NULL || o->passes_off != NULL || o->cpu_mask != NULL))
        return accel_fail(err, ACCEL_E_INVALID,
                          "--packed: passes and instruction sets were settled when the model was "
                          "packed; give %s to accel-run pack",
                          o->passes != NULL       ? "--passes"
                          : o->passes_off != NULL ? "--passes-off"
                                                  : "--cpu-mask");
    if (choose_passes(o, &load->passes_off, err) != ACCEL_OK)
        return err != NULL ? (int)err->code : ACCEL_E_INVALID;
    if (o->cpu_mask != NULL && parse_cpu_mask(o->cpu_mask, &load->cpu_mask, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t most = o->dims.count + o->input_shapes.count * ACCEL_RANK_MAX;
    struct accel_dim_binding *dims = accel_bump_alloc(&o->mem, most > 0 ? most : 1, sizeof(*dims));
    if (dims == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu dimensions", most);
    for (size_t i = 0; i < o->dims.count; i++) {
        const int rc = bind_dim(o, o->dims.items[i], &dims[n++], err);

        if (rc != ACCEL_OK)
            return rc;
    }
    for (size_t i = 0; i < o->input_shapes.count; i++) {
        int64_t shape[ACCEL_RANK_MAX];
        size_t length;
        uint32_t rank;

        if (split_input_shape(o->input_shapes.items[i], &length, &rank, shape, err) != ACCEL_OK)
            return ACCEL_E_INVALID;
        for (uint32_t d = 0; d < rank; d++) {
            dims[n].name =
                accel_bump_printf(&o->mem, "%.*s:%u", (int)length, o->input_shapes.items[i], d);
            if (dims[n].name == NULL)
                return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu dimensions", most);
            dims[n++].value = shape[d];
        }
    }
    load->dims = dims;
    load->dims_count = n;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- a verb's words */

/* `--passes list` instead of work. */
static bool lists_passes(const struct accel_opt *opts)
{
    const char *name, *about;

    while (opts->name != NULL && strcmp(opts->name, "passes") != 0)
        opts++;
    if (opts->name == NULL || *(const char *const *)opts->value == NULL ||
        strcmp(*(const char *const *)opts->value, "list") != 0)
        return false;
    for (size_t i = 0; (name = accel_pass_name(i, &about)) != NULL; i++)
        printf("%-22s %s\n", name, about);
    return true;
}

/* What is wrong of the words alone, before any file is opened. */
static int check_usage(struct accel_run_options *o, const char *usage, char **argv, int operands,
                       int at_least, int at_most, struct accel_error *err)
{
    if (operands < at_least || (at_most >= 0 && operands > at_most))
        return accel_fail(err, ACCEL_E_INVALID, "%s; usage: accel-run %s",
                          operands < at_least ? "something is missing" : "too many arguments",
                          usage);
    for (int i = 0; i < operands; i++)
        if (argv[i][0] == '\0')
            return accel_fail(err, ACCEL_E_INVALID, "an argument is empty; usage: accel-run %s",
                              usage);
    return o != NULL ? load_options(o, err) : ACCEL_OK;
}

int accel_run_parse(const char *usage, const char *about, const struct accel_opt *opts,
                    struct accel_run_options *o, int argc, char **argv, int at_least, int at_most,
                    int *operands, int *status, struct accel_error *err)
{
    bool help = false;
    struct accel_opt all[32];
    size_t n = 0;

    for (; opts->name != NULL && n + 2 < ACCEL_COUNT(all); opts++)
        all[n++] = *opts;
    all[n++] = (struct accel_opt){"help", 'h', ACCEL_OPT_FLAG, &help, NULL, "print this"};
    all[n] = (struct accel_opt){0};
    int rc = accel_opts_parse(all, argc, argv, operands, err);
    if (rc != ACCEL_OK)
        return rc;
    if (help) {
        printf("usage: accel-run %s\n\n%s\n\n", usage, about);
        accel_opts_help(all, stdout);
        return accel_fail(err, ACCEL_E_CANCELLED, "%s", "");
    }
    if (lists_passes(all))
        return accel_fail(err, ACCEL_E_CANCELLED, "%s", "");
    rc = check_usage(o, usage, argv, *operands, at_least, at_most, err);
    if (rc == ACCEL_OK)
        *status = 1;
    return rc;
}

/* ---------------------------------------------------------------- loading */

int accel_run_load(struct accel_run_options *o, const char *path, struct accel_model **model,
                   struct accel_error *err)
{
    if (!o->packed)
        return accel_model_load_file(path, &o->load, model, err); /* names the file itself */
    ACCEL_CLEANUP(accel_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    if (accel_model_open_packed(fd, &o->load, model, err) != ACCEL_OK)
        return accel_fail_in(err, "%s", path);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- inputs made up */

static int64_t bound_dim(const struct accel_run_options *o, const char *name)
{
    const size_t length = name != NULL ? strlen(name) : 0;

    for (size_t i = 0; name != NULL && i < o->dims.count; i++)
        if (strncmp(o->dims.items[i], name, length) == 0 && o->dims.items[i][length] == '=')
            return strtoll(o->dims.items[i] + length + 1, NULL, 10);
    return 1;
}

int accel_run_input_shape(struct accel_run_options *o, const struct accel_tensor_info *info,
                          uint32_t *rank, int64_t *dims, struct accel_error *err)
{
    for (size_t i = 0; i < o->input_shapes.count; i++) {
        size_t length;

        if (split_input_shape(o->input_shapes.items[i], &length, rank, dims, err) != ACCEL_OK)
            return ACCEL_E_INVALID;
        if (strlen(info->name) != length ||
            strncmp(o->input_shapes.items[i], info->name, length) != 0)
            continue;
        if (info->has_rank && info->rank != *rank)
            return accel_fail(err, ACCEL_E_INVALID, "--input-shape: %s has %u dimensions, not %u",
                              info->name, info->rank, *rank);
        return ACCEL_OK;
    }
    if (!info->has_rank)
        return accel_fail(err, ACCEL_E_INVALID,
                          "the model does not say the shape of %s: --input-shape %s:DIMS",
                          info->name, info->name);
    *rank = info->rank;
    for (uint32_t d = 0; d < info->rank; d++)
        dims[d] = info->dims[d] >= 0 ? info->dims[d] : bound_dim(o, info->dim_names[d]);
    return ACCEL_OK;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void fill_random(struct accel_tensor *t, size_t count, uint64_t seed)
{
    static char text[] = "a";
    uint64_t state = seed * 2 + 1;

    for (size_t i = 0; i < count; i++) {
        const uint64_t bits = next_random(&state) >> 32;
        const double real = (double)bits / 0x1p31 - 1;

        switch (t->dtype) {
        case ACCEL_DTYPE_FLOAT:
            ((float *)t->data)[i] = (float)real;
            break;
        case ACCEL_DTYPE_DOUBLE:
            ((double *)t->data)[i] = real;
            break;
        case ACCEL_DTYPE_FLOAT16:
            ((uint16_t *)t->data)[i] = accel_half_from_float((float)real);
            break;
        case ACCEL_DTYPE_INT8:
        case ACCEL_DTYPE_UINT8:
            ((uint8_t *)t->data)[i] = (uint8_t)bits;
            break;
        case ACCEL_DTYPE_STRING:
            ((char **)t->data)[i] = text;
            break;
        default: { /* little-endian: the low byte first, the rest is zero already */
            const size_t size = accel_dtype_size(t->dtype);
            ((uint8_t *)t->data)[i * size] = bits & 1;
        }
        }
    }
}

int accel_run_random(enum accel_dtype dtype, uint32_t rank, const int64_t *dims, uint64_t seed,
                     struct accel_owned_tensor *t, struct accel_error *err)
{
    struct accel_tensor *made = &t->tensor;
    size_t count;

    *t = (struct accel_owned_tensor){.tensor = {.dtype = dtype, .rank = rank}};
    memcpy(made->dims, dims, rank * sizeof(*dims));
    if (accel_tensor_count(made, &count, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    made->size_bytes =
        count * (dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(dtype));
    made->data = accel_aligned_alloc(64, made->size_bytes);
    if (made->data == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a tensor of %zu bytes",
                          made->size_bytes);
    memset(made->data, 0, made->size_bytes);
    fill_random(made, count, seed);
    return ACCEL_OK;
}
