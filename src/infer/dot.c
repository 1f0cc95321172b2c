/* SPDX-License-Identifier: Apache-2.0 */
/* A model's graph in the language of Graphviz, for people to look at.
 *
 * Two walks: nodes and clusters first, then every edge on the outermost level, because an edge that
 * is written inside a cluster pulls the nodes it names into that cluster. */
#include "infer/model.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Constants told of in one node; the rest is counted. */
#define CONSTANTS_MAX 8

struct drawing {
    FILE *out;
    const struct accel_type *planned; /* by value id; NULL: no plan, the values' own are drawn */
    size_t clusters, anonymous;
    size_t outputs; /* drawn so far in this walk: both walks come to them in the same order */
};

/* Bytes of the well-formed UTF-8 character at `s`, 0: none. */
static size_t utf8_length(const unsigned char *s)
{
    const size_t n = s[0] < 0x80                   ? 1
                     : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                     : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                     : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                   : 0;

    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) /* the terminator is none either */
            return 0;
    return n;
}

/* Names are a stranger's: nothing in them may end the string or be taken for an escape. */
static void put_text(const struct drawing *d, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s != '\0') {
        const size_t n = utf8_length(s);

        if (n == 0 || *s < 0x20 || *s == 0x7f) {
            fputc('?', d->out);
        } else {
            if (*s == '"' || *s == '\\')
                fputc('\\', d->out);
            fwrite(s, 1, n, d->out);
        }
        s += n > 0 ? n : 1;
    }
}

static const struct accel_type *type_of(const struct drawing *d, const struct accel_value *v)
{
    const struct accel_type *planned = d->planned != NULL ? &d->planned[v->id] : NULL;

    return planned != NULL && planned->dtype != ACCEL_DTYPE_UNDEFINED ? planned : &v->type;
}

/* "float 1x3x224x224" */
static void put_type(const struct drawing *d, const struct accel_value *v)
{
    const struct accel_type *t = type_of(d, v);
    char text[ACCEL_SHAPE_TEXT];

    if ((t->kind & ACCEL_VALUE_SEQUENCE) != 0)
        fputs("sequence of ", d->out);
    if ((t->kind & ACCEL_VALUE_MAP) != 0) {
        fprintf(d->out, "map from %s to %s", accel_dtype_name(t->keys), accel_dtype_name(t->dtype));
        return;
    }
    if (t->kind == ACCEL_VALUE_OPTIONAL)
        fputs("optional ", d->out);
    fprintf(d->out, "%s %s",
            t->dtype != ACCEL_DTYPE_UNDEFINED ? accel_dtype_name(t->dtype) : "unknown",
            t->shape.has_rank ? accel_shape_format(&t->shape, text) : "of any shape");
}

static void put_constant(const struct drawing *d, const struct accel_value *v)
{
    const struct accel_shape shape = accel_shape_of(v->data);
    char text[ACCEL_SHAPE_TEXT];

    put_text(d, v->name);
    fprintf(d->out, ": %s %s, %zu bytes", accel_dtype_name(v->data->dtype),
            accel_shape_format(&shape, text), v->data->size_bytes);
}

/* What an edge that leaves the node starts from. A node none of whose outputs is wanted has none.
 */
static const struct accel_value *anchor(const struct accel_node *n)
{
    for (size_t o = 0; o < n->outputs_count; o++)
        if (n->outputs[o] != NULL)
            return n->outputs[o];
    return NULL;
}

static void put_id(const struct drawing *d, const struct accel_value *v)
{
    if (v->producer != NULL)
        fprintf(d->out, "n%" PRIu32, anchor(v->producer)->id);
    else
        fprintf(d->out, "v%" PRIu32, v->id);
}

static void draw_constants(const struct drawing *d, const struct accel_node *n)
{
    size_t count = 0;

    for (size_t i = 0; i < n->inputs_count; i++) {
        if (n->inputs[i] == NULL || n->inputs[i]->data == NULL)
            continue;
        if (count++ >= CONSTANTS_MAX)
            continue;
        fputs("\\n", d->out);
        put_constant(d, n->inputs[i]);
    }
    if (count > CONSTANTS_MAX)
        fprintf(d->out, "\\nand %zu more constants", count - CONSTANTS_MAX);
}

static void draw_graph(struct drawing *d, const struct accel_graph *g);

static void draw_subgraphs(struct drawing *d, const struct accel_node *n)
{
    for (size_t a = 0; a < n->attrs_count; a++) {
        const struct accel_attr *attr = &n->attrs[a];

        if (attr->type != ACCEL_ATTR_GRAPH && attr->type != ACCEL_ATTR_GRAPHS)
            continue;
        for (size_t k = 0; k < attr->count; k++) {
            fprintf(d->out, "subgraph cluster_%zu {\nlabel=\"", ++d->clusters);
            put_text(d, n->name);
            fputs(" ", d->out);
            put_text(d, attr->name);
            fputs("\";\n", d->out);
            draw_graph(d, attr->graphs[k]);
            fputs("}\n", d->out);
        }
    }
}

static void draw_node(struct drawing *d, const struct accel_node *n)
{
    const struct accel_value *out = anchor(n);

    if (out != NULL)
        put_id(d, out);
    else
        fprintf(d->out, "x%zu", ++d->anonymous);
    fputs(" [shape=box, label=\"", d->out);
    if (n->domain[0] != '\0') {
        put_text(d, n->domain);
        fputs(":", d->out);
    }
    put_text(d, n->op_type);
    if (n->fused[0] != '\0') {
        fputs(" +", d->out);
        put_text(d, n->fused);
    }
    fputs("\\n", d->out);
    put_text(d, n->name);
    draw_constants(d, n);
    if (n->unsupported != NULL) {
        fputs("\\ncannot be run: ", d->out);
        put_text(d, n->unsupported);
    }
    fprintf(d->out, "\"%s];\n", n->unsupported != NULL ? ", color=red" : "");
    draw_subgraphs(d, n);
}

static void draw_graph(struct drawing *d, const struct accel_graph *g)
{
    for (size_t i = 0; i < g->inputs_count; i++) {
        put_id(d, g->inputs[i]);
        fputs(" [shape=ellipse, label=\"", d->out);
        put_text(d, g->input_names != NULL ? g->input_names[i] : g->inputs[i]->name);
        fputs("\\n", d->out);
        put_type(d, g->inputs[i]);
        fputs("\"];\n", d->out);
    }
    for (size_t i = 0; i < g->nodes_count; i++)
        draw_node(d, g->nodes[i]);
    for (size_t i = 0; i < g->outputs_count; i++) {
        const struct accel_value *v = g->outputs[i];

        if (v->producer == NULL && v->data != NULL) {
            put_id(d, v);
            fputs(" [shape=note, label=\"", d->out);
            put_constant(d, v);
            fputs("\"];\n", d->out);
        }
        fprintf(d->out, "o%zu [shape=ellipse, label=\"", d->outputs++);
        put_text(d, g->output_names != NULL ? g->output_names[i] : v->name);
        fputs("\\n", d->out);
        put_type(d, v);
        fputs("\"];\n", d->out);
    }
}

/* From where the value is made to "n7" or "o0", which the caller writes. */
static void begin_edge(const struct drawing *d, const struct accel_value *v)
{
    put_id(d, v);
    fputs(" -> ", d->out);
}

static void end_edge(const struct drawing *d, const struct accel_value *v)
{
    fputs(" [label=\"", d->out);
    put_type(d, v);
    fputs("\"];\n", d->out);
}

static void draw_edges(struct drawing *d, const struct accel_graph *g)
{
    for (size_t i = 0; i < g->nodes_count; i++) {
        const struct accel_node *n = g->nodes[i];

        for (size_t k = 0; k < n->inputs_count && anchor(n) != NULL; k++) {
            if (n->inputs[k] == NULL || n->inputs[k]->data != NULL)
                continue;
            begin_edge(d, n->inputs[k]);
            put_id(d, anchor(n));
            end_edge(d, n->inputs[k]);
        }
        for (size_t a = 0; a < n->attrs_count; a++)
            if (n->attrs[a].type == ACCEL_ATTR_GRAPH || n->attrs[a].type == ACCEL_ATTR_GRAPHS)
                for (size_t k = 0; k < n->attrs[a].count; k++)
                    draw_edges(d, n->attrs[a].graphs[k]);
    }
    for (size_t i = 0; i < g->outputs_count; i++) {
        begin_edge(d, g->outputs[i]);
        fprintf(d->out, "o%zu", d->outputs++);
        end_edge(d, g->outputs[i]);
    }
}

int accel_analysis_dot(const struct accel_analysis *analysis, FILE *out, struct accel_error *err)
{
    const struct accel_model *m = accel_analysis_model(analysis);
    struct drawing d = {.out = out, .planned = m->plan != NULL ? m->plan->types : NULL};

    errno = 0;
    fputs("digraph \"", out);
    put_text(&d, m->ir->main->name != NULL ? m->ir->main->name : "");
    fputs("\" {\nnode [fontname=\"sans-serif\"];\nedge [fontname=\"sans-serif\", fontsize=10];\n",
          out);
    draw_graph(&d, m->ir->main);
    d.outputs = 0;
    draw_edges(&d, m->ir->main);
    fputs("}\n", out);
    if (ferror(out) || fflush(out) != 0)
        return accel_fail_errno(err, errno, "write the graph");
    return ACCEL_OK;
}
