# SPDX-License-Identifier: Apache-2.0
"""Searches for the best continuation, with small random decoders."""
import sys
from pathlib import Path

import numpy as np

from differential.draft import MS, F, infer
from differential.recipes import recipe

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / 'models'))
from oracle_cases.generation import BEAM, GREEDY, SAMPLING, WHISPER, ended, gpt, search, t5, whisper  # noqa: E402

I = np.int32


def mask(d, *shape):
    """Of a vocabulary; something is always left."""
    allowed = (d.rng.random(shape) < 0.7).astype(I)
    allowed[..., d.integer(0, shape[-1] - 1)] = 1
    return allowed


def optional(d, batch, prompt, vocab, most):
    """What any of the searches may be given."""
    drawn = {'min_length': I(d.integer(0, most - 1)), 'repetition_penalty': np.asarray(d.rng.uniform(0.5, 2), F),
             'vocab_mask': mask(d, vocab), 'prefix_vocab_mask': mask(d, batch, vocab),
             'attention_mask': (d.rng.random((batch, prompt)) < 0.8).astype(I)}
    return {n: a for n, a in drawn.items() if d.chance(0.35)}


def drawn(d):
    """(length of the prompt, size of the vocabulary, inputs, attributes) of a search."""
    batch, prompt, vocab = d.integer(1, 4), d.integer(1, 7), d.choice([3, 8, 11, 40, 130])
    most = prompt + d.integer(1, 14)
    given = {'input_ids': d.rng.integers(0, vocab, (batch, prompt)).astype(I), 'max_length': I(most),
             **optional(d, batch, prompt, vocab, most)}
    attributes = {'eos_token_id': d.integer(0, vocab), 'pad_token_id': d.choice([-1, 0, 1]),
                  'no_repeat_ngram_size': d.choice([0, 0, 1, 2, 3, 5]),
                  'decoder': gpt(d.rng, vocab, d.integer(1, 3), d.integer(1, 6), d.integer(1, 3))}
    if d.chance(0.2):
        heads, size = (attributes['decoder'].input[3].type.tensor_type.shape.dim[i].dim_value for i in (2, 4))
        attributes['init_decoder'] = gpt(d.rng, vocab, heads, size, len(attributes['decoder'].output) - 1)
    if d.chance(0.2):
        attributes['vocab_size'] = vocab
    return prompt, vocab, given, attributes


def emit(d, op, order, given, outputs, attributes):
    names = {n: d.give(a, None if n == 'input_ids' else d.chance(0.5)) for n, a in given.items()}
    return d.emit(op, [names.get(n, '') for n in order], outputs, domain=MS, **attributes)


@recipe('GreedySearch')
def greedy(d, op):
    if d.opset < 13:
        return None
    prompt, vocab, given, attributes = drawn(d)
    result = infer(*search(op, GREEDY, given, opset=d.opset, **attributes))[0]
    if attributes['eos_token_id'] < vocab and ended(result[:, prompt:], attributes['pad_token_id']):
        return None
    return emit(d, op, GREEDY, given, 1, attributes)


@recipe('Sampling')
def sampled(d, op):
    """Never of no top_p: what is kept then hangs on the last bit of a sum. What is masked may become infinite; where nothing is
    left ONNX Runtime draws a token that does not exist, which stops its decoder."""
    if d.opset < 13:
        return None
    prompt, vocab, given, attributes = drawn(d)
    batch = len(given['input_ids'])
    if d.chance(0.8):
        given['seed'] = I(d.integer(0, 2**31 - 1))
    if d.chance(0.2):
        given['presence_mask'] = d.rng.integers(0, 3, (batch, vocab)).astype(I)
    drawn_from = {'temperature': d.choice([0.3, 0.9, 2.0, 7.0]), 'filter_value': d.choice([-1e20, -5.0, -np.inf]), 'custom': 1,
                  'min_tokens_to_keep': d.integer(0, vocab - 1), 'presence_penalty': float(d.rng.uniform(-0.5, 0.5))}
    attributes.update({n: a for n, a in drawn_from.items() if d.chance(0.35)}, top_p=float(d.rng.uniform(0.05, 0.97)))
    endless = attributes['eos_token_id'] == vocab
    if endless:
        attributes['eos_token_id'] = vocab + 1
    try:
        result = infer(*search(op, SAMPLING, given, opset=d.opset, **attributes))[0]
    except Exception:  # whatever it raises
        return None
    if not endless and ended(result[:, prompt:], attributes['pad_token_id']):
        return None
    return emit(d, op, SAMPLING, given, 1, attributes)


@recipe('BeamSearch')
def beams(d, op):
    """The scores of all steps only where no sequence ends. No n-grams of one: with few words left all sums are the lowest
    number, and which of them are equal hangs on the last bit."""
    if d.opset < 13:
        return None
    if d.chance(0.3):
        return heard(d, op)
    _, vocab, given, attributes = drawn(d)
    count = d.choice([1, 2, 3, 4, 7])
    given = {'min_length': I(0), 'num_beams': I(count), 'num_return_sequences': I(d.integer(1, count)),
             'length_penalty': np.asarray(d.rng.uniform(-0.5, 2), F), **given}
    attributes['early_stopping'] = d.integer(0, 1)
    if d.chance(0.4):  # encoder and decoder instead
        attributes.pop('init_decoder', None)
        attributes['encoder'], attributes['decoder'] = t5(d.rng, vocab, d.integer(1, 3), d.integer(1, 6), d.integer(1, 3),
                                                          *d.choice([(False, False), (True, True), (False, True, True), (False, False, True)]))
        attributes.update(model_type=1, decoder_start_token_id=d.integer(0, vocab - 1))
        given['max_length'] = I(max(3, given['max_length']))
    attributes['no_repeat_ngram_size'] = d.choice([0, 0, 2, 3, 5])
    if d.chance(0.3):
        attributes['eos_token_id'] = vocab
    outputs = 3 if attributes['eos_token_id'] == vocab and 'vocab_mask' not in given else d.integer(1, 2)
    return emit(d, op, BEAM, given, outputs, attributes)


@recipe('WhisperBeamSearch')
def heard(d, op):
    """An encoder of features. Two layers at most: a third makes too much of what the first two rounded."""
    if d.opset < 13:
        return None
    batch, prompt, vocab, count = d.integer(1, 4), d.integer(1, 5), d.choice([8, 20, 70, 130]), d.choice([1, 2, 3, 4, 7])
    most, features = prompt + d.integer(2, 14), d.integer(1, 5)
    given = {'input_ids': d.rng.standard_normal((batch, features, d.integer(1, 9))).astype(F), 'max_length': I(most), 'min_length': I(0),
             'num_beams': I(count), 'num_return_sequences': I(d.integer(1, count)), 'length_penalty': np.asarray(d.rng.uniform(-0.5, 2), F),
             **optional(d, batch, prompt, vocab, most)}
    given.pop('attention_mask', None)
    attributes = {'eos_token_id': d.integer(0, vocab - 1), 'pad_token_id': d.choice([-1, 0, 1]), 'decoder_start_token_id': d.integer(0, vocab - 1),
                  'no_repeat_ngram_size': d.choice([0, 0, 2, 3, 5]), 'early_stopping': d.integer(0, 1), 'model_type': 2}
    if prompt > 1 or d.chance(0.3):
        given['decoder_input_ids'] = d.rng.integers(0, vocab, (batch, prompt)).astype(I)
    attributes['encoder'], attributes['decoder'] = whisper(d.rng, vocab, d.integer(1, 3), d.integer(1, 6), d.integer(1, 2), features,
                                                           d.chance(0.3), d.chance(0.3))
    order = BEAM if op == 'BeamSearch' else WHISPER
    if op != 'BeamSearch':
        if d.chance(0.4):
            given['temperature'] = np.asarray(d.rng.uniform(0.4, 3), F)
        if d.chance(0.6):
            given['logits_processor'] = I(1)
            attributes['beginning_timestamp_token_id'] = d.integer(1, vocab - 1)
            for name in ('no_timestamps_token_id', 'start_of_lm_token_id', 'translate_token_id', 'transcribe_token_id'):
                if d.chance(0.5):
                    attributes[name] = d.integer(0, vocab - 1)
    return emit(d, op, order, given, d.integer(1, 2), attributes)
