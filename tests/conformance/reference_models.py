# SPDX-License-Identifier: Apache-2.0
"""The generated reference models: those of the quick tier, or all of them.

Float models meet their stored output. Of the int8 models, whose weights are random, one element that rounds the other
way changes many behind it: ONNX Runtime with its optimiser on is 1 to 8 per cent away from itself with it off. So:
- QLinear forms, no passes on: the stored output, by the rule.
- both forms as they are run: by the rule, or no farther from the stored output than ONNX Runtime's default, in this run.
"""
import re

import numpy as np
import onnx
import reference
from harness import REPORT, call
from onnx import numpy_helper
from quiet import onnxruntime

QUICK = ['resnet50', 'densenet121', 'mobilenetv2', 'vgg16', 'unet2d', 'unet3d', 'tomogan_64', 'tomogan_256', 'ecg_cnn',
         'ecg_cnn12', 'ecg_bilstm', 'ecg_gru_rnn', 'svm_linear', 'svm_rbf', 'kmeans', 'bert_tiny', 'unet2d_int8_qdq',
         'unet2d_int8_qlinear', 'tomogan_256_int8_qdq', 'tomogan_256_int8_qlinear', 'resnet50_int8_qdq',
         'resnet50_int8_qlinear']
# Half a gigabyte of weights, or minutes of instrumented arithmetic: not under a sanitizer.
LARGE = {'vgg16', 'unet3d', 'tomogan_256_int8_qdq', 'tomogan_256_int8_qlinear', 'resnet50_int8_qdq',
         'resnet50_int8_qlinear'}
SLACK = 1.25  # over ONNX Runtime's own distance
VERDICT = re.compile(r'^(ok|FAIL) +([^/ ]+)/.*? L2 ([0-9.e+-]+|inf|nan)', re.M)


def read(path):
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())).astype(np.float64)


def onnxruntime_distance(folder):
    """Relative L2 error of ONNX Runtime as it comes against the stored output, which it made with its passes off."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / 'model.onnx'), options, providers=['CPUExecutionProvider'])
    data = folder / 'test_data_set_0'
    given = numpy_helper.to_array(onnx.TensorProto.FromString((data / 'input_0.pb').read_bytes()))
    got, wanted = session.run(None, {session.get_inputs()[0].name: given})[0], read(data / 'output_0.pb')
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def by_rule(tally, program, folders, options=()):
    """Runs them and counts those that fail; {name: (good, relative L2 error)} of all that were run."""
    status, out, err = call([program, 'test', *options, *folders], 3000)
    for line in out.splitlines():
        if line.startswith('ok') or (line.startswith('FAIL') and 'int8' not in line.split('/')[0]):
            print(line)
    tally.count(status in (0, 1) and not REPORT.search(err), f'reference models: status {status}: {err.strip()[-3000:]}')
    said = {name: (verdict == 'ok', float(l2)) for verdict, name, l2 in VERDICT.findall(out)}
    for folder in folders:
        tally.count(folder.name in said, f'{folder.name}: did not run')
    return said


def run(tally, program, names, sanitized):
    print('--- reference models', flush=True)
    for name in [n for n in names if sanitized and n in LARGE]:
        print(f'skip {name}: too large under a sanitizer')
        tally.skipped += 1
    folders = reference.folders([n for n in names if not (sanitized and n in LARGE)])
    said = by_rule(tally, program, folders)
    for folder in folders:
        good, l2 = said.get(folder.name, (True, 0))
        if good or 'int8' not in folder.name:
            tally.count(good, f'{folder.name}: relative L2 error {l2:g}')
            continue
        theirs = onnxruntime_distance(folder)
        print(f'{"ok  " if l2 <= SLACK * theirs else "far "} {folder.name}: relative L2 error {l2:.4f}, '
              f'ONNX Runtime as it comes {theirs:.4f}')
        tally.count(l2 <= SLACK * theirs, f'{folder.name}: relative L2 error {l2:g}, ONNX Runtime as it comes {theirs:g}')
    exact = [f for f in folders if f.name.endswith('_qlinear')]
    if exact:
        print('--- QLinear forms, no passes', flush=True)
        for name, (good, l2) in by_rule(tally, program, exact, ['--passes-off', 'all']).items():
            tally.count(good, f'{name}, no passes: relative L2 error {l2:g}')
