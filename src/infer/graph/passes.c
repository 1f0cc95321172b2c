/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/graph/passes.h"

#include <string.h>

/* Order matters: what folding and widening leave is what the fusions see. */
const struct accel_pass accel_passes[] = {
    {"drop-identity", "nodes that change nothing: Identity, Dropout, a Cast to the same type",
     accel_pass_drop_identity},
    {"fold-constants", "what depends on constants and known shapes alone is computed at load",
     accel_pass_fold_all_but_weights},
    {"inline-if", "an If whose condition is known is the branch that it takes",
     accel_pass_inline_if},
    {"fold-constants", NULL, accel_pass_fold_all_but_weights}, /* what is known inside it */
    {"inline-if", NULL, accel_pass_inline_if},
    {"sink-dequantize",
     "Reshape, Transpose, Slice, ... move integers; Relu before them is left out",
     accel_pass_sink_dequantize},
    {"fold-constants", NULL, accel_pass_fold_all_but_weights}, /* weights that were transposed */
    {"fuse-qdq", "operators between DequantizeLinear and QuantizeLinear compute with integers",
     accel_pass_fuse_qdq},
    {"fold-constants", NULL, accel_pass_fold_constants},
    {"widen-f16", "operators on half precision compute in float; \"all\" leaves it on",
     accel_pass_widen_f16},
    /* Casts that widening made pointless, and what they stood in the way of. */
    {"drop-identity", NULL, accel_pass_drop_identity},
    {"fold-constants", NULL, accel_pass_fold_constants},
    {"common-subexpressions", "of nodes that compute the same, one is kept",
     accel_pass_common_subexpressions},
    {"merge-reshapes", "of a chain of Reshape, Flatten, Squeeze, Unsqueeze the last is kept",
     accel_pass_merge_reshapes},
    {"merge-transposes",
     "Transposes that undo or follow each other, elementwise nodes between them",
     accel_pass_merge_transposes},
    {"merge-reshapes", NULL, accel_pass_merge_reshapes}, /* a Transpose may have become one */
    {"fold-pad", "Pad with zeros becomes the padding of the Conv behind it", accel_pass_fold_pad},
    {"fold-batchnorm", "BatchNormalization becomes part of the Conv's weights and bias",
     accel_pass_fold_batchnorm},
    {"fold-affine",
     "Mul, Div, Add, Sub per channel become part of the weights and bias before them",
     accel_pass_fold_affine},
    {"find-activations", "Silu, Gelu, HardSwish, Mish and Clip written as primitive nodes",
     accel_pass_find_activations},
    {"find-attention", "MatMul, scale, mask, Softmax, MatMul that never hold all scores at once",
     accel_pass_find_attention},
    {"find-norms", "LayerNormalization and RMS normalisation written as primitive nodes",
     accel_pass_find_norms},
    {"dead-code", "nodes whose outputs nobody reads", accel_pass_dead_code},
    {"find-norms", NULL, accel_pass_find_skip_norms}, /* a residual added before one */
    {"fuse-bias", "Add of a constant vector becomes the bias of Conv or MatMul",
     accel_pass_fuse_bias},
    {"fuse-residual", "Add of a tensor is done while the Conv stores its result",
     accel_pass_fuse_residual},
    {"fuse-activation", "Relu, Clip and the like are done while Conv or Gemm store their result",
     accel_pass_fuse_activation},
    {"dead-code", NULL, accel_pass_dead_code},
    {NULL, NULL, NULL},
};

const char *accel_pass_name(size_t i, const char **about)
{
    for (const struct accel_pass *p = accel_passes; p->name != NULL; p++) {
        if (p->about == NULL || i-- > 0)
            continue;
        if (about != NULL)
            *about = p->about;
        return p->name;
    }
    return NULL;
}

/* What cannot run without it, an operator on halves, is no matter of taste: "all" does not mean it.
 */
static bool is_needed(const char *name)
{
    return strcmp(name, "widen-f16") == 0;
}

/* One name of a comma-separated list? */
static bool listed(const char *list, const char *name)
{
    const size_t n = strlen(name);

    while (list != NULL && *list != '\0') {
        const size_t part = strcspn(list, ",");

        if ((part == n && strncmp(list, name, n) == 0) ||
            (part == 3 && strncmp(list, "all", 3) == 0 && !is_needed(name)))
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

static int check_names(const char *off, struct accel_error *err)
{
    while (off != NULL && *off != '\0') {
        const size_t part = strcspn(off, ",");
        bool known = part == 0 || (part == 3 && strncmp(off, "all", 3) == 0);

        for (const struct accel_pass *p = accel_passes; p->name != NULL; p++)
            known = known || (strlen(p->name) == part && strncmp(off, p->name, part) == 0);
        if (!known)
            return accel_fail(err, ACCEL_E_INVALID, "there is no graph pass '%.*s'", (int)part,
                              off);
        off += part + (off[part] == ',');
    }
    return ACCEL_OK;
}

int accel_passes_run(struct accel_ir *ir, const char *off, struct accel_error *err)
{
    int rc = check_names(off, err);

    for (const struct accel_pass *p = accel_passes; p->name != NULL && rc == ACCEL_OK; p++) {
        size_t changes = 0;

        if (listed(off, p->name))
            continue;
        rc = p->run(ir, &changes, err);
        if (rc == ACCEL_OK && changes > 0) {
            rc = accel_ir_link(ir, err);
            if (rc == ACCEL_OK)
                rc = accel_ir_infer(ir, err);
        }
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "pass %s", p->name);
    }
    return rc == ACCEL_OK ? accel_subgraphs_passes(ir, off, err) : rc;
}
