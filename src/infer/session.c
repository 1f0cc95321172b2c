/* SPDX-License-Identifier: Apache-2.0 */
/* Running, as the caller sees it: inputs in, the main graph run (run/unit.c), outputs out. */
#include "infer/ops/op.h"
#include "infer/run/session.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

/* Sequences of the run before, the caller's copied ones included. */
static void drop_lists(struct accel_session *s)
{
    const struct accel_ir *ir = s->model->ir;

    for (size_t i = 0; i < ir->irs_count; i++)
        if (s->units[i] != NULL)
            accel_unit_drop_lists(s->units[i]);
    for (size_t i = 0; i < ir->main->inputs_count; i++) {
        if (accel_is_list(&s->given_lists[i]))
            accel_list_unref(s, accel_list_of(&s->given_lists[i]));
        s->given_lists[i] = (struct accel_tensor){0};
    }
    accel_bump_free(&s->lent);
}

void accel_session_free(struct accel_session *s)
{
    if (s == NULL)
        return;
    if (s->units != NULL && s->given_lists != NULL)
        drop_lists(s);
    for (size_t i = 0; s->units != NULL && i < s->model->ir->irs_count; i++)
        accel_unit_free(s->units[i]);
    accel_free(s->units);
    accel_free(s->given_lists);
    accel_free(s->scratch);
    accel_free(s->times);
    accel_bump_free(&s->lent);
    accel_bump_free(&s->texts);
    accel_bump_free(&s->old_texts);
    accel_pool_free(s->pool);
    accel_model_unref(s->model);
    accel_free(s);
}

static void session_freep(struct accel_session **s)
{
    accel_session_free(*s);
}

int accel_session_new(struct accel_model *model, const struct accel_session_options *options,
                      struct accel_session **out, struct accel_error *err)
{
    struct accel_session_options o = {0};
    ACCEL_CLEANUP(session_freep) struct accel_session *s = NULL;

    if (options != NULL)
        memcpy(&o, options, ACCEL_MIN(options->struct_size, sizeof(o)));
    s = accel_calloc(1, sizeof(*s));
    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    s->model = accel_model_ref(model);
    s->threads = o.threads > 0 ? o.threads : accel_usable_cpus();
    s->profile = o.profile;
    s->units = accel_calloc(model->ir->irs_count, sizeof(*s->units));
    s->given_lists = accel_calloc(model->ir->main->inputs_count, sizeof(*s->given_lists));
    if (s->units == NULL || s->given_lists == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    struct accel_unit *unit = NULL;
    int rc = accel_unit_of(s, model->ir, &unit, err);
    if (rc == ACCEL_OK)
        rc = accel_pool_new(s->threads, &s->pool, err);
    if (rc == ACCEL_OK) {
        accel_pool_watch(s->pool, accel_session_stops, s);
        rc = accel_profile_reserve(s, err);
    }
    if (rc == ACCEL_OK && model->plan != NULL) {
        struct accel_plan *plan = model->plan;

        /* Scratch memory was sized for the model's thread count: another needs its own. */
        if (plan->threads != s->threads)
            rc = accel_plan_new(model->ir, plan->inputs, &model->kernels, s->threads, &plan, err);
        if (rc == ACCEL_OK)
            rc = accel_unit_adopt(unit, plan, plan == model->plan, err);
    }
    if (rc == ACCEL_OK)
        *out = accel_steal(&s);
    return rc;
}

/* ---------------------------------------------------------------- inputs */

static int check_input(const struct accel_tensor_info *info, const struct accel_tensor *t,
                       struct accel_error *err)
{
    struct accel_shape want = {.has_rank = info->has_rank, .rank = info->rank};
    char text[ACCEL_SHAPE_TEXT], got[ACCEL_SHAPE_TEXT];
    size_t bytes;

    if (t->dtype != info->dtype)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' is %s, the model takes %s", info->name,
                          accel_dtype_name(t->dtype), accel_dtype_name(info->dtype));
    if (t->rank > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' has rank %u, %d is the highest",
                          info->name, t->rank, ACCEL_RANK_MAX);
    const struct accel_shape shape = accel_shape_of(t);
    bool fits = !info->has_rank || t->rank == info->rank;

    /* For a scalar one element of any rank will do, as with ONNX Runtime: it goes in as it is. */
    if (info->has_rank && info->rank == 0)
        fits = accel_dims_product(t->dims, 0, t->rank) == 1;
    memcpy(want.dims, info->dims, sizeof(want.dims));
    for (uint32_t d = 0; fits && info->has_rank && d < info->rank; d++)
        fits = info->dims[d] < 0 || info->dims[d] == t->dims[d];
    if (!fits)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' has shape %s, the model takes %s",
                          info->name, accel_shape_format(&shape, got),
                          accel_shape_format(&want, text));
    if (!accel_shape_bytes(&shape, t->dtype, &bytes))
        return accel_fail(err, ACCEL_E_INVALID, "input '%s': shape %s has no size", info->name,
                          accel_shape_format(&shape, got));
    if (bytes != t->size_bytes)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input '%s' of shape %s needs %zu bytes, %zu are given", info->name,
                          accel_shape_format(&shape, got), bytes, t->size_bytes);
    if (t->data == NULL && bytes > 0)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' has no data", info->name);
    for (size_t i = 0; t->dtype == ACCEL_DTYPE_STRING && i < bytes / sizeof(char *); i++)
        if (((char *const *)t->data)[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input '%s': element %zu is no string",
                              info->name, i);
    return ACCEL_OK;
}

/* An input with a default is none that can be given: the passes have made the most of its value. */
static bool has_default(const struct accel_ir *ir, const char *name)
{
    for (size_t id = 0; id < ir->values_count; id++) {
        const struct accel_value *v = ir->values[id];

        if (v->is_input && v->data != NULL && strcmp(v->name, name) == 0)
            return true;
    }
    return false;
}

static int find_input(struct accel_session *s, const char *name, size_t *i, struct accel_error *err)
{
    const struct accel_model *m = s->model;
    const size_t count = m->ir->main->inputs_count;

    for (*i = 0; *i < count && strcmp(m->inputs[*i].name, name) != 0; ++*i)
        ;
    if (*i == count && has_default(m->ir, name))
        return accel_fail(err, ACCEL_E_INVALID,
                          "input '%s' has its value in the model and cannot be given another",
                          name);
    if (*i == count)
        return accel_fail(err, ACCEL_E_INVALID, "the model has no input '%s'%s%s%s", name,
                          count > 0 ? "; it has '" : "", count > 0 ? m->inputs[0].name : "",
                          count > 1   ? "' and others"
                          : count > 0 ? "'"
                                      : "");
    if (s->units[0]->given[*i] != NULL)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' is given twice", name);
    return ACCEL_OK;
}

static int check_kind(const struct accel_session *s, size_t i, enum accel_value_kind given,
                      struct accel_error *err)
{
    const enum accel_value_kind want = accel_model_input_kind(s->model, i);

    if (given == ACCEL_VALUE_OPTIONAL ? (want & ACCEL_VALUE_OPTIONAL) != 0
                                      : given == (want & ~(unsigned)ACCEL_VALUE_OPTIONAL))
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "input '%s' is %s, the model takes %s",
                      s->model->inputs[i].name,
                      given == ACCEL_VALUE_OPTIONAL ? "absent" : accel_value_kind_text(given),
                      accel_value_kind_text(want));
}

/* The tensor stays where it is until the run ends. */
static int take_tensor(struct accel_session *s, const char *name, const struct accel_tensor *t,
                       struct accel_error *err)
{
    size_t i;
    int rc = find_input(s, name, &i, err);

    if (rc == ACCEL_OK)
        rc = check_kind(s, i, ACCEL_VALUE_TENSOR, err);
    if (rc == ACCEL_OK)
        rc = check_input(&s->model->inputs[i], t, err);
    if (rc != ACCEL_OK)
        return rc;
    s->units[0]->given[i] = t;
    s->units[0]->types[i] = (struct accel_type){.dtype = t->dtype, .shape = accel_shape_of(t)};
    return ACCEL_OK;
}

static int copy_items(struct accel_session *s, const struct accel_tensor_info *info,
                      const struct accel_named_value *v, struct accel_list *list,
                      struct accel_error *err)
{
    for (size_t k = 0; k < v->count; k++) {
        int rc = check_input(info, &v->items[k], err);

        if (rc == ACCEL_OK)
            rc = accel_list_add(s, list, &v->items[k], err);
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "tensor %zu of a sequence", k);
    }
    return ACCEL_OK;
}

/* `part`: "keys" or "values" of map number k. */
static int check_vector(const char *input, const char *part, size_t k, enum accel_dtype dtype,
                        const struct accel_tensor *t, struct accel_error *err)
{
    const struct accel_tensor_info vector = {
        .name = input, .dtype = dtype, .has_rank = true, .rank = 1, .dims = {ACCEL_DIM_ANY}};
    const int rc = check_input(&vector, t, err);

    return rc == ACCEL_OK ? rc : accel_fail_in(err, "%s of map %zu", part, k);
}

/* Tensors come in pairs. */
static int copy_maps(struct accel_session *s, size_t input, const struct accel_named_value *v,
                     struct accel_list *list, struct accel_error *err)
{
    const char *name = s->model->inputs[input].name;

    /* A file does not tell of what type the values of an empty map are. */
    const struct accel_tensor none = {.dtype = list->dtype, .rank = 1};

    for (size_t k = 0; k < v->count / 2; k++) {
        const struct accel_tensor *keys = &v->items[2 * k], *values = &v->items[2 * k + 1];
        int rc = check_vector(name, "keys", k, list->keys, keys, err);

        if (rc == ACCEL_OK && keys->dims[0] == 0 && values->rank == 1 && values->dims[0] == 0)
            values = &none;
        if (rc == ACCEL_OK)
            rc = check_vector(name, "values", k, list->dtype, values, err);
        if (rc == ACCEL_OK && keys->dims[0] != values->dims[0])
            rc = accel_fail(err, ACCEL_E_INVALID,
                            "input '%s': map %zu has %" PRId64 " keys and %" PRId64 " values", name,
                            k, keys->dims[0], values->dims[0]);
        if (rc != ACCEL_OK)
            return rc;
        rc = accel_maps_add(s, list, keys, values, err);
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "input '%s': map %zu", name, k);
    }
    return ACCEL_OK;
}

/* What has been put into the slot so far is its, also on failure. */
static int take_maps(struct accel_session *s, size_t input, const struct accel_named_value *v,
                     struct accel_tensor *slot, struct accel_error *err)
{
    const struct accel_type *type = &s->model->ir->main->inputs[input]->type;
    struct accel_list *list;

    if (v->count % 2 != 0 || (v->kind == ACCEL_VALUE_MAP && v->count != 2))
        return accel_fail(err, ACCEL_E_INVALID,
                          "input '%s': %zu tensors are given, a map is keys and values", v->name,
                          v->count);
    const int rc = accel_maps_new(s, v->kind, type->keys, type->dtype, v->count / 2, &list, err);
    if (rc != ACCEL_OK)
        return rc;
    *slot = accel_slot_of_list(list);
    return copy_maps(s, input, v, list, err);
}

static int take_value(struct accel_session *s, const struct accel_named_value *v,
                      struct accel_error *err)
{
    struct accel_tensor *slot;
    size_t i;

    if (v->kind == ACCEL_VALUE_TENSOR)
        return take_tensor(s, v->name, &v->tensor, err);
    int rc = find_input(s, v->name, &i, err);
    if (rc == ACCEL_OK)
        rc = check_kind(s, i, v->kind, err);
    if (rc != ACCEL_OK)
        return rc;
    slot = &s->given_lists[i];
    *slot = accel_slot_of_none(s->model->inputs[i].dtype);
    if (v->kind == ACCEL_VALUE_SEQUENCE) {
        struct accel_list *list;

        rc = accel_list_new(s, s->model->inputs[i].dtype, v->count, &list, err);
        if (rc != ACCEL_OK)
            return rc;
        *slot = accel_slot_of_list(list);
        rc = copy_items(s, &s->model->inputs[i], v, list, err);
    } else if ((v->kind & ACCEL_VALUE_MAP) != 0) {
        rc = take_maps(s, i, v, slot, err);
    }
    s->units[0]->given[i] = slot;
    s->units[0]->types[i] = accel_type_of_slot(slot);
    return rc;
}

static void turn_texts(struct accel_session *s)
{
    accel_bump_free(&s->old_texts);
    s->old_texts = s->texts;
    s->texts = (struct accel_bump){0};
    s->texts_bytes = 0;
    s->kept = NULL;
}

static void begin_run(struct accel_session *s)
{
    const int64_t run_ms = s->model->ir->limits.run_ms;

    atomic_store(&s->cancelled, false);
    atomic_store(&s->given_up, false);
    s->deadline_ns =
        run_ms > 0 && run_ms < INT64_MAX / 2000000 ? accel_now_ns() + run_ms * 1000000 : 0;
    accel_profile_begin(s);
    drop_lists(s);
    turn_texts(s);
    for (size_t i = 0; i < s->model->ir->main->inputs_count; i++)
        s->units[0]->given[i] = NULL;
}

static int missing(const struct accel_session *s, size_t i, struct accel_error *err)
{
    const struct accel_tensor_info *info = &s->model->inputs[i];
    const enum accel_value_kind kind = accel_model_input_kind(s->model, i);
    struct accel_shape want = {.has_rank = info->has_rank, .rank = info->rank};
    char text[ACCEL_SHAPE_TEXT];

    if (kind != ACCEL_VALUE_TENSOR)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' is missing: %s", info->name,
                          accel_value_kind_text(kind));
    memcpy(want.dims, info->dims, sizeof(want.dims));
    return accel_fail(err, ACCEL_E_INVALID, "input '%s' is missing: %s of shape %s", info->name,
                      accel_dtype_name(info->dtype), accel_shape_format(&want, text));
}

/* Inputs were taken. */
static int run_main(struct accel_session *s, struct accel_error *err)
{
    for (size_t i = 0; i < s->model->ir->main->inputs_count; i++)
        if (s->units[0]->given[i] == NULL)
            return missing(s, i, err);
    return accel_unit_run(s->units[0], err);
}

/* ---------------------------------------------------------------- outputs */

/* The output of that name. What a ZipMap makes maps of can be asked for as well, by the inner
 * tensor's name, which is what stored results of such models are called. NULL: there is none. */
static const struct accel_value *find_output(const struct accel_graph *g, const char *name)
{
    for (size_t i = 0; i < g->outputs_count; i++)
        if (strcmp(g->output_names[i], name) == 0)
            return g->outputs[i];
    for (size_t i = 0; i < g->outputs_count; i++) {
        const struct accel_value *v = g->outputs[i];

        if (v->producer != NULL && (v->producer->op->flags & ACCEL_OP_REWORDS) != 0)
            v = v->producer->inputs[0];
        if (strcmp(v->name, name) == 0)
            return v;
    }
    return NULL;
}

static int find_result(struct accel_session *s, const char *name, const struct accel_value **v,
                       struct accel_error *err)
{
    *v = find_output(s->model->ir->main, name);
    return *v != NULL ? ACCEL_OK
                      : accel_fail(err, ACCEL_E_INVALID, "the model has no output '%s'", name);
}

static int give_tensor(struct accel_session *s, const char *name, const struct accel_value *v,
                       struct accel_tensor *to, struct accel_error *err)
{
    const struct accel_tensor *from = &s->units[0]->now->tensors[v->id];

    if (accel_is_list(from) || accel_is_none(from))
        return accel_fail(err, ACCEL_E_INVALID,
                          "output '%s' is no tensor: accel_session_run_values() hands it back",
                          name);
    if (to->data == NULL)
        return accel_unit_lend(s->units[0], v, to, err);
    if (to->size_bytes < from->size_bytes)
        return accel_fail(err, ACCEL_E_INVALID, "output '%s' needs %zu bytes, the buffer has %zu",
                          name, from->size_bytes, to->size_bytes);
    if (from->size_bytes > 0)
        memcpy(to->data, from->data, from->size_bytes);
    void *data = to->data;
    *to = *from;
    to->data = data;
    return ACCEL_OK;
}

int accel_session_run(struct accel_session *s, const struct accel_named_tensor *inputs,
                      size_t inputs_count, struct accel_named_tensor *outputs, size_t outputs_count,
                      struct accel_error *err)
{
    struct accel_error local = {0};
    int rc = ACCEL_OK;

    if (err == NULL)
        err = &local; /* what goes wrong inside is decided by its code */
    begin_run(s);
    for (size_t i = 0; i < inputs_count && rc == ACCEL_OK; i++)
        rc = take_tensor(s, inputs[i].name, &inputs[i].tensor, err);
    if (rc == ACCEL_OK)
        rc = run_main(s, err);
    for (size_t o = 0; o < outputs_count && rc == ACCEL_OK; o++) {
        const struct accel_value *v;

        rc = find_result(s, outputs[o].name, &v, err);
        if (rc == ACCEL_OK)
            rc = give_tensor(s, outputs[o].name, v, &outputs[o].tensor, err);
    }
    return rc;
}

static int give_value(struct accel_session *s, const struct accel_value *v,
                      struct accel_named_value *to, struct accel_error *err)
{
    const struct accel_tensor *slot = &s->units[0]->now->tensors[v->id];

    to->items = NULL;
    to->count = 0;
    if (accel_is_none(slot)) {
        to->kind = ACCEL_VALUE_OPTIONAL;
        to->tensor = (struct accel_tensor){.dtype = slot->dtype};
        return ACCEL_OK;
    }
    if (!accel_is_list(slot)) {
        if (to->kind != ACCEL_VALUE_TENSOR)
            to->tensor.data = NULL;
        to->kind = ACCEL_VALUE_TENSOR;
        return give_tensor(s, to->name, v, &to->tensor, err);
    }
    const struct accel_list *list = accel_list_of(slot);
    struct accel_tensor *items = accel_bump_alloc(&s->lent, list->count + 1, sizeof(*items));
    if (items == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for output '%s'", to->name);
    for (size_t k = 0; k < list->count; k++)
        items[k] = list->items[k]->tensor;
    to->kind = list->kind;
    to->tensor = (struct accel_tensor){.dtype = list->dtype};
    to->items = items;
    to->count = list->count;
    return ACCEL_OK;
}

int accel_session_run_values(struct accel_session *s, const struct accel_named_value *inputs,
                             size_t inputs_count, struct accel_named_value *outputs,
                             size_t outputs_count, size_t value_size, struct accel_error *err)
{
    struct accel_error local = {0};
    int rc = ACCEL_OK;

    if (err == NULL)
        err = &local;
    if (value_size != sizeof(*inputs)) /* there is one version so far */
        return accel_fail(err, ACCEL_E_INVALID, "a value of %zu bytes, this library knows %zu",
                          value_size, sizeof(*inputs));
    begin_run(s);
    for (size_t i = 0; i < inputs_count && rc == ACCEL_OK; i++)
        rc = take_value(s, &inputs[i], err);
    if (rc == ACCEL_OK)
        rc = run_main(s, err);
    for (size_t o = 0; o < outputs_count && rc == ACCEL_OK; o++) {
        const struct accel_value *v;

        rc = find_result(s, outputs[o].name, &v, err);
        if (rc == ACCEL_OK)
            rc = give_value(s, v, &outputs[o], err);
    }
    return rc;
}

void accel_session_cancel(struct accel_session *s)
{
    atomic_store(&s->cancelled, true);
}

size_t accel_session_profile(const struct accel_session *s, const int64_t **ns_per_op)
{
    *ns_per_op = s->times;
    return s->times_count;
}

size_t accel_session_arena_bytes(const struct accel_session *s)
{
    return s->units[0]->now != NULL ? s->units[0]->now->plan->arena_bytes : 0;
}

size_t accel_session_scratch_bytes(const struct accel_session *s)
{
    return s->scratch_size;
}

unsigned accel_session_threads(const struct accel_session *s)
{
    return s->threads;
}
