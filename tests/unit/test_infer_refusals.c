/* SPDX-License-Identifier: Apache-2.0 */
/* What operators refuse, and that they say why: attributes, shapes and values that cannot be. */
#include "graph_text.h"
#include "tap.h"

static const struct {
    int64_t opset;
    const char *text, *why;
} cases[] = {
    {28, "in x uint8 3\nout y uint8 3\nBitShift x,x -> y direction='UP'", "not LEFT or RIGHT"},
    {26, "in x float 3\nout y int64 3\nBitCast x -> y to=7", "not as many bits"},
    {20, "in x float 3\nout y float 3\nGelu x -> y approximate='erf'", "not none or tanh"},
    {28, "in a float 3,2\nin b float 2,3\nout y float 3,2\nSwiGLU a,b -> y", "must agree"},
    {14, "in x float 3,2\nconst a int64 = 2\nout y float 3,2\nCumSum x,a -> y", "axis"},
    {22, "in x float 3,2\nout y float -\nDet x -> y", "not of square matrices"},
    {11, "in x float 3\nin c bool 3,1\nout y float N\nCompress x,c -> y", "rank 2 instead of 1"},
    {11, "in x float 3\nout y float N\nUnique x -> y axis=1", "axis"},
    {11, "in b float 1,6,4\nin s float 1,2,5\nout y int64 N,3\nNonMaxSuppression b,s -> y",
     "not [batches, n, 4]"},
    {10, "in x float 3,4\nin l int64 3\nout y float 3,4\nReverseSequence x,l -> y",
     "3 lengths for a batch of 4"},
    {10, "in x float 3,4\nin l int64 4\nout y float 3,4\nReverseSequence x,l -> y time_axis=1",
     "not 0 and 1"},
    {18, "in x float 3,4\nconst s int64 2 = 1,-1\nout y float N,N\nCenterCropPad x,s -> y",
     "shape[1] is -1"},
    {18,
     "in x float 3,4\nconst s int64 2 = 1,1\nout y float N,N\nCenterCropPad x,s -> y axes=[0,-2]",
     "given twice"},
    {24, "in x float 2,4,3\nin u float 2,5,3\nout y float 2,4,3\nTensorScatter x,u -> y",
     "an update of shape 2x5x3"},
    {24, "in x float 2,4,3\nin u float 2,1,3\nout y float 2,4,3\nTensorScatter x,u -> y axis=0",
     "that of the batch"},
    {18,
     "in x float 1,5,4\nconst i int64 2 = 3,3\nconst b int64 2 = 2,2\nout y float N,N,N,N\n"
     "Col2Im x,i,b -> y",
     "blocks of 4 elements at 4 places"},
    {20, "in x float 1,8,1\nout y float N,N,N\nDFT x -> y inverse=1 onesided=1", "must be complex"},
    {17, "in x float 1,8,3\nout y float N,N,N\nDFT x -> y axis=1", "not 1 (real) or 2 (complex)"},
    {17, "in x float 1,8,2\nout y float N,N,N\nDFT x -> y axis=2", "that of the complex parts"},
    {17,
     "in x float 1,8,1\nconst s int64 = 2\nconst n int64 = 9\nout y float N,N,N,N\n"
     "STFT x,s,,n -> y",
     "do not fit into a signal of 8"},
    {17, "const n int64 = -2\nout y float N\nHannWindow n -> y", "a size of -2"},
    {17, "const n int64 = 2\nout y float N\nHannWindow n -> y output_datatype=9",
     "output_datatype is 9"},
    {13, "in x float 4,3\nin l int64 3\nout y float -\nNegativeLogLikelihoodLoss x,l -> y",
     "not [N, C, d...]"},
    {13,
     "in x float 4,3\nin l int64 4\nout y float -\nSoftmaxCrossEntropyLoss x,l -> y "
     "reduction='max'",
     "not none, sum or mean"},
    {22, "out y float N\nRandomNormal -> y shape=[-1]", "shape[0] is -1"},
    {22, "out y float N\nRandomNormal -> y shape=[1] dtype=7", "dtype is 7"},
    {22, "in x int32 2\nout y float N\nRandomUniformLike x -> y", "dtype must say"},
    {22, "in x float 2,3\nout y int32 N,N\nMultinomial x -> y sample_size=0", "sample_size is 0"},
    {12, "in x float 2,3\nout y float N\nEinsum x -> y equation='ijk->k'",
     "rank 2 for a term of 3"},
    {12, "in x float 2,3\nin z float 4,5\nout y float N,N\nEinsum x,z -> y equation='ij,jk->ik'",
     "axes of 3 and 4"},
    {12, "in x float 2,3\nout y float N\nEinsum x -> y equation='ij->k'", "one of no input"},
    {12, "in x float 2,3\nout y float N\nEinsum x -> y equation='i1->i'", "neither a letter"},
    {12, "in x float 2,3\nout y float N\nEinsum x -> y equation='...i->i'", "the output has none"},
    {12, "in x float 2,3\nout y float N\nEinsum x -> y equation='ii->i'", "axes that differ"},
    {10, "in x string 2,3\nout y string N\nStringNormalizer x -> y", "not [C] or [1, C]"},
    {10, "in x string 3\nout y string N\nStringNormalizer x -> y locale='tr_TR.UTF-8'",
     "a case of its own"},
    {20, "in x string 3\nout y bool 3\nRegexFullMatch x -> y pattern='(a'", "not closed"},
    {9,
     "in x int64 3\nout y float N\nTfIdfVectorizer x -> y mode='TF' min_gram_length=1 "
     "max_gram_length=2 max_skip_count=0 ngram_counts=[0,1] ngram_indexes=[0,1] "
     "pool_int64s=[1,2,3,4]",
     "are no n-grams"},
    {9, "in x float 1,3,4,5\nout y float N,N,N,N\nCrop x -> y border=[1,1,1]",
     "border has 3 entries"},
    {9, "in x float 1,3,4,5\nout y float N,N,N,N\nCrop x -> y border=[1,-1,1,1]",
     "border[1] is negative"},
    {9, "in x float 1,3,4,5\nout y float N,N,N,N\nCrop x -> y border=[1,2,1,3]",
     "the image's height of 4"},
    {9, "in x float 1,3,4,5\nout y float N,N,N,N\nCrop x -> y border=[2,0,0,0] scale=[4,4]",
     "the image's width of 5"},
    {9, "in x float 3,4\nout y float 3,4\nScaledTanh x -> y alpha=1.5", "beta"},
    {10, "in x float 3,4\nout y float 3,4\nAffine x -> y", "Affine"},
    {9,
     "in x float 3,4\nconst s int64 2 = 0,0\nconst e int64 2 = 1,1\nconst a int64 2 = 1,1\nout y "
     "float N,N\nDynamicSlice x,s,e,a -> y",
     "given twice"},
    {17,
     "in x float 3,4\nconst a int32 2 = 0,1\nout y float N,N,N\ncom.microsoft:ExpandDims x,a -> y",
     "not one number"},
    {17, "in x float 3,4\nconst a int32 = 3\nout y float N,N,N\ncom.microsoft:ExpandDims x,a -> y",
     "axis"},
    {17,
     "in x float 3,4\nout y float N\nout i int64 N\nout c int64 N\ncom.microsoft:Unique x -> y,i,c",
     "rank 2 instead of 1"},
    {17,
     "const s float = 1\nconst l float = 0\nconst d float = 0\nout y float N\ncom.microsoft:Range "
     "s,l,d -> y",
     "give no sequence"},
    {17,
     "in x float 2,3,4,5\nin b float 6,4\nin i int32 5\nconst s int32 2 = 2,2\nout y float "
     "N,N,N,N\ncom.microsoft:CropAndResize x,b,i,s -> y",
     "one number for each region"},
    {17,
     "in x float 2,3,4,5\nin b float 6,4\nin i int32 6\nconst s int32 2 = 2,0\nout y float "
     "N,N,N,N\ncom.microsoft:CropAndResize x,b,i,s -> y",
     "both must be positive"},
    {17,
     "in x float 2,3,4,5\nin b float 6,4\nin i int32 6\nconst s int32 2 = 2,2\nout y float "
     "N,N,N,N\ncom.microsoft:CropAndResize x,b,i,s -> y mode='cubic'",
     "not bilinear or nearest"},
    {17,
     "in x float 2,3,4,5\nin m int32 2,3,4,4\nout y float N,N,N,N\ncom.microsoft:MaxpoolWithMask "
     "x,m -> y kernel_shape=[2,2]",
     "their spatial axes must agree"},
    {17, "in x float 3,4\nout y float N,N,N\ncom.microsoft:UnfoldTensor x -> y size=5",
     "axis 1 has 4 elements"},
    {17, "in x float 3,4\nout y float N,N,N\ncom.microsoft:UnfoldTensor x -> y size=2 step=0",
     "both must be positive"},
    {17,
     "in x float 1,2,4,5\nin w float 2,3,3,3\nout y float "
     "N,N,N,N\ncom.microsoft:ConvTransposeWithDynamicPads x,w -> y",
     "input 2 'Pads' is left out"},
    {17,
     "in x float 1,2,4,5\nin w float 2,3,3,3\nconst p int64 3 = 1,1,1\nout y float "
     "N,N,N,N\ncom.microsoft:ConvTransposeWithDynamicPads x,w,p -> y",
     "no list of 4 numbers"},
    {17,
     "in x float 1,2,4,5\nin w float 2,3,3,3\nconst p int64 4 = 1,1,-1,1\nout y float "
     "N,N,N,N\ncom.microsoft:ConvTransposeWithDynamicPads x,w,p -> y",
     "Pads[2] is -1"},
    {17, "in x float 3,4\nin s float 1\nout y float 3,4\ncom.microsoft:ScaledSiLU x,s -> y",
     "instead of a scalar"},
    {17, "in x float 3,4\nin g float 1,1\nout y float 3,4\ncom.microsoft:GatedAdd x,x,g -> y",
     "input 2 'gate' is 1x1 instead of 3x1"},
    {17, "in x float 3,4\nin s float 3\nout y float 3,4\ncom.microsoft:GatedRMSNorm x,s,x -> y",
     "no part of a last dimension of 4"},
    {17,
     "in x float 3,4\nin s float 4\nout y float 3,4\ncom.microsoft:GatedRMSNorm x,s,x -> y "
     "activation='relu'",
     "not silu, swish or sigmoid"},
    {17,
     "in k float 1,2,3,4\nin v float 1,2,4\nin s float 3,4\nout y float 1,2,3,4\nout n float "
     "1,2,3,4\ncom.microsoft:EngramGate k,k,v,s,s -> y,n",
     "needs input 5"},
    {17, "in x float 3,4\nout y float 3,4\ncom.microsoft:BranchwiseRMSNorm x -> y num_branches=3",
     "does not divide"},
    {17, "in x float 3,4\nin s float 5\nout y float 3,4\ncom.microsoft:BranchwiseRMSNorm x,s -> y",
     "[branches * hidden]"},
    {17,
     "in x float 2,3,4\nin g float 2,4\nout y float 2,4\ncom.microsoft:HyperConnectionPreMix x,g "
     "-> y",
     "'pre_mix' of shape 2x4"},
    {17,
     "in x float 2,3,4\nin g float 2,3\nin b float 2,4\nin m float 2,3,4\nout y float "
     "2,3,4\ncom.microsoft:HyperConnectionPostMix x,b,g,m -> y",
     "[..., branches, branches]"},
    {15,
     "in a float 3,4\nin b float 2,4\nout y float N,N\n"
     "com.microsoft:CDist a,b -> y metric='cosine'",
     "only euclidean and sqeuclidean"},
    {15,
     "in a float 3,4\nin b float 2,5\nout y float N,N\n"
     "com.microsoft:CDist a,b -> y metric='euclidean'",
     "rows of 4 and of 5 columns"},
    {15,
     "in a float 3,4\nin b float 3,5\nout y float N,N\n"
     "com.microsoft:SparseToDenseMatMul a,b -> y",
     "inner dimensions 4 and 3"},
    {15, "in x float 2,3,4\nout y int32 2,N\ncom.microsoft:DynamicTimeWarping x -> y",
     "not [M, N] or [1, M, N]"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 1,3\nin i int32 1,3\nconst t int32 1 = 2\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=0",
     "sparse_block_size is 0"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 1,3\nin i int32 1,3\nconst t int32 1 = 2\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16 do_rotary=1",
     "without cos_cache"},
    {15,
     "in q float 1,2,17\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 1,3\nin i int32 1,3\nconst t int32 1 = 2\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16",
     "17 columns for 2 heads"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,30,8\nin r int32 1,3\nin i int32 1,3\nconst t int32 1 = 2\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16",
     "the length of the cache is 32 and 30"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 3,3\nin i int32 1,3\nconst t int32 1 = 2\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16",
     "a divisor of 2 heads"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 1,3\nin i int32 1,3\nconst t int32 1 = 2\n"
     "in l int32 2\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16",
     "'key_total_sequence_lengths' is 2 instead of 1"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 1,3\nin i int32 1,3\nconst t int32 1 = 33\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16",
     "33 where the cache has room for 32"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 1,2\nin i int32 1,3\nconst t int32 1 = 17\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16",
     "where block_row_indices has room for 16"},
    {15,
     "in q float 1,2,16\nin k float 1,2,8\nin v float 1,2,8\nin c float 1,1,32,8\n"
     "in d float 1,1,32,8\nin r int32 1,3\nin i int32 1,3\nconst t int32 1 = 1\n"
     "in l int32 1\nout y float N,N,N\nout o float N,N,N,N\nout u float N,N,N,N\n"
     "com.microsoft:SparseAttention q,k,v,c,d,r,i,t,l -> y,o,u "
     "num_heads=2 kv_num_heads=1 sparse_block_size=16",
     "is 1 with 2 rows"},
    {15,
     "in i int64 2,3\nin s float 3,9\nout y float 3,9\n"
     "com.microsoft:NGramRepeatBlock i,s -> y ngram_size=2",
     "2 rows of input_ids, 3 of scores"},
    {15,
     "in i int64 2,3\nin m int64 2\nin v int64 2\nout y int64 N,N,N\n"
     "com.microsoft:NGramHashMapping i,m,v -> y max_ngram_size=3 n_head_per_ngram=1 pad_id=0",
     "2 multipliers for n-grams of 3"},
    {15,
     "in i int64 2,3\nin m int64 3\nin v int64 3\nout y int64 N,N,N\n"
     "com.microsoft:NGramHashMapping i,m,v -> y max_ngram_size=3 n_head_per_ngram=1 pad_id=0",
     "input 2 'vocab_sizes' is 3 instead of 2"},
    {15,
     "in i int64 3\nin m int64 3\nin v int64 2\nin e int32 2\nout y int64 N,N\n"
     "com.microsoft:VarlenNGramHashMapping i,m,v,e -> y max_ngram_size=3 n_head_per_ngram=1 "
     "pad_id=0 state_update_capacity=2",
     "capture_count belongs to"},
    {15,
     "in s int64 4\nin c int64 2\nin m int64 2\nout t int64 N\nout i int64 N\n"
     "com.microsoft:BifurcationDetector s,c,m -> t,i",
     "is not one number"},
    {15,
     "in x string 3\nout y string N,N\n"
     "com.microsoft:Tokenizer x -> y mark=0 mincharnum=1 pad_value='#'",
     "neither separators nor a tokenexp"},
    {15,
     "in x string 3\nout y string N,N\n"
     "com.microsoft:Tokenizer x -> y mark=0 mincharnum=2 pad_value='#' tokenexp='.'",
     "where tokens are single characters"},
    {15,
     "in x string 3\nout y string N,N\n"
     "com.microsoft:Tokenizer x -> y mark=0 mincharnum=1 pad_value='#' tokenexp='(a'",
     "tokenexp: "},
    {15,
     "in x string 1,2,3\nout y string N,N,N,N\n"
     "com.microsoft:Tokenizer x -> y mark=0 mincharnum=1 pad_value='#' tokenexp='a'",
     "not [C] or [N, C]"},
    {15,
     "in x int32 4,2\nin w float 5,1,3,6\nin b float 5\nin c float 9,6\nout y float 4,5\n"
     "com.microsoft:WordConvEmbedding x,w,b,c -> y",
     "a window of 3 characters of depth 6 over words of 2"},
    {15,
     "in x int32 4,8\nin w float 5,1,3,6\nin b float 5\nin c float 9,6\nout y float 4,5\n"
     "com.microsoft:WordConvEmbedding x,w,b,c -> y embedding_size=4",
     "embedding_size is 4, the weights are for 5"},
    {15,
     "in x float 4,3,5\nin w float 1,24,9\nin r float 1,24,6\nin q float 1,6,2\n"
     "in k float 1,4,2\nin v float 1,3\nin m float 3,7,4\nout y float N,N,N,N\n"
     "com.microsoft:AttnLSTM x,w,r,,,,,,q,k,v,m -> y hidden_size=6 direction='forward'",
     "input 10 'V' is 1x3 instead of 1x2"},
    {15,
     "in x float 4,3,5\nin w float 1,24,5\nin r float 1,24,6\nin q float 1,6,2\n"
     "in k float 1,4,2\nin v float 1,2\nin m float 3,7,4\nout y float N,N,N,N\n"
     "com.microsoft:AttnLSTM x,w,r,,,,,,q,k,v,m -> y hidden_size=6 direction='forward'",
     "1x24x5 instead of 1x24x9"},
    {15,
     "in q float 4,1,8\nin c float 4,2,6,4\nin i int32 0,4,6\nconst p int32 1 = 3\n"
     "out y float 4,1,8\n"
     "com.microsoft:DecoderMaskedMultiHeadAttention q,q,q,,,c,c,p,,i -> y,k,v num_heads=2 "
     "past_present_share_buffer=1",
     "cache_indirection must be [groups, beams, 6]"},
    {15,
     "in q float 4,1,8\nin c float 4,2,6,4\nin p int32 2\nout y float 4,1,8\n"
     "com.microsoft:DecoderMaskedMultiHeadAttention q,q,q,,,c,c,p -> y,k,v num_heads=2 "
     "past_present_share_buffer=1",
     "past_sequence_length is not one number"},
    {15,
     "in q float 1,1,8\nin c float 1,1,4,8\nin r int32 1,2\nin i int32 1,0\nin n int32 1\n"
     "out y float 1,1,8\n"
     "com.microsoft:SparseAttention q,q,q,c,c,r,i,n,n -> y,k num_heads=1 kv_num_heads=1 "
     "sparse_block_size=16",
     "present_key or present_value is not there"},
};

int main(void)
{
    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        struct accel_buf model = gt_model(cases[i].text, cases[i].opset);
        struct accel_model *m = NULL;
        struct accel_load_options o;
        struct accel_error err = {0};

        accel_load_options_init(&o);
        ok(ob_load(&model, &o, &m, &err) != ACCEL_OK && strstr(err.msg, cases[i].why) != NULL &&
               strstr(err.msg, "node '") != NULL,
           "'%s' is in: %s", cases[i].why, err.msg);
        accel_model_unref(m);
        accel_buf_free(&model);
    }
    return tap_done();
}
