/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/model.h"

#include "base/fd.h"
#include "infer/onnx/onnx.h"
#include "infer/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

void accel_load_options_init(struct accel_load_options *options)
{
    *options =
        (struct accel_load_options){.struct_size = sizeof(*options), .cpu_mask = ACCEL_CPU_ALL};
}

struct accel_load_options accel_options_of(const struct accel_load_options *options)
{
    struct accel_load_options o;

    accel_load_options_init(&o);
    if (options != NULL)
        memcpy(&o, options, ACCEL_MIN(options->struct_size, sizeof(o)));
    return o;
}

static void model_free(struct accel_model *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->blobs_count; i++)
        if (m->mapped == NULL)
            accel_blobs_free(m->blobs[i]);
    accel_free(m->blobs);
    accel_plan_free(m->plan);
    accel_free(m->analysis);
    accel_ir_free(m->ir);
    if (m->mapped != NULL)
        munmap(m->mapped, m->mapped_bytes);
    accel_free(m);
}

struct accel_model *accel_model_ref(struct accel_model *model)
{
    atomic_fetch_add(&model->references, 1);
    return model;
}

void accel_model_unref(struct accel_model *model)
{
    if (model != NULL && atomic_fetch_sub(&model->references, 1) == 1)
        model_free(model);
}

static void model_unrefp(struct accel_model **model)
{
    accel_model_unref(*model);
}

/* ---------------------------------------------------------------- dimensions */

/* The name of the first dimension that a caller may fix by one; NULL: there is none. */
static const char *a_free_dim(const struct accel_ir *ir)
{
    for (size_t i = 0; i < ir->main->inputs_count; i++) {
        const struct accel_value *v = ir->main->inputs[i];

        for (uint32_t k = 0; v->dim_names != NULL && k < v->type.shape.rank; k++)
            if (v->dim_names[k] != NULL)
                return v->dim_names[k];
    }
    return NULL;
}

static int no_such_dim(const struct accel_ir *ir, const char *name, struct accel_error *err)
{
    const char *other = a_free_dim(ir);

    return accel_fail(err, ACCEL_E_INVALID, "dimension '%s': no input has it%s%s%s", name,
                      other != NULL ? "; one that there is is '" : "", other != NULL ? other : "",
                      other != NULL ? "'" : "");
}

/* "N" or "input:axis" = value: into the declared shapes of the inputs. */
static int bind_dims(struct accel_ir *ir, const struct accel_load_options *o,
                     struct accel_error *err)
{
    for (size_t d = 0; d < o->dims_count; d++) {
        const char *name = o->dims[d].name, *colon = strrchr(name, ':');
        bool used = false;

        if (o->dims[d].value < 0)
            return accel_fail(err, ACCEL_E_INVALID, "dimension '%s' cannot be %" PRId64, name,
                              o->dims[d].value);
        for (size_t i = 0; i < ir->main->inputs_count; i++) {
            struct accel_value *v = ir->main->inputs[i];

            for (uint32_t k = 0; k < v->type.shape.rank; k++) {
                char axis[16];
                const bool symbol = v->dim_names != NULL && v->dim_names[k] != NULL &&
                                    strcmp(v->dim_names[k], name) == 0;

                snprintf(axis, sizeof(axis), "%u", k);
                if (!symbol && (colon == NULL || strcmp(colon + 1, axis) != 0 ||
                                strncmp(name, v->name, (size_t)(colon - name)) != 0 ||
                                v->name[colon - name] != '\0'))
                    continue;
                used = true;
                if (v->type.shape.dims[k] >= 0 && v->type.shape.dims[k] != o->dims[d].value)
                    return accel_fail(err, ACCEL_E_INVALID,
                                      "dimension '%s': input '%s' fixes it to %" PRId64, name,
                                      v->name, v->type.shape.dims[k]);
                v->type.shape.dims[k] = o->dims[d].value;
            }
        }
        if (!used)
            return no_such_dim(ir, name, err);
    }
    return ACCEL_OK;
}

static int fill_infos(struct accel_model *m, struct accel_error *err)
{
    const struct accel_graph *g = m->ir->main;

    m->inputs = accel_bump_alloc(&m->ir->mem, g->inputs_count + 1, sizeof(*m->inputs));
    m->outputs = accel_bump_alloc(&m->ir->mem, g->outputs_count + 1, sizeof(*m->outputs));
    if (m->inputs == NULL || m->outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a model");
    for (size_t i = 0; i < g->inputs_count + g->outputs_count; i++) {
        const bool in = i < g->inputs_count;
        const size_t k = in ? i : i - g->inputs_count;
        const struct accel_value *v = in ? g->inputs[k] : g->outputs[k];
        struct accel_tensor_info *info = in ? &m->inputs[k] : &m->outputs[k];

        info->name = in ? g->input_names[k] : g->output_names[k];
        info->dtype = v->type.dtype != ACCEL_DTYPE_UNDEFINED ? v->type.dtype : v->declared;
        info->has_rank = v->type.shape.has_rank;
        info->rank = v->type.shape.rank;
        for (uint32_t d = 0; d < info->rank; d++) {
            info->dims[d] = v->type.shape.dims[d];
            info->dim_names[d] = v->dim_names != NULL && info->dims[d] < 0 ? v->dim_names[d] : NULL;
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- packing */

static int pack_node(struct accel_model *m, struct accel_node *n, bool filled, size_t *left,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep)
    const struct accel_type **in = accel_calloc(n->inputs_count, sizeof(struct accel_type *));

    if (in == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to pack weights");
    for (size_t i = 0; i < n->inputs_count; i++) {
        if (n->inputs[i] == NULL || n->inputs[i]->data == NULL)
            continue;
        /* Packing reads by the element: a slice of the file is copied to where it is aligned. */
        if (!filled && n->inputs[i]->data->data != NULL &&
            accel_value_constant(m->ir, n->inputs[i], err) == NULL)
            return err != NULL && err->code == ACCEL_E_LIMIT ? ACCEL_E_LIMIT : ACCEL_E_NOMEM;
        n->inputs[i]->type.data = n->inputs[i]->data;
        in[i] = &n->inputs[i]->type;
    }
    if (n->blobs == NULL) {
        if (accel_grow(&m->blobs, &m->blobs_capacity, m->blobs_count + 1, sizeof(*m->blobs), err) !=
            ACCEL_OK)
            return ACCEL_E_NOMEM;
        n->blobs = accel_bump_alloc(&m->ir->mem, 1, sizeof(*n->blobs));
        if (n->blobs == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory to pack weights");
        m->blobs[m->blobs_count++] = n->blobs;
    }
    struct accel_prepack_frame frame = {
        .ir = m->ir, .in = in, .blobs = n->blobs, .fill = !filled, .max_bytes = *left};
    const int rc = accel_node_prepack(n, &frame, &m->kernels, err);
    *left = frame.max_bytes;
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", n->name, n->op_type);
    for (unsigned i = 0; i < ACCEL_BLOBS; i++)
        m->packed_bytes += n->blobs->bytes[i];
    return ACCEL_OK;
}

static int pack_graph(struct accel_model *m, struct accel_graph *g, bool filled, uint32_t *plain,
                      size_t *left, struct accel_error *err)
{
    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        int rc = ACCEL_OK;

        if (n->op != NULL && n->unsupported == NULL && (n->op->prepack != NULL || n->blobs != NULL))
            rc = pack_node(m, n, filled, left, err);
        if (rc != ACCEL_OK)
            return rc;
        const unsigned consumed = n->blobs != NULL ? n->blobs->consumed : 0;
        for (size_t k = 0; k < n->inputs_count; k++) {
            struct accel_value *v = n->inputs[k];

            if (v == NULL || v->data == NULL)
                continue;
            plain[v->id] -= k < 32 && (consumed & 1u << k) != 0;
            /* The last node that wanted the plain bytes has packed them. Freed at once, so that
             * packing costs one tensor more than the result, not twice. */
            if (plain[v->id] == 0 && !filled && v->data->data != NULL)
                accel_value_drop_bytes(m->ir, v);
        }
    }
    return ACCEL_OK;
}

/* Constants that are still read as they are: out of the caller's bytes, into memory of the ir. */
static int keep_constants(struct accel_model *m, struct accel_ir *ir, const uint32_t *plain,
                          struct accel_error *err)
{
    for (size_t id = 0; id < ir->values_count; id++) {
        struct accel_value *v = ir->values[id];

        if (v->data == NULL || v->data->data == NULL || v->data->dtype == ACCEL_DTYPE_STRING)
            continue;
        if (plain[id] == 0) {
            accel_value_drop_bytes(ir, v);
            continue;
        }
        if (accel_value_keep(ir, v, err) != ACCEL_OK)
            return accel_fail_in(err, "constant '%s'", v->name);
        m->packed_bytes += v->data->size_bytes;
    }
    return ACCEL_OK;
}

/* A pack's constants: none that is still read may be without its bytes. */
static int check_constants(struct accel_model *m, const struct accel_ir *ir, const uint32_t *plain,
                           struct accel_error *err)
{
    for (size_t id = 0; id < ir->values_count; id++) {
        const struct accel_value *v = ir->values[id];

        if (v->data == NULL)
            continue;
        if (v->data->data == NULL && v->data->size_bytes > 0 && plain[id] > 0)
            return accel_fail(err, ACCEL_E_CORRUPT,
                              "the packed model is damaged: constant '%s' has no data", v->name);
        if (v->data->data != NULL)
            m->packed_bytes += v->data->size_bytes;
    }
    return ACCEL_OK;
}

static int pack_ir(struct accel_model *m, struct accel_ir *ir, bool filled, size_t *left,
                   struct accel_error *err)
{
    /* How many readers want a constant's plain bytes. */
    ACCEL_CLEANUP(accel_freep) uint32_t *plain = accel_calloc(ir->values_count, sizeof(*plain));

    if (plain == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to pack weights");
    for (size_t id = 0; id < ir->values_count; id++)
        plain[id] = ir->values[id]->uses;
    const int rc = pack_graph(m, ir->main, filled, plain, left, err);
    if (rc != ACCEL_OK)
        return rc;
    return filled ? check_constants(m, ir, plain, err) : keep_constants(m, ir, plain, err);
}

/* Subgraphs first: their constants may be slices of bytes that the graph around them frees. */
static int pack_all(struct accel_model *m, struct accel_ir *ir, bool filled, size_t *left,
                    struct accel_error *err)
{
    for (size_t i = 0; i < ir->main->nodes_count; i++) {
        struct accel_subgraphs it = {.node = ir->main->nodes[i]};

        for (struct accel_graph *sub; (sub = accel_subgraph_next(&it)) != NULL;) {
            const int rc = pack_all(m, sub->ir, filled, left, err);

            if (rc != ACCEL_OK)
                return rc;
        }
    }
    return pack_ir(m, ir, filled, left, err);
}

/* ---------------------------------------------------------------- building */

/* What cannot be run, as far as one message holds it. */
struct refusals {
    char text[ACCEL_ERROR_MSG_MAX];
    size_t at, count;
};

static void list_unsupported(const struct accel_graph *g, struct refusals *r)
{
    for (size_t i = 0; i < g->nodes_count; i++) {
        const struct accel_node *n = g->nodes[i];
        struct accel_subgraphs it = {.node = n};

        for (struct accel_graph *sub; (sub = accel_subgraph_next(&it)) != NULL;)
            list_unsupported(sub, r);
        if (n->unsupported == NULL)
            continue;
        if (r->at < sizeof(r->text) - 1)
            r->at +=
                (size_t)snprintf(r->text + r->at, sizeof(r->text) - r->at,
                                 "%snode '%s': %s%s%s-%" PRId64 ": %s", r->count > 0 ? "; " : "",
                                 n->name, n->domain, n->domain[0] != '\0' ? ":" : "", n->op_type,
                                 n->opset, n->unsupported);
        r->count++;
    }
}

/* All at once, subgraphs included: the analysis has the whole list. */
static int report_unsupported(const struct accel_graph *g, struct accel_error *err)
{
    struct refusals r = {.count = 0};

    list_unsupported(g, &r);
    if (r.count == 0)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "%zu node%s cannot be run: %s", r.count,
                      r.count > 1 ? "s" : "", r.text);
}

/* For an analysis, which lists the nodes of the main graph: a node with one in its subgraphs that
 * cannot be run cannot be run. */
static int refuse_around(struct accel_graph *g, struct accel_error *err)
{
    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        struct accel_subgraphs it = {.node = n};
        struct accel_error why;

        for (struct accel_graph *sub; (sub = accel_subgraph_next(&it)) != NULL;) {
            if (n->unsupported != NULL || report_unsupported(sub, &why) == ACCEL_OK)
                continue;
            n->unsupported = accel_bump_printf(&g->ir->mem, "in its subgraph %s", why.msg);
            if (n->unsupported == NULL)
                return accel_fail(err, ACCEL_E_NOMEM, "no memory for a reason");
        }
    }
    return ACCEL_OK;
}

static int default_plan(struct accel_model *m, struct accel_error *err)
{
    const struct accel_graph *g = m->ir->main;
    ACCEL_CLEANUP(accel_freep)
    struct accel_type *types = accel_calloc(g->inputs_count, sizeof(*types));

    if (types == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a plan");
    for (size_t i = 0; i < g->inputs_count; i++) {
        types[i] = g->inputs[i]->type;
        if (!types[i].shape.has_rank || types[i].kind != ACCEL_VALUE_TENSOR)
            return ACCEL_OK; /* nothing to plan for: each run makes its own */
        for (uint32_t d = 0; d < types[i].shape.rank; d++)
            if (types[i].shape.dims[d] < 0)
                types[i].shape.dims[d] = 1;
    }
    struct accel_error why = {0};
    const int rc = accel_plan_new(m->ir, types, &m->kernels, accel_usable_cpus(), &m->plan, &why);
    /* A free dimension of 1 may not suit the model, nor the core (a window much larger than the
     * axis); with all declared the model is at fault. */
    bool free_dims = false;
    for (size_t i = 0; i < g->inputs_count; i++)
        free_dims = free_dims || !accel_shape_static(&g->inputs[i]->type.shape);
    if (rc == ACCEL_OK || ((rc == ACCEL_E_INVALID || rc == ACCEL_E_UNSUPPORTED) && free_dims))
        return ACCEL_OK;
    return accel_fail(err, (enum accel_code)rc, "%s", why.msg);
}

int accel_model_finish(struct accel_model *m, bool filled, struct accel_error *err)
{
    size_t left = m->ir->limits.model_bytes * 2;
    int rc = pack_all(m, m->ir, filled, &left, err);

    m->ir->loading = false;
    if (rc == ACCEL_OK)
        rc = fill_infos(m, err);
    if (rc == ACCEL_OK && report_unsupported(m->ir->main, NULL) == ACCEL_OK)
        rc = default_plan(m, err);
    if (rc == ACCEL_OK)
        rc = accel_analysis_make(m, err);
    return rc;
}

static int check_inputs(const struct accel_ir *ir, bool values, struct accel_error *err)
{
    for (size_t i = 0; i < ir->main->inputs_count; i++) {
        const struct accel_value *v = ir->main->inputs[i];
        const bool taken = v->type.kind == ACCEL_VALUE_TENSOR ||
                           (values && (v->type.kind & ACCEL_VALUE_OTHER) == 0);

        if (!taken)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input '%s' is no tensor but %s", v->name,
                              accel_value_kind_text(v->type.kind));
        if (accel_dtype_size(v->type.dtype) == 0 && v->type.dtype != ACCEL_DTYPE_STRING)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input '%s' is of no type", v->name);
    }
    return ACCEL_OK;
}

static int check_results(const struct accel_ir *ir, bool values, struct accel_error *err)
{
    for (size_t i = 0; i < ir->main->outputs_count; i++)
        if (ir->main->outputs[i]->type.kind != ACCEL_VALUE_TENSOR && !values)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "output '%s' is no tensor but %s",
                              ir->main->output_names[i],
                              accel_value_kind_text(ir->main->outputs[i]->type.kind));
    return ACCEL_OK;
}

/* Who takes tensors only is given the rows of scores that a ZipMap would make maps of. */
static int unzip_results(struct accel_ir *ir, struct accel_error *err)
{
    struct accel_graph *g = ir->main;
    bool changed = false;

    for (size_t i = 0; i < g->outputs_count; i++) {
        const struct accel_node *n = g->outputs[i]->producer;

        if (n == NULL || n->op == NULL || (n->op->flags & ACCEL_OP_REWORDS) == 0 ||
            n->unsupported != NULL)
            continue;
        g->outputs[i] = n->inputs[0];
        changed = true;
    }
    const int rc = changed ? accel_ir_link(ir, err) : ACCEL_OK;
    return changed && rc == ACCEL_OK ? accel_ir_infer(ir, err) : rc;
}

int accel_model_build(struct accel_ir *ir, const struct accel_load_options *o, bool any,
                      struct accel_model **out, struct accel_error *err)
{
    ACCEL_CLEANUP(model_unrefp) struct accel_model *m = accel_calloc(1, sizeof(*m));

    if (m == NULL) {
        accel_ir_free(ir);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a model");
    }
    m->references = 1;
    m->ir = ir;
    m->every_node = any && o->every_node;
    accel_kernels_init(&m->kernels, o->cpu_mask);
    *ir->kernels = m->kernels;
    int rc = check_inputs(ir, o->values, err);
    if (rc == ACCEL_OK)
        rc = bind_dims(ir, o, err);
    if (rc == ACCEL_OK)
        rc = accel_ir_infer(ir, err);
    if (rc == ACCEL_OK && !o->values)
        rc = unzip_results(ir, err);
    if (rc == ACCEL_OK)
        rc = accel_passes_run(ir, o->passes_off, err);
    if (rc == ACCEL_OK)
        rc = any ? refuse_around(ir->main, err) : report_unsupported(ir->main, err);
    if (rc == ACCEL_OK)
        rc = check_results(ir, o->values, err);
    if (rc == ACCEL_OK)
        rc = accel_model_finish(m, false, err);
    if (rc == ACCEL_OK)
        *out = accel_steal(&m);
    return rc;
}

static int load(const void *bytes, size_t size, accel_external_fn *external, void *context,
                const struct accel_load_options *options, bool any, struct accel_model **out,
                struct accel_error *err)
{
    const struct accel_load_options o = accel_options_of(options);
    struct accel_ir *ir;

    if (size >= strlen(PACKED_MAGIC) && memcmp(bytes, PACKED_MAGIC, strlen(PACKED_MAGIC)) == 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "not an ONNX model but a packed one (accel-run takes it with --packed)");
    const int rc = accel_onnx_read(bytes, size, external, context, &o.limits, &ir, err);

    return rc == ACCEL_OK ? accel_model_build(ir, &o, any, out, err) : rc;
}

int accel_model_load_memory(const void *bytes, size_t size, accel_external_fn *external,
                            void *context, const struct accel_load_options *options,
                            struct accel_model **model, struct accel_error *err)
{
    return load(bytes, size, external, context, options, false, model, err);
}

int accel_model_load_bundle(const void *bytes, size_t size,
                            const struct accel_load_options *options, struct accel_model **model,
                            struct accel_error *err)
{
    struct accel_bundle bundle;
    const int rc = accel_bundle_open(bytes, size, &bundle, err);

    return rc != ACCEL_OK ? rc
                          : load(bundle.model.data, bundle.model.size, accel_bundle_external,
                                 &bundle, options, false, model, err);
}

static int load_file(const char *path, const struct accel_load_options *options, bool any,
                     struct accel_model **model, struct accel_error *err)
{
    const struct accel_load_options o = accel_options_of(options);
    const size_t most = o.limits.model_bytes > 0 ? o.limits.model_bytes : (size_t)2 << 30;
    ACCEL_CLEANUP(accel_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ACCEL_CLEANUP(accel_folder_freep) struct accel_folder *folder = NULL;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return accel_fail_errno(err, errno, "open %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s is %s", path,
                          S_ISREG(st.st_mode) ? "empty" : "not a file");
    if ((uint64_t)st.st_size > most)
        return accel_fail(err, ACCEL_E_LIMIT, "%s has %lld bytes, over the limit of %zu", path,
                          (long long)st.st_size, most);
    int rc = accel_folder_new(path, most - (size_t)st.st_size, &folder, err);
    if (rc != ACCEL_OK)
        return rc;
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return accel_fail_errno(err, errno, "map %s", path);
    rc = load(bytes, (size_t)st.st_size, accel_folder_external, folder, options, any, model, err);
    munmap(bytes, (size_t)st.st_size);
    return rc == ACCEL_OK ? rc : accel_fail_in(err, "%s", path);
}

int accel_model_load_file(const char *path, const struct accel_load_options *options,
                          struct accel_model **model, struct accel_error *err)
{
    return load_file(path, options, false, model, err);
}

/* ---------------------------------------------------------------- analysis of anything */

/* The analysis keeps its model: accel_analysis_free finds it. */
static int analysis_of(struct accel_model *m, struct accel_analysis **analysis)
{
    *analysis = m->analysis;
    return ACCEL_OK;
}

int accel_analyse_memory(const void *bytes, size_t size, accel_external_fn *external, void *context,
                         const struct accel_load_options *options, struct accel_analysis **analysis,
                         struct accel_error *err)
{
    struct accel_model *m;
    const int rc = load(bytes, size, external, context, options, true, &m, err);

    return rc == ACCEL_OK ? analysis_of(m, analysis) : rc;
}

int accel_analyse_bundle(const void *bytes, size_t size, const struct accel_load_options *options,
                         struct accel_analysis **analysis, struct accel_error *err)
{
    struct accel_bundle bundle;
    const int rc = accel_bundle_open(bytes, size, &bundle, err);

    return rc != ACCEL_OK
               ? rc
               : accel_analyse_memory(bundle.model.data, bundle.model.size, accel_bundle_external,
                                      &bundle, options, analysis, err);
}

int accel_analyse_file(const char *path, const struct accel_load_options *options,
                       struct accel_analysis **analysis, struct accel_error *err)
{
    struct accel_model *m;
    const int rc = load_file(path, options, true, &m, err);

    return rc == ACCEL_OK ? analysis_of(m, analysis) : rc;
}

/* ---------------------------------------------------------------- looking at one */

size_t accel_model_input_count(const struct accel_model *model)
{
    return model->ir->main->inputs_count;
}

size_t accel_model_output_count(const struct accel_model *model)
{
    return model->ir->main->outputs_count;
}

const struct accel_tensor_info *accel_model_input(const struct accel_model *model, size_t i)
{
    return i < model->ir->main->inputs_count ? &model->inputs[i] : NULL;
}

const struct accel_tensor_info *accel_model_output(const struct accel_model *model, size_t i)
{
    return i < model->ir->main->outputs_count ? &model->outputs[i] : NULL;
}

enum accel_value_kind accel_model_input_kind(const struct accel_model *model, size_t i)
{
    return i < model->ir->main->inputs_count ? model->ir->main->inputs[i]->type.kind
                                             : ACCEL_VALUE_OTHER;
}

enum accel_value_kind accel_model_output_kind(const struct accel_model *model, size_t i)
{
    if (i >= model->ir->main->outputs_count)
        return ACCEL_VALUE_OTHER;
    const struct accel_value *v = model->ir->main->outputs[i];
    /* What a loop carries may seem to be optional, for all that inference knows. */
    const bool say =
        (v->type.kind & ACCEL_VALUE_OPTIONAL) != 0 && v->declared != ACCEL_DTYPE_UNDEFINED;
    return say ? v->declared_kind : v->type.kind;
}

enum accel_dtype accel_model_input_keys(const struct accel_model *model, size_t i)
{
    return i < model->ir->main->inputs_count ? model->ir->main->inputs[i]->type.keys
                                             : ACCEL_DTYPE_UNDEFINED;
}

enum accel_dtype accel_model_output_keys(const struct accel_model *model, size_t i)
{
    return i < model->ir->main->outputs_count ? model->ir->main->outputs[i]->type.keys
                                              : ACCEL_DTYPE_UNDEFINED;
}

size_t accel_model_packed_bytes(const struct accel_model *model)
{
    return model->packed_bytes;
}

const struct accel_analysis *accel_model_analysis(const struct accel_model *model)
{
    return model->analysis;
}

const char *accel_infer_version(void)
{
    return ACCELD_VERSION;
}
