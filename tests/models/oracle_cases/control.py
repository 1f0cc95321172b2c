# SPDX-License-Identifier: Apache-2.0
"""Control flow, sequences, optionals, and functions that a model defines. In ONNX's text form; each with several
inputs, all run through one model."""
import numpy as np
from onnx import parser

F, I, B = np.float32, np.int64, np.bool_
HEAD = '<ir_version: 8, opset_import: ["" : {opset}{more}]>\n'


def run(w, name, text, inputs, opset=17, more=''):
    model = parser.parse_model(HEAD.format(opset=opset, more=more) + text)
    w.whole(name, model, {n: a if isinstance(a, list) else np.asarray(a) for n, a in inputs.items()})


def branches(w):
    x = w.rng.standard_normal((3, 4)).astype(F)
    for c in (True, False):
        run(w, f'if_captures_{c}', '''m (bool c, float[3,4] x, float[N] k) => (float[M, P] y, float[Q] z) <float[4] s = {1, 2, 3, 4}> {
            a = Relu (x)
            y, z = If (c) <
              then_branch = t () => (float[3,4] p, float[Q] q) { p = Mul (a, s) q = Neg (k) },
              else_branch = e () => (float[4,3] p, float[1] q) { p = Transpose (a) one = Constant <value_floats = [1.0]> () q = Exp (one) }>
        }''', {'c': B(c), 'x': x, 'k': np.arange(5, dtype=F)})
        run(w, f'if_ranks_{c}', '''m (bool c, float[3,4] x) => (float y) {
            y = If (c) <then_branch = t () => (float r) { r = ReduceSum <keepdims = 0> (x) }, else_branch = e () => (float[3,4] r) { r = Neg (x) }>
        }''', {'c': B(c), 'x': x})
        # The same value out of both, and an outer one handed on as it is.
        run(w, f'if_hands_on_{c}', '''m (bool c, float[3,4] x) => (float[3,4] y, float[3,4] z) {
            n = Neg (x)
            y, z = If (c) <then_branch = t () => (float[3,4] p, float[3,4] q) { p = Identity (x) q = Identity (n) },
                           else_branch = e () => (float[3,4] p, float[3,4] q) { p = Identity (n) q = Identity (n) }>
        }''', {'c': B(c), 'x': x})
        # Captures of captures; the inner If's condition is computed in the outer branch.
        run(w, f'if_nested_{c}', '''m (bool c, float[3,4] x, float[3,4] u) => (float[3,4] y) {
            h = Add (x, u)
            y = If (c) <then_branch = t () => (float[3,4] p) {
                  s = ReduceSum <keepdims = 0> (u) zero = Constant <value_float = 0.0> () d = Greater (s, zero)
                  p = If (d) <then_branch = tt () => (float[3,4] q) { q = Mul (h, s) }, else_branch = te () => (float[3,4] q) { q = Sub (h, x) }>
                }, else_branch = e () => (float[3,4] p) {
                  not = Not (c)
                  p = If (not) <then_branch = et () => (float[3,4] q) { w = Relu (u) q = Max (w, h) }, else_branch = ee () => (float[3,4] q) { q = Identity (x) }>
                }>
        }''', {'c': B(c), 'x': x, 'u': w.rng.standard_normal((3, 4)).astype(F)})
    # A condition that follows from shapes, with a branch that these shapes do not fit.
    run(w, 'if_of_shapes', '''m (float[N,M] x) => (float[12] y) {
        r = Shape (x) n = Size (r) two = Constant <value_int = 2> () c = Equal (n, two)
        y = If (c) <then_branch = t () => (float[12] p) { s = Constant <value_ints = [-1]> () p = Reshape (x, s) },
                    else_branch = e () => (float[12] p) { a = Constant <value_ints = [0]> () p = Squeeze (x, a) }>
    }''', {'x': x})
    run(w, 'if_of_constants', '''m (float[3,4] x) => (float[3,4] y) <bool no = {0}, float[4] s = {1, 2, 3, 4}> {
        k = Neg (s)
        y = If (no) <then_branch = t () => (float[3,4] p) { p = Mul (x, s) },
                     else_branch = e () => (float[3,4] p) { yes = Not (no) p = If (yes) <
                        then_branch = et () => (float[3,4] q) { a = Add (x, k) q = Relu (a) }, else_branch = ee () => (float[3,4] q) { q = Identity (x) }> }>
    }''', {'x': x})


def loops(w):
    x = w.rng.standard_normal((2, 3)).astype(F)
    body = '''<body = b (int64 i, bool go, float[2,3] s) => (bool more, float[2,3] t, float[2,3] each) {
              f = Cast <to = 1> (i) t = Add (s, x) each = Mul (t, f) l = Constant <value_int = 3> () more = Less (i, l) }>'''
    for trips, go in ((5, True), (2, True), (0, True), (4, False)):
        run(w, f'loop_{trips}_{go}', f'm (int64 n, bool c, float[2,3] x) => (float[2,3] y, float[K,2,3] all) {{ y, all = Loop (n, c, x) {body} }}',
            {'n': I(trips), 'c': B(go), 'x': x})
    # No iteration, and shapes that only one could tell.
    run(w, 'loop_never', '''m (int64 n, float[A,B] x) => (float[A,B] y, float[K,A,B] all, int64[K] i) {
        y, all, i = Loop (n, , x) <body = b (int64 j, bool go, float[P,Q] s) => (bool more, float[P,Q] t, float[P,Q] e, int64 k) {
            t = Relu (s) e = Neg (s) k = Identity (j) more = Identity (go) }>
    }''', {'n': I(0), 'x': x})
    run(w, 'loop_while', f'm (bool c, float[2,3] x) => (float[2,3] y, float[K,2,3] all) {{ y, all = Loop (, c, x) {body} }}', {'c': B(True), 'x': x})
    run(w, 'loop_for', f'm (int64 n, float[2,3] x) => (float[2,3] y, float[K,2,3] all) {{ y, all = Loop (n, , x) {body} }}', {'n': I(9), 'x': x})
    # What is carried grows; two values change places; one is handed on untouched.
    run(w, 'loop_grows', '''m (int64 n, float[N] x) => (float[M] y) {
        y = Loop (n, , x) <body = b (int64 i, bool go, float[P] s) => (bool more, float[Q] t) { t = Concat <axis = 0> (s, x) more = Identity (go) }>
    }''', {'n': I(4), 'x': np.arange(3, dtype=F)})
    run(w, 'loop_swaps', '''m (int64 n, float[3] a, float[3] b, float[2] k) => (float[3] p, float[3] q, float[2] r) {
        p, q, r = Loop (n, , a, b, k) <body = d (int64 i, bool go, float[3] s, float[3] t, float[2] u) => (bool more, float[3] so, float[3] to, float[2] uo) {
            so = Identity (t) to = Identity (s) uo = Identity (u) more = Identity (go) }>
    }''', {'n': I(3), 'a': np.arange(3, dtype=F), 'b': -np.arange(3, dtype=F), 'k': np.ones(2, F)})
    run(w, 'loop_collects_scalars', '''m (int64 n) => (int64 last, int64[K] squares, string[K] words) <string hello = {"hello"}> {
        zero = Constant <value_int = 0> ()
        last, squares, words = Loop (n, , zero) <body = b (int64 i, bool go, int64 s) => (bool more, int64 t, int64 q, string w) {
            t = Add (s, i) q = Mul (i, i) w = Identity (hello) more = Identity (go) }>
    }''', {'n': I(40)})
    # Loops in loops, with captures of both outer graphs, an inner trip count that is computed, and a way out.
    run(w, 'loop_nested', '''m (int64 n, float[2,3] x) => (float[2,3] y, float[K,2,3] all) {
        y, all = Loop (n, , x) <body = b (int64 i, bool go, float[2,3] s) => (bool more, float[2,3] t, float[2,3] e) {
            k = Mul (n, i) f = Cast <to = 1> (k)
            t = Loop (i, , s) <body = bb (int64 j, bool g, float[2,3] v) => (bool m2, float[2,3] u) {
                h = Mul (x, f) u = Add (v, h) lim = Constant <value_int = 2> () d = Less (j, lim) m2 = And (d, g) }>
            e = Neg (t) more = Identity (go) }>
    }''', {'n': I(5), 'x': x})
    run(w, 'loop_if_in_it', '''m (int64 n, float[3] x) => (float[3] y, float[K] which) {
        y, which = Loop (n, , x) <body = b (int64 i, bool go, float[3] s) => (bool more, float[3] t, float w) {
            two = Constant <value_int = 2> () r = Mod (i, two) c = Cast <to = 9> (r)
            t, w = If (c) <then_branch = p () => (float[3] a, float b1) { a = Add (s, x) b1 = Constant <value_float = 1.0> () },
                           else_branch = q () => (float[3] a, float b1) { a = Mul (s, x) b1 = ReduceSum <keepdims = 0> (s) }>
            more = Identity (go) }>
    }''', {'n': I(6), 'x': np.array([1, 2, -1], F)})


def recurrences(w):
    # Weights of the outer graph in the body: a Gemm whose constant is captured.
    run(w, 'loop_recurrent', '''m (float[T,2,4] x, float[2,5] h) => (float[2,5] y, float[T,2,5] all) {
        n = Shape <start = 0, end = 1> (x) t0 = Squeeze (n)
        y, all = Loop (t0, , h) <body = b (int64 i, bool go, float[2,5] s) => (bool more, float[2,5] t, float[2,5] e) {
            xi = Gather <axis = 0> (x, i) a = Gemm (xi, wx, bias) c = MatMul (s, wh) d = Add (a, c) t = Tanh (d) e = Identity (t) more = Identity (go) }>
    }'''.replace('float[2,5] h) =>', 'float[2,5] h, float[4,5] wx, float[5,5] wh, float[5] bias) =>'),
        {'x': w.rng.standard_normal((6, 2, 4)).astype(F), 'h': np.zeros((2, 5), F), 'wx': w.rng.standard_normal((4, 5)).astype(F),
         'wh': w.rng.standard_normal((5, 5)).astype(F), 'bias': w.rng.standard_normal(5).astype(F)})


def scans(w):
    x, s = w.rng.standard_normal((5, 2, 3)).astype(F), np.ones((2, 3), F)
    body = 'body = b (float[2,3] s, float[2,3] v) => (float[2,3] t, float[2,3] o) { t = Add (s, v) o = Mul (t, v) }'
    for label, attributes, value in (('plain', '', x), ('back', ', scan_input_directions = [1]', x), ('axis_1', ', scan_input_axes = [1]', x.transpose(1, 0, 2)),
                                     ('axis_last', ', scan_input_axes = [-1]', x.transpose(1, 2, 0)), ('out_1', ', scan_output_axes = [1]', x),
                                     ('out_last_back', ', scan_output_axes = [-1], scan_output_directions = [1]', x),
                                     ('all', ', scan_input_axes = [2], scan_input_directions = [1], scan_output_axes = [1], scan_output_directions = [1]', x.transpose(1, 2, 0))):
        shape = ','.join(map(str, value.shape))
        run(w, f'scan_{label}', f'm (float[2,3] s, float[{shape}] x) => (float[2,3] t, float[A,B,C] y) {{ t, y = Scan (s, x) <{body}, num_scan_inputs = 1{attributes}> }}',
            {'s': s, 'x': np.ascontiguousarray(value)})
    # Several of each, of several types, captures, no state.
    run(w, 'scan_two_inputs', '''m (int64[4] a, float[3,4] b, float k) => (float[4,3] y, int64[4] z) {
        y, z = Scan (a, b) <body = d (int64 i, float[3] v) => (float[3] p, int64 q) { f = Cast <to = 1> (i) g = Mul (f, k) p = Add (v, g) q = Neg (i) },
                            num_scan_inputs = 2, scan_input_axes = [0, 1], scan_input_directions = [0, 1]>
    }''', {'a': np.arange(4, dtype=I), 'b': w.rng.standard_normal((3, 4)).astype(F), 'k': F(0.5)})
    # Scan-8 has a batch, and lengths.
    text = '''m ({lens}float[2,3] s, float[2,5,3] x) => (float[2,3] t, float[2,5,3] y) {{
        t, y = Scan ({given}, s, x) <body = b (float[3] s, float[3] v) => (float[3] t, float[3] o) {{ t = Add (s, v) o = Mul (t, v) }}, num_scan_inputs = 1{more}>
    }}'''
    batch = w.rng.standard_normal((2, 5, 3)).astype(F)
    for label, lens, more in (('plain', None, ''), ('back', None, ', directions = [1]'), ('lengths', [3, 5], '')):
        given = {'s': s, 'x': batch} if lens is None else {'lens': np.array(lens, I), 's': s, 'x': batch}
        run(w, f'scan8_{label}', text.format(lens='' if lens is None else 'int64[2] lens, ', given='' if lens is None else 'lens', more=more), given, opset=8)


def sequences(w):
    x = w.rng.standard_normal((4, 6)).astype(F)
    run(w, 'sequence_loop', '''m (int64 n, float[4,6] x) => (seq(float[N]) all, float[M] joined, int64 len) {
        e = SequenceEmpty <dtype = 1> ()
        all = Loop (n, , e) <body = b (int64 i, bool go, seq(float[P]) s) => (bool more, seq(float[Q]) t) {
            zero = Constant <value_ints = [0]> () i1 = Unsqueeze (i, zero) one = Constant <value_ints = [1]> () j = Add (i1, one)
            row = Slice (x, i1, j) flat = Constant <value_ints = [-1]> () r = Reshape (row, flat) part = Slice (r, zero, j)
            t = SequenceInsert (s, part) more = Identity (go) }>
        joined = ConcatFromSequence <axis = 0> (all) len = SequenceLength (all)
    }''', {'n': I(4), 'x': x})
    run(w, 'sequence_edit', '''m (float[4,6] x, int64 p) => (seq(float[N,M]) a, seq(float[N,M]) b, float[N,M] c, seq(float[N,M]) d) <int64 last = {-1}> {
        s = SplitToSequence <axis = 1, keepdims = 1> (x) n = Neg (x)
        a = SequenceInsert (s, n, p) b = SequenceErase (a, p) c = SequenceAt (a, p) d = SequenceErase (b)
    }''', {'x': x, 'p': I(-2)})
    for label, split in (('even', I(2)), ('uneven', I(4)), ('listed', np.array([1, 0, 5], I))):
        run(w, f'sequence_split_{label}', f'm (float[4,6] x, int64{"[3]" if np.ndim(split) else ""} k) => (seq(float[4,M]) y, float[4,6] z) {{ y = SplitToSequence <axis = -1> (x, k) z = ConcatFromSequence <axis = 1> (y) }}',
            {'x': x, 'k': split})
    run(w, 'sequence_stack', '''m (float[4,6] x, float[4,6] u) => (float[4,2,6] y, float[4,6,2] z) {
        n = Relu (u) s = SequenceConstruct (x, n) y = ConcatFromSequence <axis = 1, new_axis = 1> (s) z = ConcatFromSequence <axis = -1, new_axis = 1> (s)
    }''', {'x': x, 'u': w.rng.standard_normal((4, 6)).astype(F)})
    for c in (True, False):
        run(w, f'sequence_if_{c}', '''m (bool c, float[4,6] x) => (seq(float[N,M]) y) {
            e = SequenceConstruct (x, x)
            y = If (c) <then_branch = t () => (seq(float[N,M]) s) { n = Neg (x) s = SequenceInsert (e, n) }, else_branch = f () => (seq(float[N,M]) s) { s = SequenceErase (e) }>
        }''', {'c': B(c), 'x': x})
    run(w, 'sequence_given', '''m (seq(float[N]) s, float[2] k) => (seq(float[N]) back, float[M] first, seq(float[M]) mapped) <int64 zero = {0}> {
        back = SequenceInsert (s, k, zero) first = SequenceAt (s, zero)
        mapped = SequenceMap (back) <body = b (float[N] v) => (float[N] o) { q = Mul (v, v) o = Concat <axis = 0> (q, k) }>
    }''', {'s': [np.arange(n, dtype=F) for n in (3, 1, 4)], 'k': np.array([7, 8], F)})


def functions(w):
    x = w.rng.standard_normal((3, 4)).astype(F)
    more = ', "own" : 1'
    head = '<domain: "own", opset_import: ["" : {}, "own" : 1]>\n'
    run(w, 'function_attributes', '''m (float[3,4] x) => (float[3,4] y, float[3,4] z) { y = own.leak <slope = 0.3> (x) z = own.leak (x) }
        ''' + head.format(17) + '''leak <slope: float = 0.1> (a) => (b) { b = LeakyRelu <alpha: float = @slope> (a) }''', {'x': x}, more=more)
    run(w, 'function_nested', '''m (float[3,4] x) => (float[3,4] y) { t = own.outer <s = 2.0> (x) y = own.outer <s = -1.0> (t) }
        ''' + head.format(17) + '''outer <s> (a) => (d) { b = own.inner <k: float = @s> (a) c = own.inner <k = 3.0> (b) d = Sub (c, a) }
        ''' + head.format(17) + '''inner <k> (a) => (b) { c = Constant <value_float: float = @k> () b = Mul (a, c) }''', {'x': x}, more=more)
    # A body may import another opset than the model, where that means the same.
    run(w, 'function_opset', '''m (float[3,4] x) => (float[3,4] y) { y = own.f (x) }
        ''' + head.format(13) + '''f (a) => (b) { c = Softmax <axis = 0> (a) b = Relu (c) }''', {'x': x}, more=more)
    run(w, 'function_subgraph', '''m (bool c, float[3,4] x) => (float[3,4] y) { y = own.f (c, x) }
        ''' + head.format(17) + '''f (c, a) => (b) { n = Neg (a) b = If (c) <then_branch = t () => (float[3,4] p) { p = own.g (n) }, else_branch = e () => (float[3,4] p) { p = Identity (a) }> }
        ''' + head.format(17) + '''g (a) => (b) { b = Exp (a) }''', {'c': B(True), 'x': x}, more=more)
    # Inputs left out.
    run(w, 'function_left_out', '''m (float[3,4] x) => (float[3,4] y, float[3,4] z) { y, u = own.f (x) z, v = own.f (x, , y) }
        ''' + head.format(17) + '''f (a, low, b) => (c, d) { c = Clip (a, low) d = Neg (c) }''', {'x': x}, more=more)
    chain = '\n'.join(head.format(17) + f'f{i} (a) => (b) {{ c = own.f{i + 1} (a) d = own.f{i + 1} (c) b = Tanh (d) }}' for i in range(9))
    run(w, 'function_chain', 'm (float[3,4] x) => (float[3,4] y) { y = own.f0 (x) }\n' + chain + '\n' + head.format(17) + 'f9 (a) => (b) { b = Sin (a) }', {'x': x}, more=more)


EXACT = (branches, loops, scans, sequences)
NEAR = (recurrences, functions)
