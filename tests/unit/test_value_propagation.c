/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes that a graph computes from other shapes: what is known of them while a dimension is free,
 * that nothing of the computation is left to run, and that results are those of running it all. */
#include "pass_test.h"

struct shape_case {
    struct pass_case pass;
    const char *shape; /* of the output, ? where it is free; * when not even the rank is known */
};

#define X       "in x float N,N,8\nout y float ?\n"
#define INDICES "const i0 int64 - = 0\nconst i1 int64 - = 1\nconst i2 int64 - = 2\n"
#define LISTS                                                                \
    "const zero int64 1 = 0\nconst one int64 1 = 1\nconst two int64 1 = 2\n" \
    "const three int64 1 = 3\nconst four int64 1 = 4\nconst minus int64 1 = -1\n"
#define BEGIN X INDICES LISTS

static const struct shape_case cases[] = {
    {{"Shape, Gather, Unsqueeze, Concat, Reshape", 13,
      BEGIN "Shape x -> s\nGather s,i0 -> n\nGather s,i1 -> m\nUnsqueeze n,zero -> n1\n"
            "Unsqueeze m,zero -> m1\nConcat n1,m1,two,four -> t axis=0\nReshape x,t -> y\n",
      NULL, "Reshape", 0},
     "?x?x2x4"},
    {{"Slice of a shape", 13,
      BEGIN
      "Shape x -> s\nSlice s,zero,two -> h\nConcat h,two,four -> t axis=0\nReshape x,t -> y\n",
      NULL, "Reshape", 0},
     "?x?x2x4"},
    {{"Shape with start and end", 15,
      BEGIN "Shape x -> h start=0 end=2\nConcat h,four,two -> t axis=0\nReshape x,t -> y\n", NULL,
      "Reshape", 0},
     "?x?x4x2"},
    {{"Mul, Div, Sub, Add and Cast", 13,
      BEGIN "Shape x -> s\nGather s,i2 -> c\nDiv c,i2 -> d\nCast d -> e to=6\nCast e -> f to=7\n"
            "Mul f,i1 -> g\nAdd g,i1 -> h\nSub h,i1 -> k\nUnsqueeze k,zero -> k1\n"
            "Gather s,i0 -> n\nUnsqueeze n,zero -> n1\nConcat n1,minus,two,k1 -> t axis=0\n"
            "Reshape x,t -> y\n",
      NULL, "Reshape", 0},
     "?x?x2x4"},
    {{"by way of floats", 13,
      BEGIN "const half float - = 0.5\nShape x -> s\nGather s,i2 -> c\nCast c -> f to=1\n"
            "Mul f,half -> g\nFloor g -> h\nCast h -> k to=7\nUnsqueeze k,zero -> k1\n"
            "Slice s,zero,two -> b\nConcat b,two,k1 -> t axis=0\nReshape x,t -> y\n",
      NULL, "Reshape", 0},
     "?x?x2x4"},
    {{"Equal and Where choose between what is known and what is not", 13,
      BEGIN "const want int64 3 = -1,-1,8\nShape x -> s\nEqual want,minus -> q\n"
            "Where q,s,want -> t\nExpand x,t -> y\n",
      NULL, "Expand", 0},
     "?x?x8"},
    {{"Range of a shape that is known", 13,
      BEGIN "Shape x -> s\nGather s,i2 -> c\nRange i0,c,i1 -> r\nCast r -> f to=1\nAdd x,f -> y\n",
      NULL, "Add", 0},
     "?x?x8"},
    {{"ConstantOfShape", 13, BEGIN "Shape x -> s\nConstantOfShape s -> z\nAdd x,z -> y\n", NULL,
      "Add", 0},
     "?x?x8"},
    {{"Split of a shape", 13,
      BEGIN "const each int64 3 = 1\nShape x -> s\nSplit s,each -> a,b,c\n"
            "Concat a,b,two,four -> t axis=0\nReshape x,t -> y\n",
      NULL, "Reshape", 0},
     "?x?x2x4"},
    {{"ReduceProd of what is known", 13,
      "in x float N,4,8\nout y float ?\n" LISTS
      "Shape x -> s\nSlice s,one,three -> b\nReduceProd b -> p keepdims=1\nSlice s,zero,one -> h\n"
      "Concat h,p -> t axis=0\nReshape x,t -> y\n",
      NULL, "Reshape", 0},
     "?x32"},
    {{"Min and Max", 13,
      BEGIN "const cap int64 3 = 99,99,4\nconst low int64 3 = 0\nShape x -> s\nMin s,cap -> m\n"
            "Max m,low -> t\nSlice x,low,t -> y\n",
      NULL, "Slice", 0},
     "?x?x4"},
    {{"a list of unknown numbers still says how many dimensions there are", 13,
      "in x float 1,8\nin t int64 3\nout y float ?\n"
      "Abs t -> a\nExpand x,a -> y\n",
      NULL, "Abs Expand", 0},
     "?x?x8"},
};

static const char *shape_of(const struct accel_model *m, char *text, size_t size)
{
    const struct accel_tensor_info *y = m != NULL ? accel_model_output(m, 0) : NULL;

    snprintf(text, size, "%s", y == NULL || !y->has_rank ? "*" : "");
    for (uint32_t d = 0; y != NULL && d < y->rank; d++) {
        const size_t at = strlen(text);

        if (y->dims[d] >= 0)
            snprintf(text + at, size - at, "%s%d", d > 0 ? "x" : "", (int)y->dims[d]);
        else
            snprintf(text + at, size - at, "%s?", d > 0 ? "x" : "");
    }
    return text;
}

int main(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct accel_model *m = pt_load(&cases[i].pass, false);
        char text[64];

        ok(strcmp(shape_of(m, text, sizeof(text)), cases[i].shape) == 0, "%s: %s (%s)",
           cases[i].pass.what, cases[i].shape, text);
        accel_model_unref(m);
        pass_case_run(&cases[i].pass);
    }
    return tap_done();
}
