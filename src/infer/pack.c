/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the packed form of a model: packed.h. */
#include "base/buf.h"
#include "base/fd.h"
#include "infer/model.h"
#include "infer/packed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct chunk {
    const void *data;
    size_t size;
};

struct writer {
    struct accel_buf graph;
    struct chunk *chunks;
    size_t count, capacity;
    uint64_t data_size;
    /* Of the graph at work. */
    uint32_t *ids; /* old id -> new id + 1; 0: not written (yet) */
    uint32_t next_id;
    const struct accel_ir *ir;
};

static void put_u32(struct writer *w, uint32_t v)
{
    accel_buf_append(&w->graph, &v, sizeof(v));
}

static void put_u64(struct writer *w, uint64_t v)
{
    accel_buf_append(&w->graph, &v, sizeof(v));
}

static void put_bytes(struct writer *w, const void *bytes, size_t size)
{
    put_u32(w, (uint32_t)size);
    accel_buf_append(&w->graph, bytes, size);
}

static void put_text(struct writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

/* Bytes for the data part: their offset in it. */
static void put_data(struct writer *w, const void *data, size_t size)
{
    struct accel_error ignored;

    put_u64(w, w->data_size);
    if (accel_grow(&w->chunks, &w->capacity, w->count + 1, sizeof(*w->chunks), &ignored) !=
        ACCEL_OK) {
        w->graph.failed = true; /* asked once, at the end */
        return;
    }
    w->chunks[w->count++] = (struct chunk){.data = data, .size = size};
    w->data_size += ACCEL_ROUND_UP(size, 64);
}

static void put_shape(struct writer *w, const struct accel_shape *s)
{
    put_u32(w, s->has_rank ? s->rank : UINT32_MAX);
    for (uint32_t i = 0; s->has_rank && i < s->rank; i++)
        put_u64(w, (uint64_t)s->dims[i]);
}

static void put_type(struct writer *w, const struct accel_type *t)
{
    put_u32(w, t->kind | (uint32_t)t->keys << 8);
    put_u32(w, t->dtype);
    put_shape(w, &t->shape);
}

static void put_tensor(struct writer *w, const struct accel_tensor *t)
{
    const struct accel_shape shape = accel_shape_of(t);

    put_u32(w, t->dtype);
    put_shape(w, &shape);
    if (t->dtype == ACCEL_DTYPE_STRING) {
        for (size_t i = 0; i < t->size_bytes / sizeof(char *); i++)
            put_text(w, ((char *const *)t->data)[i]);
    } else if (t->data == NULL && t->size_bytes > 0) {
        put_u64(w, PACKED_NO_DATA);
    } else {
        put_data(w, t->data, t->size_bytes);
    }
}

static void put_graph(struct writer *w, const struct accel_graph *g);

static void put_attr(struct writer *w, const struct accel_attr *a)
{
    put_text(w, a->name);
    put_u32(w, a->type);
    put_u32(w, (uint32_t)a->count);
    for (size_t i = 0; i < a->count; i++) {
        switch (a->type) {
        case ACCEL_ATTR_FLOAT:
        case ACCEL_ATTR_FLOATS:
            accel_buf_append(&w->graph, &a->floats[i], sizeof(float));
            break;
        case ACCEL_ATTR_INT:
        case ACCEL_ATTR_INTS:
            put_u64(w, (uint64_t)a->ints[i]);
            break;
        case ACCEL_ATTR_STRING:
        case ACCEL_ATTR_STRINGS:
            put_bytes(w, a->strings[i].data, a->strings[i].size);
            break;
        case ACCEL_ATTR_TENSOR:
        case ACCEL_ATTR_TENSORS:
            put_tensor(w, &a->tensors[i]);
            break;
        case ACCEL_ATTR_GRAPH:
        case ACCEL_ATTR_GRAPHS:
            put_graph(w, a->graphs[i]);
            break;
        case ACCEL_ATTR_TYPE:
        case ACCEL_ATTR_TYPES:
            put_type(w, &a->types[i]);
            break;
        default:
            break;
        }
    }
}

static void put_ref(struct writer *w, const struct accel_value *v)
{
    put_u32(w, v != NULL ? w->ids[v->id] : 0);
}

static void put_node(struct writer *w, const struct accel_node *n)
{
    put_text(w, n->name);
    put_text(w, n->op_type);
    put_text(w, n->domain);
    put_text(w, n->fused);
    put_u64(w, (uint64_t)n->opset);
    put_u32(w, (uint32_t)n->captures_count);
    put_u32(w, (uint32_t)n->inputs_count);
    for (size_t i = 0; i < n->inputs_count; i++)
        put_ref(w, n->inputs[i]);
    put_u32(w, (uint32_t)n->outputs_count);
    for (size_t i = 0; i < n->outputs_count; i++)
        put_ref(w, n->outputs[i]);
    put_u32(w, n->epilogue.act.op);
    accel_buf_append(&w->graph, &n->epilogue.act.alpha, sizeof(float));
    accel_buf_append(&w->graph, &n->epilogue.act.beta, sizeof(float));
    put_u32(w, (uint32_t)(n->epilogue.add + 1));
    for (unsigned b = 0; b < ACCEL_BLOBS; b++) {
        const bool there = n->blobs != NULL && n->blobs->data[b] != NULL;

        put_u64(w, there ? n->blobs->bytes[b] : PACKED_NO_DATA);
        if (there)
            put_data(w, n->blobs->data[b], n->blobs->bytes[b]);
    }
    put_u32(w, (uint32_t)n->attrs_count);
    for (size_t i = 0; i < n->attrs_count; i++)
        put_attr(w, &n->attrs[i]);
}

/* Fusing and folding leave values behind that nothing has to do with any more. */
static bool is_alive(const struct accel_value *v)
{
    const struct accel_node *n = v->producer;

    return v->uses > 0 || (v->is_input && v->data == NULL) ||
           (n != NULL && !n->dead && v->output < n->outputs_count && n->outputs[v->output] == v);
}

/* Values first, so that nodes, and subgraphs in their attributes, can name them. */
static void put_body(struct writer *w, const struct accel_graph *g)
{
    const struct accel_ir *ir = w->ir;
    uint32_t count = 0;

    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            put_text(w, g->name);
            put_u32(w, count);
        }
        for (size_t id = 0; id < ir->values_count; id++) {
            const struct accel_value *v = ir->values[id];

            if (v->graph != g || !is_alive(v))
                continue;
            count++;
            if (pass == 0)
                continue;
            w->ids[id] = ++w->next_id;
            put_text(w, v->name);
            put_u32(w, (v->is_input && v->data == NULL ? 1u : 0u) | (v->data != NULL ? 2u : 0u) |
                           (v->dim_names != NULL ? 4u : 0u));
            put_u32(w, v->declared);
            put_u32(w, v->declared_kind);
            if (v->data != NULL)
                put_tensor(w, v->data);
            else
                put_type(w, &v->type);
            for (uint32_t d = 0; v->dim_names != NULL && d < ACCEL_RANK_MAX; d++)
                put_text(w, v->dim_names[d] != NULL ? v->dim_names[d] : "");
        }
    }
    put_u32(w, (uint32_t)g->inputs_count);
    for (size_t i = 0; i < g->inputs_count; i++) {
        put_ref(w, g->inputs[i]);
        put_text(w, g->input_names[i]);
    }
    put_u32(w, (uint32_t)g->captures_count);
    for (size_t i = 0; i < g->captures_count; i++)
        put_u32(w, g->capture[i]);
    put_u32(w, (uint32_t)g->nodes_count);
    for (size_t i = 0; i < g->nodes_count; i++)
        put_node(w, g->nodes[i]);
    put_u32(w, (uint32_t)g->outputs_count);
    for (size_t i = 0; i < g->outputs_count; i++) {
        put_ref(w, g->outputs[i]);
        put_text(w, g->output_names[i]);
    }
}

/* Each graph has values of its own, counted from 1. */
static void put_graph(struct writer *w, const struct accel_graph *g)
{
    uint32_t *const ids = w->ids;
    const uint32_t next_id = w->next_id;
    const struct accel_ir *const ir = w->ir;

    w->ir = g->ir;
    w->next_id = 0;
    w->ids = accel_calloc(g->ir->values_count, sizeof(*w->ids));
    if (w->ids == NULL)
        w->graph.failed = true; /* asked once, at the end */
    else
        put_body(w, g);
    accel_free(w->ids);
    w->ids = ids;
    w->next_id = next_id;
    w->ir = ir;
}

static void writer_free(struct writer *w)
{
    accel_buf_free(&w->graph);
    accel_free(w->chunks);
}

int accel_model_pack(const struct accel_model *m, int fd, struct accel_error *err)
{
    static const uint8_t zero[PACKED_PAGE];
    const struct accel_ir *ir = m->ir;
    ACCEL_CLEANUP(writer_free) struct writer w = {0};

    if (!m->analysis->runnable)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a model that cannot be run is not packed");
    put_u64(&w, (uint64_t)ir->ir_version);
    put_text(&w, ir->producer);
    put_u64(&w, ir->nodes_in_file);
    put_u64(&w, ir->parameters);
    put_u32(&w, (uint32_t)ir->opsets_count);
    for (size_t i = 0; i < ir->opsets_count; i++) {
        put_text(&w, ir->opsets[i].domain);
        put_u64(&w, (uint64_t)ir->opsets[i].version);
    }
    put_graph(&w, ir->main);
    if (accel_buf_failed(&w.graph))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to pack the model");
    struct packed_header h = {.version = PACKED_VERSION,
                              .cpu = m->kernels.cpu,
                              .graph_size = w.graph.size,
                              .data_size = w.data_size};
    memcpy(h.magic, PACKED_MAGIC, sizeof(h.magic));
    const size_t head = sizeof(h) + w.graph.size;
    h.data_offset = ACCEL_ROUND_UP(head, PACKED_PAGE);
    if (lseek(fd, 0, SEEK_SET) != 0 || ftruncate(fd, 0) != 0)
        return accel_fail_errno(err, errno, "write the packed model");
    int rc = accel_write_all(fd, &h, sizeof(h), "packed model", err);
    if (rc == ACCEL_OK)
        rc = accel_write_all(fd, w.graph.data, w.graph.size, "packed model", err);
    if (rc == ACCEL_OK)
        rc = accel_write_all(fd, zero, h.data_offset - head, "packed model", err);
    for (size_t i = 0; i < w.count && rc == ACCEL_OK; i++) {
        const size_t size = w.chunks[i].size;

        if (size > 0)
            rc = accel_write_all(fd, w.chunks[i].data, size, "packed model", err);
        if (rc == ACCEL_OK && ACCEL_ROUND_UP(size, 64) > size)
            rc = accel_write_all(fd, zero, ACCEL_ROUND_UP(size, 64) - size, "packed model", err);
    }
    return rc;
}
