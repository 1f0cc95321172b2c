/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_test.h"

#define ON    "find-attention,dead-code"
#define CLOSE 2e-6

#define QKV "in q float N,2,5,4\nin k float N,2,3,4\nin v float N,2,3,6\n"

static const struct pass_case cases[] = {
    {"a scale at the scores and a mask", 13,
     QKV "in m float N,1,1,3\nout y float N,2,5,6\nconst s float - = 2\n"
         "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nDiv a,s -> b\nAdd b,m -> c\n"
         "Softmax c -> p axis=-1\nMatMul p,v -> y\n",
     ON, "Attention", CLOSE},
    {"a scale at both operands, no mask, keys by rows of heads", 17,
     "in q float N,2,5,4\nin k float N,3,2,4\nin v float N,2,3,6\nout y float N,2,5,6\n"
     "const s float - = 0.7\n"
     "Transpose k -> t perm=[0,2,3,1]\nMul q,s -> u\nMul s,t -> w\nMatMul u,w -> a\n"
     "Softmax a -> p\nMatMul p,v -> y\n",
     ON, "Transpose Attention", CLOSE},
    {"no scale, the mask first, of queries and keys", 12,
     QKV "out y float N,2,5,6\nconst m float 5,3\n"
         "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nAdd m,a -> c\n"
         "Softmax c -> p axis=3\nMatMul p,v -> y\n",
     ON, "Attention", CLOSE},
    {"one head of keys for all", 13,
     "in q float N,4,5,4\nin k float N,1,3,4\nin v float N,1,3,6\nout y float N,4,5,6\n"
     "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nSoftmax a -> p\nMatMul p,v -> y\n",
     ON, "Attention", CLOSE},
    {"a mask larger than the scores", 13,
     "in q float 1,1,1,4\nin k float 1,1,3,4\nin v float 1,1,3,6\nin m float 2,3,5,3\n"
     "out y float 2,3,5,6\n"
     "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nAdd a,m -> c\nSoftmax c -> p\n"
     "MatMul p,v -> y\n",
     ON, "Attention", CLOSE},
    {"a mask that hides whole rows", 13,
     QKV "out y float N,2,5,6\nconst m float 5,1 = -inf\n"
         "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nAdd a,m -> c\nSoftmax c -> p\n"
         "MatMul p,v -> y\n",
     ON, "Attention", CLOSE},
    {"a mask of one column", 13,
     QKV "in m float N,2,5,1\nout y float N,2,5,6\n"
         "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nAdd a,m -> c\nSoftmax c -> p\n"
         "MatMul p,v -> y\n",
     ON, "Attention", CLOSE},
    {"not when the weights are wanted, too", 13,
     QKV "out y float N,2,5,6\nout p float N,2,5,3\n"
         "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nSoftmax a -> p\nMatMul p,v -> y\n",
     ON, "Transpose MatMul Softmax MatMul", 0},
    {"not a Softmax along the queries, nor one that flattens", 12,
     "in q float 3,2,5,4\nin k float 3,2,3,4\nin v float 3,2,3,6\nout y float 3,2,5,6\n"
     "Transpose k -> t perm=[0,1,3,2]\nMatMul q,t -> a\nSoftmax a -> p\nMatMul p,v -> y\n",
     ON, "Transpose MatMul Softmax MatMul", 0},
    {"not a product that is not of keys", 13,
     "in q float N,2,5,4\nin t float N,2,4,3\nin v float N,2,3,6\nout y float N,2,5,6\n"
     "MatMul q,t -> a\nSoftmax a -> p\nMatMul p,v -> y\n",
     ON, "MatMul Softmax MatMul", 0},
};

int main(void)
{
    PASS_CASES_RUN(cases);
    return tap_done();
}
