# SPDX-License-Identifier: Apache-2.0
"""com.microsoft's operators on tokens, hashes and distances."""
import numpy as np

from differential.draft import MS, F
from differential.recipes import recipe


@recipe('CDist')
def cdist(d, op):
    m, n, k, dtype = d.integer(0, 9), d.integer(0, 40), d.integer(2, 30), d.choice([F, np.float64])
    return d.emit(op, [d.tensor(dtype, (m, k)), d.tensor(dtype, (n, k))], domain=MS, metric=d.choice(['euclidean', 'sqeuclidean']))


@recipe('DynamicTimeWarping')
def warping(d, op):
    shape = (d.integer(1, 12), d.integer(1, 12))
    cost = d.array(F, shape) if d.chance(0.6) else d.array(np.int64, shape, 0, 3).astype(F)
    return d.emit(op, [d.give(cost[None] if d.chance(0.3) else cost)], domain=MS)


@recipe('MurmurHash3')
def murmur(d, op):
    x = d.pick([np.int32, np.int64, np.uint32, np.uint64, np.object_, F, np.float64])
    more = {'positive': d.integer(0, 1)} if d.chance(0.5) else {}
    return d.emit(op, [x], domain=MS, **more, **({'seed': d.integer(0, 99)} if d.chance(0.5) else {}))


@recipe('NGramHashMapping', 'VarlenNGramHashMapping')
def ngram_hashes(d, op):
    dtype, longest, heads = d.choice([np.int32, np.int64]), d.integer(2, 5), d.integer(1, 3)
    state, columns, varlen = longest - 1, (longest - 1) * heads, op[0] == 'V'
    lengths = [d.integer(1, 9) for _ in range(d.integer(1, 4))]
    batch, shape = len(lengths), (sum(lengths),) if varlen else (len(lengths), lengths[0])
    segments = d.chance(0.5)

    def maybe(array, p=0.5):
        return d.give(array) if d.chance(p) else ''
    inputs = [d.give(d.array(dtype, shape, 0, 5)), d.give(d.array(dtype, (longest + d.integer(0, 1),), -99, 99)),
              d.give(d.array(dtype, (columns,), 1, 500))]
    inputs += [d.give(np.cumsum([0, *lengths]).astype(np.int32))] if varlen else []
    inputs += [maybe(d.array(dtype, (batch, state), 0, 5)), maybe(d.array(dtype, (columns,), 0, 99)), maybe(np.array(d.integer(0, 5), dtype)),
               d.give(d.array(np.int32, shape, 0, 1)) if segments else '']
    more = {'reset_on_eos': d.integer(0, 1)}
    if varlen:
        capacity = d.choice([0, 0, 1, 4])
        inputs += [maybe(d.array(np.int32, (batch, state), 0, 1)) if segments else '',
                   d.give(d.array(np.int32, (batch,), -1, 6)) if capacity else '']
        more['state_update_capacity'] = capacity
    outputs = 2 if not (varlen and segments) else 4 if more['state_update_capacity'] else 3
    while inputs[-1] == '':
        inputs.pop()
    return d.emit(op, inputs, outputs, domain=MS, max_ngram_size=longest, n_head_per_ngram=heads, pad_id=d.integer(-2, 5), **more)


@recipe('NGramRepeatBlock')
def repeats(d, op):
    batch, words = d.integer(1, 4), d.integer(2, 6)
    ids = d.give(d.array(np.int64, (batch, d.integer(0, 30)), 0, words - 1))
    block = d.emit(op, [ids, d.tensor(F, (batch, words))], domain=MS, ngram_size=d.integer(1, 5))
    # What is infinite is nothing to compare: what is blocked is.
    return block and d.emit('IsInf', block) if d.opset >= 10 else None


@recipe('BifurcationDetector')
def bifurcation(d, op):
    source = d.array(np.int64, (d.integer(1, 12),), 0, 3)
    match = d.integer(0, len(source))
    predicted = np.append(source[match:], d.integer(0, 3))
    if d.chance(0.5):
        predicted[d.integer(0, len(predicted) - 1)] = 9
    inputs = [d.give(source), d.tensor(np.int64, (d.integer(0, 6),), 0, 3), d.give(np.array([match]))]
    low = d.integer(1, 3)
    return d.emit(op, inputs + ([d.give(predicted)] if d.chance(0.7) else []), 2, domain=MS, min_ngram_size=low,
                  max_ngram_size=low + d.integer(0, 3))


@recipe('Tokenizer')
def tokens(d, op):
    how = d.choice([{'separators': ['']}, {'separators': [' ']}, {'separators': ['[a-c]', ' ']}, {'separators': ['a', 'e|the', 'x']},
                    {'tokenexp': '.'}, {'tokenexp': '[a-z]+'}, {'tokenexp': r'\w|\d\.'}, {'tokenexp': 'a|c.|the c'}])
    shape = (d.integer(0, 6),) if d.chance(0.5) else (d.integer(0, 4), d.integer(0, 4))
    single = '.' in how.values() or how.get('separators') == ['']
    return d.emit(op, [d.tensor(np.object_, shape)], domain=MS, mark=d.integer(0, 1), pad_value=d.choice(['', '#']),
                  mincharnum=1 if single else d.integer(1, 3), **how)


@recipe('WordConvEmbedding')
def words(d, op):
    count, length, depth, filters = d.integer(1, 5), d.integer(1, 8), d.integer(1, 9), d.integer(1, 20)
    window = d.integer(1, length)
    ids = d.array(np.int32, (count, length), 1, 19)
    for row in ids:
        row[d.integer(1, length):] = 0
    return d.emit(op, [d.give(ids), d.tensor(F, (filters, 1, window, depth)), d.tensor(F, (filters,)), d.tensor(F, (20, depth))], domain=MS)


@recipe('AttnLSTM')
def attention_lstm(d, op):
    steps, batch, wide, hidden, memory, depth, keys = (d.integer(1, n) for n in (5, 3, 6, 6, 6, 5, 5))
    direction = d.choice(['forward', 'reverse', 'bidirectional'])
    dirs, layer = 2 if direction == 'bidirectional' else 1, d.choice([0, d.integer(1, 6)])

    def some(*shape):
        return d.tensor(F, shape, -0.8, 0.8)

    def maybe(*shape):
        return some(*shape) if d.chance(0.5) else ''
    lens = d.array(np.int32, (batch,), 1, steps)
    lens[d.integer(0, batch - 1)] = steps
    inputs = [some(steps, batch, wide), some(dirs, 4 * hidden, wide + (layer or depth)), some(dirs, 4 * hidden, hidden), maybe(dirs, 8 * hidden),
              d.give(lens) if d.chance(0.5) else '', maybe(dirs, batch, hidden), maybe(dirs, batch, hidden), maybe(dirs, 3 * hidden),
              some(dirs, hidden, keys), some(dirs, depth, keys), some(dirs, keys), some(batch, memory, depth),
              d.give(d.array(np.int32, (batch,), 1, memory)) if d.chance(0.5) else '', some(dirs, depth + hidden, layer) if layer else '']
    while inputs[-1] == '':
        inputs.pop()
    return d.emit(op, inputs, 3, domain=MS, direction=direction, hidden_size=hidden, input_forget=d.integer(0, 1))
