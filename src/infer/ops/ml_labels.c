/* SPDX-License-Identifier: Apache-2.0 */
/* Categories and labels: LabelEncoder, CategoryMapper, OneHotEncoder. */
#include "infer/kernels/kernels.h"
#include "infer/ops/ml.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- a table of keys and values */

enum kind { NONE, REALS, INTS, STRINGS };

/* `kind` of its owner says which member holds. */
union item {
    double real;
    int64_t integer;
    const char *string;
};

struct entry {
    union item key;
    size_t index; /* in the attribute: of equal keys the first counts */
};

struct table {
    enum kind keys, values;
    size_t count;
    struct entry *entries; /* sorted */
    const union item *value;
    enum accel_dtype type; /* of the values */
    union item otherwise;
};

static enum kind kind_of(enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
    case ACCEL_DTYPE_DOUBLE:
        return REALS;
    case ACCEL_DTYPE_STRING:
        return STRINGS;
    case ACCEL_DTYPE_INT64:
    case ACCEL_DTYPE_INT32:
    case ACCEL_DTYPE_INT16:
        return INTS;
    default:
        return NONE;
    }
}

/* A NaN equals a NaN and comes last. */
static int compare_reals(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

static int compare_keys(enum kind kind, const union item *a, const union item *b)
{
    if (kind == REALS)
        return compare_reals(a->real, b->real);
    if (kind == INTS)
        return (a->integer > b->integer) - (a->integer < b->integer);
    return strcmp(a->string, b->string);
}

#define COMPARE(name, kind)                                                        \
    static int name(const void *a, const void *b)                                  \
    {                                                                              \
        const struct entry *x = a, *y = b;                                         \
        const int order = compare_keys(kind, &x->key, &y->key);                    \
                                                                                   \
        return order != 0 ? order : (x->index > y->index) - (x->index < y->index); \
    }
COMPARE(compare_real_entries, REALS)
COMPARE(compare_int_entries, INTS)
COMPARE(compare_string_entries, STRINGS)

static void sort_entries(struct table *t)
{
    qsort(t->entries, t->count, sizeof(*t->entries),
          t->keys == REALS  ? compare_real_entries
          : t->keys == INTS ? compare_int_entries
                            : compare_string_entries);
}

/* The first of the equal ones; NULL: none. */
static const struct entry *lookup(const struct table *t, const union item *key)
{
    size_t low = 0, high = t->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (compare_keys(t->keys, &t->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->count && compare_keys(t->keys, &t->entries[low].key, key) == 0
               ? &t->entries[low]
               : NULL;
}

static union item item_of(enum accel_dtype dtype, const void *data, size_t i)
{
    union item item = {0};
    double d;
    float f;
    int32_t i32;
    int16_t i16;

    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
        memcpy(&f, (const char *)data + i * sizeof(f), sizeof(f));
        item.real = (double)f;
        break;
    case ACCEL_DTYPE_DOUBLE:
        memcpy(&d, (const char *)data + i * sizeof(d), sizeof(d));
        item.real = d;
        break;
    case ACCEL_DTYPE_INT16:
        memcpy(&i16, (const char *)data + i * sizeof(i16), sizeof(i16));
        item.integer = i16;
        break;
    case ACCEL_DTYPE_INT32:
        memcpy(&i32, (const char *)data + i * sizeof(i32), sizeof(i32));
        item.integer = i32;
        break;
    case ACCEL_DTYPE_STRING:
        item.string = ((char *const *)data)[i];
        break;
    default:
        memcpy(&item.integer, (const char *)data + i * sizeof(int64_t), sizeof(int64_t));
        break;
    }
    return item;
}

static void store_item(enum accel_dtype dtype, union item item, void *data, size_t i)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
        ((float *)data)[i] = (float)item.real;
        break;
    case ACCEL_DTYPE_DOUBLE:
        ((double *)data)[i] = item.real;
        break;
    case ACCEL_DTYPE_INT16:
        ((int16_t *)data)[i] = (int16_t)item.integer;
        break;
    case ACCEL_DTYPE_INT32:
        ((int32_t *)data)[i] = (int32_t)item.integer;
        break;
    case ACCEL_DTYPE_STRING:
        ((const char **)data)[i] = item.string;
        break;
    default:
        ((int64_t *)data)[i] = item.integer;
        break;
    }
}

static int no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for a table");
}

/* The items of an attribute of any of the list types, or of a tensor. */
static int items_of(const struct accel_attr *a, struct accel_bump *mem, union item **items,
                    size_t *count, enum accel_dtype *type, struct accel_error *err)
{
    const struct accel_tensor *t = a->type == ACCEL_ATTR_TENSOR ? &a->tensors[0] : NULL;

    *type = t != NULL                       ? t->dtype
            : a->type == ACCEL_ATTR_FLOATS  ? ACCEL_DTYPE_FLOAT
            : a->type == ACCEL_ATTR_STRINGS ? ACCEL_DTYPE_STRING
                                            : ACCEL_DTYPE_INT64;
    if (kind_of(*type) == NONE)
        return accel_fail(err, ACCEL_E_INVALID, "%s of type %s", a->name, accel_dtype_name(*type));
    *count = a->count;
    if (t != NULL)
        *count = t->size_bytes /
                 (t->dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(t->dtype));
    *items = accel_bump_alloc(mem, *count + 1, sizeof(**items));
    if (*items == NULL)
        return no_memory(err);
    for (size_t i = 0; i < *count; i++) {
        if (t == NULL && a->type == ACCEL_ATTR_STRINGS)
            (*items)[i].string = a->strings[i].data;
        else
            (*items)[i] = item_of(*type,
                                  t != NULL                      ? t->data
                                  : a->type == ACCEL_ATTR_FLOATS ? (const void *)a->floats
                                                                 : (const void *)a->ints,
                                  i);
    }
    return ACCEL_OK;
}

/* values NULL: the value of a key is its place. */
static int make_table(const struct accel_attr *keys, const struct accel_attr *values,
                      struct accel_bump *mem, struct table *t, struct accel_error *err)
{
    enum accel_dtype key_type;
    union item *key, *value = NULL;
    size_t count;
    int rc = items_of(keys, mem, &key, &t->count, &key_type, err);

    if (rc == ACCEL_OK && values != NULL) {
        rc = items_of(values, mem, &value, &count, &t->type, err);
        if (rc == ACCEL_OK && count != t->count)
            return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries, %s has %zu", keys->name,
                              t->count, values->name, count);
    } else if (rc == ACCEL_OK) {
        value = accel_bump_alloc(mem, t->count + 1, sizeof(*value));
        t->type = ACCEL_DTYPE_INT64;
        for (size_t i = 0; i < t->count && value != NULL; i++)
            value[i].integer = (int64_t)i;
    }
    if (rc != ACCEL_OK)
        return rc;
    t->entries = accel_bump_alloc(mem, t->count + 1, sizeof(*t->entries));
    if (t->entries == NULL || value == NULL)
        return no_memory(err);
    t->keys = kind_of(key_type);
    t->values = kind_of(t->type);
    t->value = value;
    for (size_t i = 0; i < t->count; i++)
        t->entries[i] = (struct entry){.key = key[i], .index = i};
    sort_entries(t);
    return ACCEL_OK;
}

/* The default of the values' kind. */
static void set_default(const struct accel_node *n, struct table *t)
{
    if (t->values == REALS)
        t->otherwise.real = (double)accel_attr_float(n, "default_float", -0.0f);
    else if (t->values == INTS)
        t->otherwise.integer = accel_attr_int(n, "default_int64", -1);
    else
        t->otherwise.string = accel_attr_string(n, "default_string", "_Unused");
}

/* ---------------------------------------------------------------- LabelEncoder, CategoryMapper */

/* One of several attributes that may be given; NULL when there is none. */
static int one_of(const struct accel_node *n, const char *const *names, const char *what,
                  const struct accel_attr **found, struct accel_error *err)
{
    *found = NULL;
    for (; *names != NULL; names++) {
        const struct accel_attr *a = accel_attr(n, *names);

        if (a == NULL || a->count == 0)
            continue;
        if (*found != NULL)
            return accel_fail(err, ACCEL_E_INVALID, "%s and %s are both given", (*found)->name,
                              a->name);
        *found = a;
    }
    return *found != NULL ? ACCEL_OK : accel_fail(err, ACCEL_E_INVALID, "%s are missing", what);
}

/* Two tables: which one is used follows from the input's type. */
struct mapper {
    struct table to_int, to_string;
};

static int mapper_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const bool classes = strcmp(n->op_type, "LabelEncoder") == 0;
    const char *name = classes ? "classes_strings" : "cats_strings";
    const struct accel_attr *strings = accel_attr(n, name);
    const struct accel_attr *ints = classes ? NULL : accel_attr(n, "cats_int64s");
    struct mapper *m = accel_bump_alloc(mem, 1, sizeof(*m));

    if (m == NULL)
        return no_memory(err);
    *params = m;
    if (strings == NULL || (!classes && ints == NULL))
        return accel_fail(err, ACCEL_E_INVALID, "%s is missing",
                          strings == NULL ? name : "cats_int64s");
    int rc = make_table(strings, ints, mem, &m->to_int, err);
    set_default(n, &m->to_int);
    if (rc == ACCEL_OK && ints != NULL) {
        rc = make_table(ints, strings, mem, &m->to_string, err);
    } else if (rc == ACCEL_OK) {
        struct table *t = &m->to_string;
        union item *value;
        size_t count;

        rc = items_of(strings, mem, &value, &count, &t->type, err);
        if (rc != ACCEL_OK)
            return rc;
        t->entries = accel_bump_alloc(mem, count + 1, sizeof(*t->entries));
        if (t->entries == NULL)
            return no_memory(err);
        t->keys = INTS;
        t->values = STRINGS;
        t->value = value;
        t->count = count;
        for (size_t i = 0; i < count; i++)
            t->entries[i] = (struct entry){.key = {.integer = (int64_t)i}, .index = i};
    }
    set_default(n, &m->to_string);
    return rc;
}

static const struct table *mapper_table(const struct accel_node *n, enum accel_dtype in)
{
    const struct mapper *m = n->params;

    return in == ACCEL_DTYPE_STRING ? &m->to_int : &m->to_string;
}

static int mapper_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = mapper_table(in->node, in->in[0]->dtype)->type;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

/* nans: a NaN finds a NaN, as version 4 says; before, it finds nothing. */
static void map_items(const struct table *t, const struct accel_tensor *x,
                      const struct accel_tensor *y, bool nans)
{
    const size_t size =
        x->dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(x->dtype);

    for (size_t i = 0; i < x->size_bytes / size; i++) {
        const union item key = item_of(x->dtype, x->data, i);
        const bool found = nans || t->keys != REALS || !isnan(key.real);
        const struct entry *e = found ? lookup(t, &key) : NULL;

        store_item(y->dtype, e != NULL ? t->value[e->index] : t->otherwise, y->data, i);
    }
}

static int mapper_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    map_items(mapper_table(run->node, run->in[0]->dtype), run->in[0], run->out[0], false);
    return ACCEL_OK;
}

static int encoder_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    static const char *const keys[] = {"keys_int64s", "keys_strings", "keys_floats", "keys_tensor",
                                       NULL};
    static const char *const values[] = {"values_int64s", "values_strings", "values_floats",
                                         "values_tensor", NULL};
    const struct accel_tensor *otherwise = accel_attr_tensor(n, "default_tensor");
    const struct accel_attr *k, *v;
    struct table *t = accel_bump_alloc(mem, 1, sizeof(*t));
    int rc = one_of(n, keys, "keys", &k, err);

    if (t == NULL)
        return no_memory(err);
    *params = t;
    if (rc == ACCEL_OK)
        rc = accel_ml_keep_tensors(n, mem, err);
    if (rc == ACCEL_OK)
        rc = one_of(n, values, "values", &v, err);
    if (rc == ACCEL_OK)
        rc = make_table(k, v, mem, t, err);
    if (rc != ACCEL_OK)
        return rc;
    set_default(n, t);
    if (otherwise != NULL) {
        if (otherwise->dtype != t->type || otherwise->size_bytes == 0)
            return accel_fail(err, ACCEL_E_INVALID, "default_tensor is of type %s, values of %s",
                              accel_dtype_name(otherwise->dtype), accel_dtype_name(t->type));
        t->otherwise = item_of(otherwise->dtype, otherwise->data, 0);
    }
    return ACCEL_OK;
}

static int encoder_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct table *t = in->node->params;

    if (kind_of(in->in[0]->dtype) != t->keys)
        return accel_fail(err, ACCEL_E_INVALID, "keys of another type than the input's, %s",
                          accel_dtype_name(in->in[0]->dtype));
    in->out[0]->dtype = t->type;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

static int encoder_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    map_items(run->node->params, run->in[0], run->out[0], run->node->op->since >= 4);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- OneHotEncoder */

static int onehot_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    static const char *const cats[] = {"cats_int64s", "cats_strings", NULL};
    const struct accel_attr *keys;
    struct table *t = accel_bump_alloc(mem, 1, sizeof(*t));
    const int rc = one_of(n, cats, "cats_int64s or cats_strings", &keys, err);

    if (t == NULL)
        return no_memory(err);
    *params = t;
    return rc == ACCEL_OK ? make_table(keys, NULL, mem, t, err) : rc;
}

static int onehot_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct table *t = in->node->params;
    struct accel_shape *y = &in->out[0]->shape;

    if ((in->in[0]->dtype == ACCEL_DTYPE_STRING) != (t->keys == STRINGS))
        return accel_fail(err, ACCEL_E_INVALID, "categories of another type than the input's, %s",
                          accel_dtype_name(in->in[0]->dtype));
    if (in->in[0]->shape.rank == ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an output of rank %d", ACCEL_RANK_MAX + 1);
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    *y = in->in[0]->shape;
    y->dims[y->rank++] = (int64_t)t->count;
    return ACCEL_OK;
}

/* Numbers are cut to integers first. */
static union item category(const struct accel_tensor *x, size_t i)
{
    union item item = item_of(x->dtype, x->data, i);

    if (kind_of(x->dtype) == REALS) {
        const double d = item.real;

        item.integer = d > -9.2e18 && d < 9.2e18 ? (int64_t)d : INT64_MIN;
    }
    return item;
}

static int onehot_run(struct accel_run *run, struct accel_error *err)
{
    const struct table *t = run->node->params;
    const struct accel_tensor *x = run->in[0];
    const size_t size =
        x->dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(x->dtype);
    const bool zeros = accel_attr_int(run->node, "zeros", 1) != 0;
    float *y = run->out[0]->data;

    memset(y, 0, run->out[0]->size_bytes);
    for (size_t i = 0; i < x->size_bytes / size; i++) {
        const union item key = category(x, i);
        const struct entry *e = lookup(t, &key);

        if (e == NULL && !zeros)
            return accel_fail(err, ACCEL_E_INVALID, "element %zu is none of the categories", i);
        if (e != NULL)
            y[i * t->count + e->index] = 1;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule encoder1_attrs[] = {{"classes_strings", ACCEL_ATTR_STRINGS, 0},
                                                        {"default_int64", ACCEL_ATTR_INT, 0},
                                                        {"default_string", ACCEL_ATTR_STRING, 0},
                                                        {0}};
#define ENCODER_ATTRS                                                                    \
    {"default_float", ACCEL_ATTR_FLOAT, 0}, {"default_int64", ACCEL_ATTR_INT, 0},        \
        {"default_string", ACCEL_ATTR_STRING, 0}, {"keys_floats", ACCEL_ATTR_FLOATS, 0}, \
        {"keys_int64s", ACCEL_ATTR_INTS, 0}, {"keys_strings", ACCEL_ATTR_STRINGS, 0},    \
        {"values_floats", ACCEL_ATTR_FLOATS, 0}, {"values_int64s", ACCEL_ATTR_INTS, 0},  \
    {                                                                                    \
        "values_strings", ACCEL_ATTR_STRINGS, 0                                          \
    }
static const struct accel_attr_rule encoder2_attrs[] = {ENCODER_ATTRS, {0}};
static const struct accel_attr_rule encoder4_attrs[] = {ENCODER_ATTRS,
                                                        {"default_tensor", ACCEL_ATTR_TENSOR, 0},
                                                        {"keys_tensor", ACCEL_ATTR_TENSOR, 0},
                                                        {"values_tensor", ACCEL_ATTR_TENSOR, 0},
                                                        {0}};
static const struct accel_attr_rule mapper_attrs[] = {{"cats_int64s", ACCEL_ATTR_INTS, 0},
                                                      {"cats_strings", ACCEL_ATTR_STRINGS, 0},
                                                      {"default_int64", ACCEL_ATTR_INT, 0},
                                                      {"default_string", ACCEL_ATTR_STRING, 0},
                                                      {0}};
static const struct accel_attr_rule onehot_attrs[] = {{"cats_int64s", ACCEL_ATTR_INTS, 0},
                                                      {"cats_strings", ACCEL_ATTR_STRINGS, 0},
                                                      {"zeros", ACCEL_ATTR_INT, 0},
                                                      {0}};
#define ML   .domain = "ai.onnx.ml", .kind = ACCEL_KIND_CLASSIC, .flops_per_value = 1
#define TEXT (ACCEL_T(INT64) | ACCEL_T(STRING))
#define ALL4 (TEXT | ACCEL_T_FLOATS | ACCEL_T(INT16) | ACCEL_T(INT32))
#define ENCODER(version, types, rules)                                            \
    {                                                                             \
        .name = "LabelEncoder", .since = version, ML, .in = {{"X", types, 0, 0}}, \
        .out = {{"Y", types, 0, 0}}, .attrs = rules, .parse = encoder_parse,      \
        .infer = encoder_infer, .run = encoder_run                                \
    }

const struct accel_op accel_ops_ml_labels[] = {
    {.name = "LabelEncoder",
     .since = 1,
     ML,
     .in = {{"X", TEXT, 0, 0}},
     .out = {{"Y", TEXT, 0, 0}},
     .attrs = encoder1_attrs,
     .parse = mapper_parse,
     .infer = mapper_infer,
     .run = mapper_run},
    ENCODER(2, TEXT | ACCEL_T(FLOAT), encoder2_attrs),
    ENCODER(4, ALL4, encoder4_attrs),
    {.name = "CategoryMapper",
     .since = 1,
     ML,
     .in = {{"X", TEXT, 0, 0}},
     .out = {{"Y", TEXT, 0, 0}},
     .attrs = mapper_attrs,
     .parse = mapper_parse,
     .infer = mapper_infer,
     .run = mapper_run},
    {.name = "OneHotEncoder",
     .since = 1,
     ML,
     .in = {{"X", ACCEL_ML_IN | ACCEL_T(STRING), 0, 0}},
     .out = {{"Y", ACCEL_T(FLOAT), 0, 0}},
     .attrs = onehot_attrs,
     .parse = onehot_parse,
     .infer = onehot_infer,
     .run = onehot_run},
    {0},
};
