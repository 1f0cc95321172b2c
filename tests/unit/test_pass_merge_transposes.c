/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_test.h"

#define ON "merge-transposes,dead-code"

static const struct pass_case cases[] = {
    {"a pair that undoes itself is nothing", 13,
     "in x float N,2,3,4\n"
     "out y float N,2,3,4\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Transpose a -> b perm=[0,3,1,2]\n"
     "Relu b -> y\n",
     ON, "Relu", 0},
    {"two in a row are one", 13,
     "in x float N,2,3,4\n"
     "out y float 4,N,2,3\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Transpose a -> y perm=[2,0,3,1]\n",
     ON, "Transpose", 0},
    {"three are one, without perm the axes are reversed", 13,
     "in x float 2,3,4\n"
     "out y float 4,2,3\n"
     "Transpose x -> a\n"
     "Transpose a -> b perm=[1,0,2]\n"
     "Transpose b -> y perm=[1,2,0]\n",
     ON, "Transpose", 0},
    {"a pair around elementwise nodes goes, constants are moved", 13,
     "in x float N,2,3,4\n"
     "in z float N,2,3,4\n"
     "out y float N,2,3,4\n"
     "const s float 2\n"
     "const t float 3,4,1\n"
     "const half float - = 0.5\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Transpose z -> b perm=[0,2,3,1]\n"
     "Relu a -> c\n"
     "Mul b,s -> d\n"
     "Add t,d -> e\n"
     "Sub c,e -> f\n"
     "Mul f,half -> g\n"
     "Transpose g -> y perm=[0,3,1,2]\n",
     ON, "Relu Mul Add Sub Mul", 0},
    {"not when somebody else reads what is between", 13,
     "in x float N,2,3,4\n"
     "out y float N,2,3,4\n"
     "out z float N,3,4,2\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Relu a -> z\n"
     "Transpose z -> y perm=[0,3,1,2]\n",
     ON, "Transpose Relu Transpose", 0},
    {"not through what looks along an axis", 13,
     "in x float N,2,3,4\n"
     "out y float N,2,3,4\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Softmax a -> b\n"
     "Transpose b -> y perm=[0,3,1,2]\n",
     ON, "Transpose Softmax Transpose", 0},
    {"not where the two differ", 13,
     "in x float N,3,3,3\n"
     "in z float N,3,3,3\n"
     "out y float N,3,3,3\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Transpose z -> b perm=[0,3,2,1]\n"
     "Add a,b -> c\n"
     "Transpose c -> y perm=[0,3,1,2]\n",
     ON, "Transpose Transpose Add Transpose", 0},
    {"not where one operand was never transposed", 13,
     "in x float N,3,3,3\n"
     "in z float N,3,3,3\n"
     "out y float N,3,3,3\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Add a,z -> c\n"
     "Transpose c -> y perm=[0,3,1,2]\n",
     ON, "Transpose Add Transpose", 0},
    {"the first stays for its other reader", 13,
     "in x float N,2,3,4\n"
     "out y float N,2,3,4\n"
     "out z float N,3,4,2\n"
     "Transpose x -> z perm=[0,2,3,1]\n"
     "Neg z -> b\n"
     "Transpose b -> y perm=[0,3,1,2]\n",
     ON, "Transpose Neg", 0},
    {"moving axes of one element is a reshape", 13,
     "in x float N,8,1,1\n"
     "out y float N,1,1,8\n"
     "Transpose x -> a perm=[0,2,3,1]\n"
     "Neg a -> y\n",
     ON, "Reshape Neg", 0},
    {"unless another axis is moved too", 13,
     "in x float 3,8,1,2\n"
     "out y float 3,1,2,8\n"
     "Transpose x -> y perm=[0,2,3,1]\n",
     ON, "Transpose", 0},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
