# SPDX-License-Identifier: Apache-2.0
"""The generated reference models with their expected outputs, made once and kept.

    folders(['resnet50', 'vgg16'])      -> their folders below build/models, made where missing
"""
import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / 'build' / 'models'


def recipe():
    """What the files depend on; another recipe makes them anew."""
    made = hashlib.sha256()
    for script in ('gen_models.py', 'oracle.py'):
        made.update((HERE / script).read_bytes())
    for package in ('numpy', 'onnx', 'onnxruntime'):
        made.update(f'{package} {version(package)}\n'.encode())
    return made.hexdigest()


def names(large=True):
    """All there are, or all but the large ones."""
    listed = subprocess.run([sys.executable, HERE / 'gen_models.py', '--list'], check=True, capture_output=True, text=True)
    return [line[2:] for line in listed.stdout.splitlines() if large or line[0] != '*']


def folders(names, say=print):
    stamp, wanted = recipe(), []
    for name in names:
        folder = CACHE / name
        if not (folder / 'recipe').exists() or (folder / 'recipe').read_text() != stamp:
            wanted.append(name)
    if wanted:
        say(f'making {" ".join(wanted)} in {CACHE}')
        for script, *arguments in (('gen_models.py', CACHE, *wanted),
                                   ('oracle.py', '--force', *(CACHE / n for n in wanted))):
            subprocess.run([sys.executable, HERE / script, *arguments], check=True, stdout=subprocess.DEVNULL)
        for name in wanted:
            (CACHE / name / 'recipe').write_text(stamp)
    return [CACHE / name for name in names]
