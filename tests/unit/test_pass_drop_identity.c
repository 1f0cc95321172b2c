/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_test.h"

#define ON "drop-identity,dead-code"

static const struct pass_case cases[] = {
    {"whatever gives what is there already", 13,
     "in x float 2,3,4\n"
     "out y float 2,3,4\n"
     "const ones int64 3 = 1\n"
     "const starts int64 1 = 0\n"
     "const ends int64 1 = 99\n"
     "const pads int64 6 = 0\n"
     "const shape int64 3 = 2,-1,4\n"
     "Identity x -> a\n"
     "Dropout a -> b\n"
     "Tile b,ones -> c\n"
     "Expand c,ones -> d\n"
     "Slice d,starts,ends -> e\n"
     "Pad e,pads -> f\n"
     "Reshape f,shape -> g\n"
     "Concat g -> h axis=1\n"
     "Cast h -> i to=1\n"
     "Transpose i -> j perm=[0,1,2]\n"
     "Sum j -> k\n"
     "Abs k -> y\n",
     ON, "Abs", 0},
    {"a slice backwards has the same shape, too", 13,
     "in x float 2,3\n"
     "out y float 2,3\n"
     "const starts int64 1 = 2\n"
     "const ends int64 1 = -9\n"
     "const axes int64 1 = 1\n"
     "const steps int64 1 = -1\n"
     "Slice x,starts,ends,axes,steps -> y\n",
     ON, "Slice", 0},
    {"so has a pad that cuts here and adds there", 13,
     "in x float 2,3\n"
     "out y float 2,3\n"
     "const pads int64 4 = 0,-1,0,1\n"
     "Pad x,pads -> y\n",
     ON, "Pad", 0},
    {"a slice that ends early, a tile of two, a cast to another type", 13,
     "in x float 2,3\n"
     "out y double 2,4\n"
     "const starts int64 1 = 0\n"
     "const ends int64 1 = 2\n"
     "const axes int64 1 = 1\n"
     "const twice int64 2 = 1,2\n"
     "Slice x,starts,ends,axes -> a\n"
     "Tile a,twice -> b\n"
     "Cast b -> y to=11\n",
     ON, "Slice Tile Cast", 0},
    {"a second output that is read", 13,
     "in x float 2,3\n"
     "out y float 2,3\n"
     "out m bool 2,3\n"
     "Dropout x -> a,m\n"
     "Abs a -> y\n",
     ON, "Dropout Abs", 0},
    {"a free dimension that the reshape keeps", 13,
     "in x float N,3,4\n"
     "out y float N,3,4\n"
     "const shape int64 3 = -1,3,4\n"
     "Reshape x,shape -> a\n"
     "Abs a -> y\n",
     ON, "Abs", 0},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
