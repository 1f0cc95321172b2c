# SPDX-License-Identifier: Apache-2.0
"""The ONNX project's backend tests: node, simple, pytorch-operator, pytorch-converted, light.

Whatever ONNX Runtime's CPU provider passes has to pass here. ONNX Runtime is asked, in the same run, about every case
that does not; there is no list of names. The other cases are listed with both reasons.
"""
import shutil
import subprocess
import sys
from pathlib import Path

import node_cases
import numpy as np
import onnx
import onnx.backend.test
from harness import REPORT, call
from onnx import numpy_helper

DATA = Path(onnx.backend.test.__file__).parent / 'data'
HERE = Path(__file__).resolve().parent


def light(out):
    """The light models: their weights are made up by the graph, their input as the project's runner makes it."""
    for model in sorted((DATA / 'light').glob('*.onnx')):
        data = out / model.stem / 'test_data_set_0'
        data.mkdir(parents=True)
        shutil.copy(model, data.parent / 'model.onnx')
        graph = onnx.load(model).graph
        held = {i.name for i in graph.initializer}
        given = [i for i in graph.input if i.name not in held]
        for i, info in enumerate(given):
            shape = [d.dim_value or 1 for d in info.type.tensor_type.shape.dim]
            count = int(np.prod(shape))
            value = (np.arange(count).reshape(shape) / count).astype(np.float32)
            (data / f'input_{i}.pb').write_bytes(numpy_helper.from_array(value, info.name).SerializeToString())
        for i, info in enumerate(graph.output):
            tensor = onnx.TensorProto.FromString((model.parent / f'{model.stem}_output_{i}.pb').read_bytes())
            tensor.name = info.name
            (data / f'output_{i}.pb').write_bytes(tensor.SerializeToString())


def ask_onnxruntime(folders):
    """{folder: verdict}. It may crash on a case: that is a verdict too, and the rest is asked again."""
    said, left = {}, [str(f) for f in folders]
    while left:
        done = subprocess.run([sys.executable, HERE / 'ort_verdict.py'], input='\n'.join(left), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=1800)
        begun = None
        for line in done.stdout.splitlines():
            if line.startswith('begin '):
                begun = line[len('begin '):]
            elif '\t' in line:
                folder, verdict = line.split('\t', 1)
                said[folder] = verdict
        if begun is not None and begun not in said:
            said[begun] = f'ONNX Runtime crashed ({done.returncode})'
        before, left = len(left), [f for f in left if f not in said]
        if len(left) == before:
            raise RuntimeError(f'ONNX Runtime cannot be asked: status {done.returncode}')
    return said


def run(tally, program, scratch, sanitized):
    node_cases.write_all(scratch / 'node', ['*'])
    light(scratch / 'light')
    if sanitized:
        for large in ('light_vgg19', 'light_bvlc_alexnet', 'light_zfnet512'):
            shutil.rmtree(scratch / 'light' / large)
            tally.skipped += 1
            print(f'skip {large}: too large under a sanitizer')
    failing = {}
    for root in (scratch / 'node', DATA / 'simple', DATA / 'pytorch-operator', DATA / 'pytorch-converted',
                 scratch / 'light'):
        status, out, err = call([program, 'test', root], 3600)
        verdicts = [line.split(maxsplit=2) for line in out.splitlines() if line.startswith(('ok ', 'FAIL '))]
        names = {words[1].rstrip(':').split('/')[0] for words in verdicts}
        for words in verdicts:
            if words[0] == 'FAIL':
                failing[root / words[1].rstrip(':').split('/')[0]] = words[2] if len(words) > 2 else ''
        passed = sum(words[0] == 'ok' for words in verdicts)
        print(f'--- ONNX backend tests, {root.name}: {passed} pass', flush=True)
        tally.passed += passed
        silent = {d.name for d in root.iterdir() if (d / 'model.onnx').exists()} - names
        tally.count(status in (0, 1) and not silent and not REPORT.search(err),
                    f'{root.name}: status {status}, nothing said of {sorted(silent)[:5]}: {err.strip()[-3000:]}')
    beyond = 0
    said = ask_onnxruntime(failing)
    for folder, why in failing.items():
        verdict = said[str(folder)]
        if verdict == 'pass':
            tally.count(False, f'{folder.name}: ONNX Runtime passes it; here: {why}')
        else:
            beyond += 1
            print(f'  not here: {folder.name}: {why[:160]}\n      nor in ONNX Runtime: {verdict[:160]}')
    print(f'{len(failing)} cases do not pass here; of these ONNX Runtime passes {len(failing) - beyond}')
