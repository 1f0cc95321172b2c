# SPDX-License-Identifier: Apache-2.0
"""Text generation: searches that run a small random decoder in a subgraph."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

import oracle_cases

MS = 'com.microsoft'
F, I = np.float32, np.int32


class Body:
    """A subgraph in the making."""

    def __init__(self, rng, heads, size):
        self.rng, self.heads, self.size, self.hidden = rng, heads, size, heads * size
        self.nodes, self.constants = [], []

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, name, value):
        if name not in {c.name for c in self.constants}:
            self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name, *shape, scale=1.0):
        return self.constant(name, (self.rng.standard_normal(shape) * scale).astype(F))

    def heads_of(self, x, weight, out):
        """[B, S, hidden] by a weight, as [B, heads, S, size]."""
        shape = self.constant('heads', np.array([0, 0, self.heads, self.size], np.int64))
        self.add('MatMul', [x, self.weight(weight, self.hidden, self.hidden)], out + '_flat')
        self.add('Reshape', [out + '_flat', shape], out + '_split')
        return self.add('Transpose', [out + '_split'], out, perm=[0, 2, 1, 3])

    def attend(self, q, k, v, bias, out):
        """softmax(q k' + bias) v, back as [B, S, hidden]; bias None: nothing is masked."""
        flat = self.constant('flat', np.array([0, 0, self.hidden], np.int64))
        self.add('Transpose', [k], out + '_t', perm=[0, 1, 3, 2])
        last = self.add('MatMul', [q, out + '_t'], out + '_qk')
        if bias:
            last = self.add('Add', [last, bias], out + '_masked')
        self.add('Softmax', [last], out + '_weights', axis=-1)
        self.add('MatMul', [out + '_weights', v], out + '_heads')
        self.add('Transpose', [out + '_heads'], out + '_joined', perm=[0, 2, 1, 3])
        return self.add('Reshape', [out + '_joined', flat], out)

    def bias(self, mask, out):
        """[B, T] of 0 and 1 as what is added to scores of [B, heads, S, T]."""
        self.add('Cast', [mask], out + '_float', to=TensorProto.FLOAT)
        self.add('Sub', [self.constant('one', F(1)), out + '_float'], out + '_hidden')
        self.add('Mul', [out + '_hidden', self.constant('far', F(-10000))], out + '_far')
        return self.add('Unsqueeze', [out + '_far', self.constant('axes', np.array([1, 2], np.int64))], out)

    def graph(self, name, inputs, outputs):
        def infos(values):
            return [helper.make_tensor_value_info(*v) for v in values]
        return helper.make_graph(self.nodes, name, infos(inputs), infos(outputs), self.constants)


def gpt(rng, vocab=11, heads=2, size=3, layers=2, length=64, outer=None):
    """A decoder whose states are its keys and values; outer: a value [vocab] of the graph around it, added to the logits."""
    b = Body(rng, heads, size)
    b.add('Gather', [b.weight('words', vocab, b.hidden), 'input_ids'], 'word')
    b.add('Gather', [b.weight('places', length, b.hidden), 'position_ids'], 'place')
    x = b.add('Add', ['word', 'place'], 'H0')
    bias = b.bias('attention_mask', 'bias')
    front = b.constant('front', np.array([0], np.int64))
    for i in range(layers):
        q, k, v = (b.heads_of(x, f'W{c}{i}', f'{c}{i}') for c in 'QKV')
        whole = []
        for j, now in enumerate((k, v)):
            b.add('Gather', [f'past_{i}', b.constant(f'index{j}', np.int64(j))], f'{now}_past', axis=0)
            b.add('Concat', [f'{now}_past', now], f'{now}_all', axis=2)
            whole.append(b.add('Unsqueeze', [f'{now}_all', front], f'{now}_front'))
        b.add('Concat', whole, f'present_{i}', axis=0)
        b.add('Add', [x, b.attend(q, f'{k}_all', f'{v}_all', bias, f'A{i}')], f'R{i}')
        x = b.add('Tanh', [f'R{i}'], f'H{i + 1}')
    b.add('MatMul', [x, b.weight('out', b.hidden, vocab, scale=2)], 'plain' if outer else 'logits')
    if outer:
        b.add('Add', ['plain', outer], 'logits')
    state = [2, 'batch', heads, 'past', size]
    return b.graph(
        'decoder',
        [(n, TensorProto.INT32, ['batch', c]) for n, c in (('input_ids', 's'), ('position_ids', 's'), ('attention_mask', 'all'))] +
        [(f'past_{i}', TensorProto.FLOAT, state) for i in range(layers)],
        [('logits', TensorProto.FLOAT, ['batch', 's', vocab])] +
        [(f'present_{i}', TensorProto.FLOAT, [2, 'batch', heads, 'all', size]) for i in range(layers)])


def layer(b, x, i, own, cross, bias=None):
    """Layer i of a decoder that attends to keys and values of its own, then to those of an encoder."""
    b.add('Add', [x, b.attend(b.heads_of(x, f'Wq{i}', f'Q{i}'), *own, None, f'A{i}')], f'R{i}')
    b.add('Add', [f'R{i}', b.attend(b.heads_of(f'R{i}', f'Wqc{i}', f'QC{i}'), *cross, bias, f'C{i}')], f'S{i}')
    return b.add('Tanh', [f'S{i}'], f'H{i + 1}')


def see_hidden(b, x):
    """How much the encoder was given, as a number that is added."""
    b.add('Shape', ['encoder_hidden_states'], 'extent')
    b.add('Gather', ['extent', b.constant('index1', np.int64(1))], 'count')
    b.add('Cast', ['count'], 'number', to=TensorProto.FLOAT)
    b.add('Div', ['number', b.constant('many', F(10))], 'small')
    return b.add('Add', [x, 'small'], 'HH')


def t5(rng, vocab=11, heads=2, size=3, layers=2, hidden=False, whole=False, late=False):
    """(encoder, decoder) of a model with both, which makes its first token in the encoder's graph; late: in the decoder's.
    hidden: the decoder is given the encoder's output (and looks at its shape); whole: it is given all tokens each time (and
    looks at the last)."""
    e = Body(rng, heads, size)
    kinds = ('key', 'value')
    e.add('Gather', [e.weight('words', vocab, e.hidden), 'encoder_input_ids'], 'read')
    e.add('Tanh', ['read'], 'encoder_hidden_states')
    bias = e.bias('encoder_attention_mask', 'bias')
    x = e.add('Gather', ['words', 'decoder_input_ids'], 'H0')
    for i in range(layers):
        own = [e.heads_of(x, f'Wself{k}{i}', f'present_{k}_self_{i}') for k in kinds]
        cross = [e.heads_of('encoder_hidden_states', f'Wcross{k}{i}', f'present_{k}_cross_{i}') for k in kinds]
        x = layer(e, x, i, own, cross, bias)
    e.add('MatMul', [x, e.weight('out', e.hidden, vocab, scale=2)], 'logits')
    ids = ('encoder_input_ids', 'encoder_attention_mask')
    encoder = e.graph(
        'encoder', [(n, TensorProto.INT32, ['batch', 'read']) for n in ids] + [('decoder_input_ids', TensorProto.INT32, ['batch', 1])],
        [('logits', TensorProto.FLOAT, ['batch', 1, vocab]), ('encoder_hidden_states', TensorProto.FLOAT, ['batch', 'read', e.hidden])] +
        [(f'present_{k}_self_{i}', TensorProto.FLOAT, ['batch', heads, 1, size]) for i in range(layers) for k in kinds] +
        [(f'present_{k}_cross_{i}', TensorProto.FLOAT, ['batch', heads, 'read', size]) for i in range(layers) for k in kinds])

    if late:
        for outputs, gone in ((encoder.output, lambda o: 'cross' not in o.name), (encoder.input, lambda i: i.name == 'decoder_input_ids')):
            kept = [o for o in outputs if not gone(o)]
            del outputs[:]
            outputs.extend(kept)
        needed, nodes = {o.name for o in encoder.output}, []
        for node in reversed(e.nodes):
            if needed & set(node.output):
                needed.update(node.input)
                nodes.insert(0, node)
        del encoder.node[:]
        encoder.node.extend(nodes)

    b = Body(rng, heads, size)
    last = 'input_ids'
    if whole:
        b.add('Gather', ['input_ids', b.constant('minus', np.array([-1], np.int64))], 'last', axis=1)
        last = 'last'
    x = b.add('Gather', [b.weight('words', vocab, b.hidden), last], 'H0')
    if hidden:
        x = see_hidden(b, x)
    bias = b.bias('encoder_attention_mask', 'bias')
    for i in range(layers):
        own = [b.add('Concat', [f'past_{k}_self_{i}', b.heads_of(x, f'Wself{k}{i}', f'now_{k}_{i}')], f'present_{k}_self_{i}', axis=2)
               for k in kinds]
        x = layer(b, x, i, own, [f'past_{k}_cross_{i}' for k in kinds], bias)
    b.add('MatMul', [x, b.weight('out', b.hidden, vocab, scale=2)], 'logits')
    decoder = b.graph(
        'decoder', [('input_ids', TensorProto.INT32, ['rows', 's' if whole else 1]), ('encoder_attention_mask', TensorProto.INT32, ['rows', 'read'])] +
        ([('encoder_hidden_states', TensorProto.FLOAT, ['rows', 'read', b.hidden])] if hidden else []) +
        [(f'past_{k}_self_{i}', TensorProto.FLOAT, ['rows', heads, 'past', size]) for i in range(layers) for k in kinds] +
        [(f'past_{k}_cross_{i}', TensorProto.FLOAT, ['rows', heads, 'read', size]) for i in range(layers) for k in kinds],
        [('logits', TensorProto.FLOAT, ['rows', 1, vocab])] +
        [(f'present_{k}_self_{i}', TensorProto.FLOAT, ['rows', heads, 'all', size]) for i in range(layers) for k in kinds])
    return encoder, decoder


def whisper(rng, vocab=11, heads=2, size=3, layers=2, features=4, hidden=False, whole=False):
    """(encoder, decoder) of a model that hears [batch, features, length] and is given its first tokens; hidden, whole: as of t5()."""
    e, b = Body(rng, heads, size), Body(rng, heads, size)
    kinds, real = ('key', 'value'), TensorProto.FLOAT
    e.add('Transpose', ['encoder_input_ids'], 'frames', perm=[0, 2, 1])
    e.add('MatMul', ['frames', e.weight('ears', features, e.hidden)], 'heard')
    e.add('Tanh', ['heard'], 'encoder_hidden_states')
    x = e.add('Gather', [e.weight('words', vocab, e.hidden), 'decoder_input_ids'], 'H0')
    for i in range(layers):
        own = [e.heads_of(x, f'Wself{k}{i}', f'present_{k}_self_{i}') for k in kinds]
        cross = [e.heads_of('encoder_hidden_states', f'Wcross{k}{i}', f'present_{k}_cross_{i}') for k in kinds]
        x = layer(e, x, i, own, cross)
    e.add('MatMul', [x, e.weight('out', e.hidden, vocab, scale=2)], 'logits')
    encoder = e.graph(
        'encoder', [('encoder_input_ids', real, ['batch', features, 'heard']), ('decoder_input_ids', TensorProto.INT32, ['batch', 's'])],
        [('logits', real, ['batch', 's', vocab]), ('encoder_hidden_states', real, ['batch', 'heard', e.hidden])] +
        [(f'present_{k}_self_{i}', real, ['batch', heads, 's', size]) for i in range(layers) for k in kinds] +
        [(f'present_{k}_cross_{i}', real, ['batch', heads, 'heard', size]) for i in range(layers) for k in kinds])

    last = 'input_ids'
    if whole:
        last = b.add('Gather', ['input_ids', b.constant('minus', np.array([-1], np.int64))], 'last', axis=1)
    x = b.add('Gather', [b.weight('words', vocab, b.hidden), last], 'H0')
    if hidden:
        x = see_hidden(b, x)
    for i in range(layers):
        own = [b.add('Concat', [f'past_{k}_self_{i}', b.heads_of(x, f'Wself{k}{i}', f'now_{k}_{i}')], f'present_{k}_self_{i}', axis=2)
               for k in kinds]
        x = layer(b, x, i, own, [f'past_{k}_cross_{i}' for k in kinds])
    b.add('MatMul', [x, b.weight('out', b.hidden, vocab, scale=2)], 'logits')
    decoder = b.graph(
        'decoder', [('input_ids', TensorProto.INT32, ['rows', 's' if whole else 1])] +
        ([('encoder_hidden_states', real, ['rows', 'heard', b.hidden])] if hidden else []) +
        [(f'past_{k}_self_{i}', real, ['rows', heads, 'past', size]) for i in range(layers) for k in kinds] +
        [(f'past_{k}_cross_{i}', real, ['rows', heads, 'heard', size]) for i in range(layers) for k in kinds],
        [('logits', real, ['rows', 1, vocab])] + [(f'present_{k}_self_{i}', real, ['rows', heads, 'all', size]) for i in range(layers) for k in kinds])
    return encoder, decoder


def search(op, names, given, outputs=1, constants=(), before=(), opset=15, **attributes):
    """(model, inputs). names: of the operator's inputs, in order; given: by name; constants: those that are initialisers."""
    given = {n: np.asarray(a) for n, a in given.items()}
    used = [n if n in given else '' for n in names]
    while used and not used[-1]:
        used.pop()
    results = [f'y{i}' for i in range(outputs)]
    node = helper.make_node(op, used, results, domain=MS, **attributes)
    kinds = [TensorProto.INT32, TensorProto.FLOAT, TensorProto.FLOAT][:outputs]
    graph = helper.make_graph(
        [*before, node], op,
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given.items() if n not in constants],
        [helper.make_tensor_value_info(n, k, None) for n, k in zip(results, kinds, strict=True)],
        [numpy_helper.from_array(a, n) for n, a in given.items() if n in constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset), helper.make_opsetid(MS, 1)], ir_version=8 if opset < 19 else 10)
    return model, {n: a for n, a in given.items() if n not in constants}


GREEDY = ['input_ids', 'max_length', 'min_length', 'repetition_penalty', 'vocab_mask', 'prefix_vocab_mask', 'attention_mask']
PROMPT = np.array([[1, 2, 3], [0, 4, 5]], I)
NONE = 99  # no token of these vocabularies: as the end of a sequence it never comes


def ended(ids, pad):
    """All the sequences: what ONNX Runtime then leaves behind them is whatever was in memory."""
    return bool((ids == pad).any(axis=-1).all())


def greedy(w):
    def case(name, decoder=None, constants=(), before=(), attributes=None, **given):
        given = {'input_ids': PROMPT, 'max_length': I(14), **given}
        attributes = {'eos_token_id': NONE, 'pad_token_id': 0, **(attributes or {})}
        outer = {n: given.pop(n) for n in list(given) if n not in GREEDY}
        model, inputs = search('GreedySearch', GREEDY, {**given, **outer}, 1, constants, before,
                               decoder=decoder or gpt(w.rng), **attributes)
        assert attributes['eos_token_id'] == NONE or not ended(oracle_cases.answers(model, inputs, True)[0], -1), name
        w.whole('greedy_' + name, model, inputs)

    w.reseed()
    plain = gpt(w.rng)
    case('plain', plain)
    case('constants', plain, ('max_length',))
    case('one_token', plain, max_length=np.array([4], I))
    for eos in range(11):
        case(f'until_{eos}', plain, input_ids=np.array([[1, 2, 3], [0, 4, 5], [7, 8, 8], [3, 0, 1]], I), max_length=I(9),
             attributes={'eos_token_id': eos, 'pad_token_id': -1}, min_length=I(2 + eos % 5))
    case('repetition', plain, repetition_penalty=np.array([1.7], F))
    case('repetition_wanted', plain, repetition_penalty=F(0.6))
    for n in (1, 2, 3, 13, 30):
        case(f'ngram_{n}', plain, max_length=I(40), attributes={'no_repeat_ngram_size': n})
    case('ngram_repetition', plain, max_length=I(40), repetition_penalty=F(1.2), attributes={'no_repeat_ngram_size': 2})
    case('vocab_mask', plain, vocab_mask=np.array([1, 0] * 5 + [1], I))
    case('nothing_allowed', plain, vocab_mask=np.zeros(11, I))
    case('prefix_mask', plain, prefix_vocab_mask=np.array([[0] * 5 + [1] * 6, [1] * 2 + [0] * 9], I))
    case('attention_mask', plain, attention_mask=np.array([[1, 0, 1], [1, 1, 1]], I))
    case('all', plain, min_length=I(6), repetition_penalty=F(1.3), vocab_mask=np.array([1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1], I),
         prefix_vocab_mask=np.array([[1, 0] * 5 + [1], [1] * 11], I), attention_mask=np.array([[1, 1, 1], [0, 1, 1]], I),
         attributes={'no_repeat_ngram_size': 3, 'pad_token_id': 2})
    case('pads', plain, attributes={'pad_token_id': 4})
    case('small_vocab', plain, input_ids=PROMPT[:1, :1], attributes={'vocab_size': 7})
    case('vocab_said', plain, attributes={'vocab_size': 11})
    case('init_decoder', plain, attributes={'init_decoder': gpt(w.rng)})
    case('large', gpt(w.rng, vocab=500, heads=4, size=8, layers=3), input_ids=w.rng.integers(1, 500, (5, 7)).astype(I), max_length=I(30))
    case('one_head', gpt(w.rng, heads=1, size=5, layers=1))
    case('captures', gpt(w.rng, outer='added'), before=[helper.make_node('Neg', ['bias_of_words'], ['added'])],
         bias_of_words=w.rng.standard_normal(11).astype(F))


SAMPLING = [*GREEDY, 'presence_mask', 'seed']


def sampled(w):
    """Never without both top_p and min_tokens_to_keep: whether the best is kept then hangs on the last bit of a sum."""
    def case(name, decoder=None, constants=(), attributes=None, **given):
        given = {'input_ids': PROMPT, 'max_length': I(14), 'seed': I(5), **given}
        attributes = {'eos_token_id': NONE, 'pad_token_id': 0, 'top_p': 0.9, **(attributes or {})}
        given = {n: a for n, a in given.items() if a is not None}
        model, inputs = search('Sampling', SAMPLING, given, 1, constants, decoder=decoder or gpt(w.rng), **attributes)
        assert attributes['eos_token_id'] == NONE or not ended(oracle_cases.answers(model, inputs, True)[0], -1), name
        w.whole('sampled_' + name, model, inputs)

    w.reseed()
    plain = gpt(w.rng)
    four = np.array([[1, 2, 3], [0, 4, 5], [7, 8, 8], [3, 0, 1]], I)
    for seed in (None, 0, 1, 2, 12345, 2**31 - 1):
        case(f'seed_{seed}', plain, seed=None if seed is None else I(seed))
    case('constants', plain, ('max_length', 'seed'), seed=np.array([8], I))
    for p in (-1, 0, 0.1, 0.3, 0.5, 0.7, 0.99, 1, 2):
        for custom in (0, 1):
            for keep in (1, 4, 10):
                case(f'p_{p}_{custom}_{keep}', plain, input_ids=four, attributes={'top_p': float(p), 'custom': custom, 'min_tokens_to_keep': keep})
    case('filter_kept', plain, attributes={'top_p': 0.2, 'filter_value': 1.5})
    case('filter_infinite', plain, attributes={'top_p': 0.2, 'filter_value': -np.inf})
    for temperature in (-1, 0, 0.1, 0.5, 3, 50):
        case(f'temperature_{temperature}', plain, attributes={'temperature': float(temperature)})
    for eos in range(11):
        case(f'until_{eos}', plain, input_ids=np.tile(four, (3, 1)), max_length=I(9), attributes={'eos_token_id': eos, 'pad_token_id': -1}, seed=I(eos),
             min_length=I(2 + eos % 5))
    presence = w.rng.integers(-1, 3, (2, 11)).astype(I)
    case('presence', plain, presence_mask=presence, attributes={'presence_penalty': 0.375})
    case('presence_wanted', plain, presence_mask=presence, attributes={'presence_penalty': -0.5})
    case('presence_free', plain, presence_mask=presence)
    case('all', plain, min_length=I(6), repetition_penalty=F(1.3), vocab_mask=np.array([1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1], I),
         prefix_vocab_mask=np.array([[1, 0] * 5 + [1], [1] * 11], I), attention_mask=np.array([[1, 1, 1], [0, 1, 1]], I),
         presence_mask=presence, attributes={'no_repeat_ngram_size': 3, 'presence_penalty': 0.25, 'temperature': 1.5, 'vocab_size': 11})
    case('nothing_allowed', plain, vocab_mask=np.zeros(11, I))
    # A token that does not exist: nothing is run on what stands last, and behind an end there are pads.
    case('nothing_left', plain, vocab_mask=np.zeros(11, I), max_length=I(4), attributes={'temperature': 0.5})
    case('nothing_left_filtered', plain, max_length=I(4), attributes={'top_p': -1.0, 'filter_value': -np.inf})
    case('init_decoder', plain, attributes={'init_decoder': gpt(w.rng)})
    for custom in (0, 1):
        case(f'large_{custom}', gpt(w.rng, vocab=500, heads=4, size=8, layers=3), input_ids=w.rng.integers(1, 500, (5, 7)).astype(I),
             max_length=I(30), attributes={'custom': custom, 'temperature': 4.0})


BEAM = ['input_ids', 'max_length', 'min_length', 'num_beams', 'num_return_sequences', 'length_penalty', 'repetition_penalty',
        'vocab_mask', 'prefix_vocab_mask', 'attention_mask', 'decoder_input_ids', 'logits_processor']


def beams(w):
    """Three outputs only where no batch ends early: what ONNX Runtime leaves in `scores` for steps that were not taken is
    whatever was in memory. It wants min_length and length_penalty to be there, whatever its schema says."""
    def case(name, decoder=None, constants=(), before=(), outputs=3, attributes=None, **given):
        given = {'input_ids': PROMPT, 'max_length': I(14), 'min_length': I(0), 'num_beams': I(3), 'num_return_sequences': I(2),
                 'length_penalty': F(1), **given}
        attributes = {'eos_token_id': NONE, 'pad_token_id': 0, **(attributes or {})}
        model, inputs = search('BeamSearch', BEAM, given, outputs, constants, before, decoder=decoder or gpt(w.rng), **attributes)
        w.whole('beam_' + name, model, inputs)

    w.reseed()
    plain = gpt(w.rng)
    case('plain', plain)
    case('sequences', plain, outputs=1)
    case('constants', plain, ('max_length', 'num_beams', 'num_return_sequences', 'min_length', 'length_penalty'))
    case('vocab_said', plain, ('max_length', 'num_beams', 'num_return_sequences'), attributes={'vocab_size': 11})
    for n in (1, 2, 6, 15, 128):
        case(f'{n}_beams', plain, num_beams=np.array([n], I), num_return_sequences=I(min(n, 7)))
    case('two_words', gpt(w.rng, vocab=2), input_ids=np.array([[1, 1], [0, 1], [1, 1]], I), num_beams=I(9), num_return_sequences=I(9))
    case('one_token', plain, max_length=I(4))
    four = np.array([[1, 2, 3], [0, 4, 5], [7, 8, 8], [3, 0, 1]], I)
    for eos in range(11):
        case(f'until_{eos}', plain, input_ids=four, outputs=2, max_length=I(20), num_beams=I(4), num_return_sequences=I(4),
             min_length=I(eos % 4 * 2), length_penalty=F([1, 0, 2, 0.5][eos % 4]), attributes={'eos_token_id': eos, 'early_stopping': eos % 2})
    for penalty in (-1, 0, 0.3, 3):
        case(f'penalty_{penalty}', plain, input_ids=four, outputs=2, max_length=I(24), length_penalty=F(penalty), attributes={'eos_token_id': 7})
    case('repetition', plain, repetition_penalty=np.array([1.7], F))
    for n in (1, 2, 3, 30):
        case(f'ngram_{n}', plain, max_length=I(12 if n == 1 else 40), attributes={'no_repeat_ngram_size': n})
    case('vocab_mask', plain, vocab_mask=np.array([1, 0] * 5 + [1], I))
    case('prefix_mask', plain, prefix_vocab_mask=np.array([[0] * 5 + [1] * 6, [1] * 5 + [0] * 6], I))
    case('attention_mask', plain, attention_mask=np.array([[1, 0, 1], [1, 1, 1]], I))
    case('all', plain, min_length=I(6), outputs=2, repetition_penalty=F(1.3), vocab_mask=np.array([1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1], I),
         prefix_vocab_mask=np.array([[1, 0] * 5 + [1], [1] * 11], I), attention_mask=np.array([[1, 1, 1], [0, 1, 1]], I),
         attributes={'no_repeat_ngram_size': 3, 'pad_token_id': 2, 'eos_token_id': 5})
    case('init_decoder', plain, attributes={'init_decoder': gpt(w.rng)})
    case('large', gpt(w.rng, vocab=500, heads=4, size=8, layers=3), input_ids=w.rng.integers(1, 500, (5, 7)).astype(I),
         max_length=I(30), num_beams=I(5))


def encoded(w):
    """Encoder and decoder. Not of max_length 2: ONNX Runtime then runs the decoder on inputs that it has not filled."""
    def case(name, graphs, outputs=3, constants=(), attributes=None, **given):
        given = {'input_ids': PROMPT, 'max_length': I(14), 'min_length': I(0), 'num_beams': I(3), 'num_return_sequences': I(2),
                 'length_penalty': F(1), **given}
        attributes = {'eos_token_id': NONE, 'pad_token_id': 0, 'decoder_start_token_id': 4, 'model_type': 1, **(attributes or {})}
        model, inputs = search('BeamSearch', BEAM, given, outputs, constants, encoder=graphs[0], decoder=graphs[1], **attributes)
        w.whole('encoded_' + name, model, inputs)

    w.reseed()
    plain = t5(w.rng)
    case('plain', plain)
    case('constants', plain, constants=('max_length', 'num_beams', 'num_return_sequences', 'min_length', 'length_penalty'))
    case('hidden', t5(w.rng, hidden=True), outputs=2)
    case('whole', t5(w.rng, whole=True))
    case('both', t5(w.rng, hidden=True, whole=True), outputs=1)
    late = t5(w.rng, late=True)
    case('late', late)
    case('late_one_token', late, max_length=I(2))
    case('late_one_beam', late, num_beams=I(1), num_return_sequences=I(1))
    case('late_whole', t5(w.rng, late=True, whole=True))
    case('late_until', late, input_ids=np.array([[1, 2, 3], [0, 4, 5], [7, 8, 8], [3, 0, 1]], I), outputs=2, max_length=I(20),
         num_return_sequences=I(3), attributes={'eos_token_id': 5})
    case('one_layer', t5(w.rng, layers=1, heads=1, size=4))
    case('one_beam', plain, num_beams=I(1), num_return_sequences=I(1))
    case('two_tokens', plain, max_length=I(3))
    case('long_prompt', plain, input_ids=w.rng.integers(0, 11, (3, 20)).astype(I), max_length=I(5))
    case('attention_mask', plain, attention_mask=np.array([[1, 1, 0], [1, 0, 1]], I))
    case('pads', plain, input_ids=np.array([[0, 0, 3, 0, 1], [0, 5, 0, 0, 0], [1, 2, 3, 4, 5]], I))
    four = np.array([[1, 2, 3], [0, 4, 5], [7, 8, 8], [3, 0, 1]], I)
    for eos in range(11):
        n = eos % 4 + 1
        case(f'until_{eos}', plain, input_ids=four, outputs=2, max_length=I(20), num_beams=I(n), num_return_sequences=I(n),
             min_length=I(eos % 3 * 2), length_penalty=F([1, 0, 2, 0.5][eos % 4]), attributes={'eos_token_id': eos, 'early_stopping': eos % 2})
    case('all', plain, outputs=2, min_length=I(6), repetition_penalty=F(1.3), vocab_mask=np.array([1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1], I),
         prefix_vocab_mask=np.array([[1, 0] * 5 + [1], [1] * 11], I), attributes={'no_repeat_ngram_size': 3, 'eos_token_id': 5})
    case('large', t5(w.rng, vocab=500, heads=4, size=8, layers=3), input_ids=w.rng.integers(1, 500, (5, 7)).astype(I),
         max_length=I(30), num_beams=I(5))


WHISPER = [*BEAM, 'cross_qk_layer_head', 'extra_decoding_ids', 'temperature']
# Of a vocabulary of 70 tokens of which 58 are times: end, then the marks.
MARKS = {'eos_token_id': 5, 'decoder_start_token_id': 6, 'translate_token_id': 7, 'transcribe_token_id': 8, 'start_of_lm_token_id': 9,
         'no_timestamps_token_id': 10, 'beginning_timestamp_token_id': 12}


def outside(*graphs):
    """The weights of rank 2 that all of the graphs have, from now on one of each in the graph around them. ONNX Runtime wants
    each graph to read all that any of them reads."""
    values = [{c.name: c for c in g.initializer if len(c.dims) == 2} for g in graphs]
    names = sorted(set.intersection(*map(set, values)))
    for graph, own in zip(graphs, values, strict=True):
        for name in names:
            graph.initializer.remove(own[name])
        for node in graph.node:
            for i, name in enumerate(node.input):
                node.input[i] = 'outer_' + name if name in names else name
    return {'outer_' + name: numpy_helper.to_array(values[0][name]) for name in names}


def heard(w):
    """Encoders of features, for both operators that have them. Not of a single step: as with encoded()."""
    def case(name, graphs, outputs=3, op='BeamSearch', constants=(), attributes=None, outer=None, **given):
        given = {'input_ids': w.rng.standard_normal((2, 4, 5)).astype(F), 'max_length': I(14), 'min_length': I(0), 'num_beams': I(3),
                 'num_return_sequences': I(2), 'length_penalty': F(1), **given}
        attributes = {'eos_token_id': NONE, 'pad_token_id': 0, 'decoder_start_token_id': 4, 'model_type': 2, **(attributes or {})}
        names = BEAM if op == 'BeamSearch' else WHISPER
        model, inputs = search(op, names, {**given, **(outer or {})}, outputs, constants, encoder=graphs[0], decoder=graphs[1], **attributes)
        w.whole('heard_' + name, model, inputs)

    w.reseed()
    plain = whisper(w.rng)
    forced = np.array([[1, 2, 3], [4, 5, 6]], I)
    case('plain', plain)
    case('constants', plain, constants=('max_length', 'num_beams', 'num_return_sequences', 'min_length', 'length_penalty'))
    case('hidden', whisper(w.rng, hidden=True), outputs=2)
    case('whole', whisper(w.rng, whole=True))
    case('both', whisper(w.rng, hidden=True, whole=True), outputs=1, decoder_input_ids=forced)
    case('forced', plain, decoder_input_ids=forced)
    case('forced_constant', plain, decoder_input_ids=forced, constants=('decoder_input_ids', 'max_length', 'num_beams'))
    case('forced_one_beam', plain, decoder_input_ids=forced, num_beams=I(1), num_return_sequences=I(1))
    case('no_start', plain, decoder_input_ids=forced, attributes={'decoder_start_token_id': -1})
    case('attention_mask', plain, attention_mask=np.zeros((2, 4, 5), I))
    for eos in range(6):
        case(f'until_{eos}', plain, input_ids=w.rng.standard_normal((4, 4, 7)).astype(F), outputs=2, max_length=I(20), min_length=I(eos % 3 * 2),
             length_penalty=F([1, 0, 2, 0.5][eos % 4]), attributes={'eos_token_id': eos, 'early_stopping': eos % 2})
    case('all', plain, outputs=2, min_length=I(6), repetition_penalty=F(1.3), vocab_mask=np.array([1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1], I),
         prefix_vocab_mask=np.array([[1, 0] * 5 + [1], [1] * 11], I), attributes={'no_repeat_ngram_size': 3, 'eos_token_id': 5},
         decoder_input_ids=forced)
    case('large', whisper(w.rng, vocab=500, heads=4, size=8, layers=1, features=16), max_length=I(12), num_beams=I(5),
         input_ids=(w.rng.standard_normal((5, 16, 40)) / 4).astype(F))
    more = {'op': 'WhisperBeamSearch'}
    case('more_plain', plain, **more)
    case('more_forced', plain, decoder_input_ids=forced, extra_decoding_ids=np.array([[7, 8], [9, -1]], I), **more)
    case('more_processor_2', plain, logits_processor=I(2), **more)
    for temperature in (0, 0.5, 2.5, -1):
        case(f'more_temperature_{temperature}', plain, temperature=np.array([temperature], F), **more)
    timed = whisper(w.rng, vocab=70, size=5)
    begun = np.array([[6, 8], [6, 7]], I)
    hot = np.array([[6, 8, 14], [6, 30, 3]], I)
    times = {'outputs': 2, 'logits_processor': I(1), 'num_beams': I(4), 'num_return_sequences': I(4), 'max_length': I(24), **more}
    for seed in range(6):
        graphs = whisper(w.rng, vocab=70, size=5)
        case(f'times_{seed}', graphs, attributes=MARKS, **times)
        case(f'times_begun_{seed}', graphs, attributes=MARKS, decoder_input_ids=begun, **times)
        case(f'times_hot_{seed}', graphs, attributes=MARKS, decoder_input_ids=hot, temperature=F(3), **times)
    steps = {**times, 'outputs': 3, 'max_length': I(4)}
    for name, ids in (('first', begun), ('second', hot[:, :2]), ('pair', np.array([[6, 13, 13], [6, 2, 40]], I)),
                      ('single', np.array([[6, 13, 3, 20], [6, 13, 69, 69]], I))):
        case(f'times_steps_{name}', timed, attributes={**MARKS, 'eos_token_id': 11}, decoder_input_ids=ids,
             **{**steps, 'max_length': I(ids.shape[1] + 2)})
        case(f'times_no_marks_{name}', timed, attributes={'eos_token_id': 5, 'beginning_timestamp_token_id': 12}, decoder_input_ids=ids,
             **{**steps, 'max_length': I(ids.shape[1] + 2)})
    # After a pair no time may follow, and the mask leaves no text: a temperature below 1 makes minus infinity of what it forbids.
    masked = np.ones((2, 70), I)
    masked[:, :MARKS['beginning_timestamp_token_id']] = 0
    for temperature, attributes in ((0.5, MARKS), (2.5, MARKS), (0.5, {'eos_token_id': 13, 'beginning_timestamp_token_id': 1})):
        case(f'times_nothing_left_{temperature}_{len(attributes)}', timed, attributes=attributes, decoder_input_ids=np.array([[6, 13, 13], [6, 14, 15]], I),
             prefix_vocab_mask=masked, temperature=F(temperature), **{**times, 'num_beams': I(1), 'num_return_sequences': I(1), 'max_length': I(6)})
    # More inputs than the operator has roles for: the last ones are what its graphs read of the graph around them.
    free = whisper(w.rng)
    case('captures', free, outer=outside(*free), attributes={'vocab_size': 11},
         constants=('max_length', 'num_beams', 'num_return_sequences', 'min_length', 'length_penalty'))


EXACT = (greedy, sampled)
NEAR = (beams, encoded, heard)
