/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_test.h"

#define ON "merge-reshapes,dead-code"

static const struct pass_case cases[] = {
    {"of a chain the last is kept", 13,
     "in x float 2,3,4\n"
     "out y float 4,6\n"
     "const s int64 3 = 4,3,2\n"
     "const axis int64 1 = 1\n"
     "const t int64 2 = 4,-1\n"
     "Reshape x,s -> a\n"
     "Unsqueeze a,axis -> b\n"
     "Flatten b -> c\n"
     "Reshape c,t -> d\n"
     "Abs d -> y\n",
     ON, "Reshape Abs", 0},
    {"a way there and back is nothing", 13,
     "in x float N,3,4\n"
     "out y float N,3,4\n"
     "const axis int64 2 = 1,4\n"
     "Unsqueeze x,axis -> a\n"
     "Squeeze a,axis -> b\n"
     "Abs b -> y\n",
     ON, "Abs", 0},
    {"a free dimension goes along", 13,
     "in x float N,3,4\n"
     "out y float N,12,1\n"
     "const axis int64 1 = 2\n"
     "Flatten x -> a\n"
     "Unsqueeze a,axis -> y\n",
     ON, "Reshape", 0},
    {"two free dimensions cannot be told", 13,
     "in x float N,N,4\n"
     "out y float N,N,2,2\n"
     "const s int64 4 = 0,0,2,2\n"
     "const axis int64 1 = 0\n"
     "Unsqueeze x,axis -> a\n"
     "Squeeze a,axis -> b\n"
     "Reshape b,s -> y\n",
     ON, "Unsqueeze Squeeze Reshape", 0},
    {"what is between stays between", 13,
     "in x float 2,6\n"
     "out y float 2,6\n"
     "const s int64 2 = 3,4\n"
     "const t int64 2 = 2,6\n"
     "Reshape x,s -> a\n"
     "Softmax a -> b\n"
     "Reshape b,t -> y\n",
     ON, "Reshape Softmax Reshape", 0},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
