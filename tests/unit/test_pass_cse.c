/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_test.h"

#define ON "common-subexpressions"

static const struct pass_case cases[] = {
    {"two chains of the same are one", 13,
     "in x float N,4\n"
     "out y float N,4\n"
     "const s float - = 0.5\n"
     "const t float - = 0.5\n"
     "Abs x -> a\n"
     "Abs x -> b\n"
     "Mul a,s -> c\n"
     "Mul b,t -> d\n"
     "LeakyRelu c -> e alpha=0.25\n"
     "LeakyRelu d -> f alpha=0.25\n"
     "Add e,f -> y\n",
     ON, "Abs Mul LeakyRelu Add", 0},
    {"other attributes, other constants and other operands are not the same", 13,
     "in x float N,4\n"
     "out y float N,4\n"
     "const s float - = 0.5\n"
     "const t float - = -0.5\n"
     "LeakyRelu x -> a alpha=0.25\n"
     "LeakyRelu x -> b alpha=0.5\n"
     "LeakyRelu x -> c\n"
     "Mul a,s -> d\n"
     "Mul b,t -> e\n"
     "Sub c,d -> f\n"
     "Sub d,c -> g\n"
     "Sum e,f,g -> y\n",
     ON, "LeakyRelu LeakyRelu LeakyRelu Mul Mul Sub Sub Sum", 0},
    {"an attribute that is left out is not one of its default value", 13,
     "in x float N,4\n"
     "out y float N,4\n"
     "Softmax x -> a\n"
     "Softmax x -> b axis=0\n"
     "Add a,b -> y\n",
     ON, "Softmax Softmax Add", 0},
    {"outputs of the model keep their names", 13,
     "in x float N,4\n"
     "out y float N,4\n"
     "out z float N,4\n"
     "Exp x -> y\n"
     "Exp x -> z\n",
     ON, "Exp", 0},
    {"a second output that only the second wants is kept", 13,
     "in x float 3,4\n"
     "out y float 3,4\n"
     "out i int64 3,2\n"
     "out v float 3,2\n"
     "const k int64 1 = 2\n"
     "TopK x,k -> v,\n"
     "TopK x,k -> w,i\n"
     "Neg x -> y\n"
     "Neg w -> u\n",
     ON, "TopK TopK Neg Neg", 0},
};

/* What is random is another number each time. */
static void random_numbers_are_not_the_same(void)
{
    struct accel_buf model = gt_model("out y float 4\n"
                                      "out z float 4\n"
                                      "RandomNormal -> y shape=[4]\n"
                                      "RandomNormal -> z shape=[4]\n",
                                      13);
    struct accel_analysis *a = NULL;
    struct accel_error err = {0};

    ok(accel_analyse_memory(model.data, model.size, NULL, NULL, NULL, &a, &err) == ACCEL_OK &&
           a->ops_count == 2,
       "two random nodes stay two: %s", err.msg);
    accel_analysis_free(a);
    accel_buf_free(&model);
}

int main(void)
{
    PASS_CASES_RUN(cases);
    random_numbers_are_not_the_same();
    return tap_done();
}
