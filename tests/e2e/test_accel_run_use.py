# SPDX-License-Identifier: Apache-2.0
"""accel-run used carelessly: what it says of outputs, streams, options and files that are not as they should be."""
import json
import os
import re
import resource
import select
import signal
import subprocess
import time

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import terminal
from test_accel_run import MNIST, PROGRAM, run


def save_model(path, nodes, inputs, outputs, opset=17):
    graph = helper.make_graph(nodes, 'g', inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8), path)
    return path


def info(name, shape=(2, 2), dtype=onnx.TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


@pytest.fixture
def relu(tmp_path):
    """A model of one Relu, and its input as a file."""
    np.save(tmp_path / 'x.npy', np.array([[1, -2], [3, -4]], np.float32))
    return save_model(tmp_path / 'relu.onnx', [helper.make_node('Relu', ['x'], ['y'])], [info('x', ['N', 2])], [info('y', ['N', 2])])


# ---------------------------------------------------------------- outputs
def test_every_output_has_a_file_of_its_own(tmp_path, relu):
    """Names that are one as files: each output is written nonetheless, and told which file it is in."""
    names = ['a/b', 'a:b', 'a_b', 'A_b', 'a_b_1', '..', *('q' * 300 + str(i) for i in range(2))]
    constants = [helper.make_node('Add', ['x', f'c{i}'], [n]) for i, n in enumerate(names)]
    model = onnx.load(save_model(tmp_path / 'm.onnx', constants, [info('x')], [info(n) for n in names]))
    model.graph.initializer.extend(numpy_helper.from_array(np.full((2, 2), i, np.float32), f'c{i}') for i in range(len(names)))
    onnx.save(model, tmp_path / 'm.onnx')
    out, _ = run('run', tmp_path / 'm.onnx', '--input', tmp_path / 'x.npy', '--output', tmp_path / 'out', '--format', 'npy')
    lines = out.splitlines()
    assert len(lines) == len(names) == len({p.name.lower() for p in (tmp_path / 'out').iterdir()})
    for i, (name, line) in enumerate(zip(names, lines, strict=True)):
        file, _, rest = line.partition(': ')
        assert np.load(file)[0, 0] == 1 + i
        assert rest == ('' if file.endswith(f'/{name}.npy') else f"'{name}', ") + 'float 2x2'


def test_a_place_for_the_outputs_is_looked_for_before_the_run(tmp_path, relu):
    given = ['run', relu, '--input', tmp_path / 'x.npy', '--output']
    (tmp_path / 'file').write_text('mine')
    assert f'--output {tmp_path}/file is there and is no folder' in run(*given, tmp_path / 'file', status=1)[1]
    assert f'create folder {tmp_path}/no/such' in run(*given, tmp_path / 'no/such', status=1)[1]


def test_a_run_that_fails_leaves_no_folder(tmp_path):
    save_model(tmp_path / 'm.onnx', [helper.make_node('Add', ['x', 'z'], ['y'])], [info('x', ['N', 2]), info('z', ['M', 2])],
               [info('y', ['K', 2])])
    for name, rows in (('x', 2), ('z', 3)):
        np.save(tmp_path / f'{name}.npy', np.zeros((rows, 2), np.float32))
    given = [part for name in 'xz' for part in ('--input', f'{name}={tmp_path / name}.npy')]
    assert 'broadcast' in run('run', tmp_path / 'm.onnx', *given, '--output', tmp_path / 'out', status=1)[1]
    assert not (tmp_path / 'out').exists()


# ---------------------------------------------------------------- usage: status 2, before any file is opened
@pytest.mark.parametrize('words, said', [
    (['analyse', ''], 'an argument is empty'),
    (['analyse', 'm.onnx', '--dump', 'dot', '--json'], 'only one of them'),
    (['analyse', 'm.onnx', '--dump', 'svg'], '--dump takes dot, not "svg"'),
    (['ops', '--json', '--markdown'], 'only one of them'),
    (['run', 'm.onnx', '--output', 'o', '--input', 'x='], '--input takes NAME=FILE, not "x="'),
    (['run', 'm.onnx', '--output', 'o', '--input', '=x.npy'], '--input takes NAME=FILE, not "=x.npy"'),
    (['run', 'm.onnx', '--output', 'o', '--input', ''], '--input takes NAME=FILE, not ""'),
    (['run', 'm.onnx', '--output', ''], '--output DIR'),
    (['run', 'm.onnx', '--output', 'o', '--format', 'txt'], 'pb or npy, not "txt"'),
    (['run', 'm.packed', '--packed', '--output', 'o', '--dim', 'N=2'], 'give --dim to accel-run pack'),
    (['run', 'm.packed', '--packed', '--output', 'o', '--input-shape', 'x:2'], 'give --input-shape to accel-run pack'),
    (['bench', 'm.packed', '--packed', '--passes-off', 'dead-code'], 'give --passes-off to accel-run pack'),
    (['bench', 'm.packed', '--packed', '--passes', 'dead-code'], 'give --passes to accel-run pack'),
    (['bench', 'm.packed', '--packed', '--cpu-mask', 'plain'], 'give --cpu-mask to accel-run pack'),
    (['pack', 'm.onnx', '--output', ''], '--output FILE'),
    (['pack', 'm.onnx', '--output', 'm', '--cpu-mask', 'sse9'], 'plain, avx2'),
])
def test_wrong_words_are_wrong_usage(words, said):
    assert said in run(*words, status=2)[1]


def test_test_says_once_what_is_wrong_with_an_option():
    out, err = run('test', MNIST, '--passes-off', 'no-such-pass', status=2)
    assert out == '' and err.count('no-such-pass') == 1


@pytest.mark.parametrize('words', [['--help'], ['--version'], ['run', '--help'], ['run', '--passes', 'list'], ['ops'], ['ops', '--json'],
                                   ['ops', '--markdown'], ['analyse', MNIST / 'model.onnx'], ['analyse', MNIST / 'model.onnx', '--json'],
                                   ['analyse', MNIST / 'model.onnx', '--dump', 'dot'], ['test', MNIST], ['bench', MNIST / 'model.onnx', '-n', '1']])
def test_a_full_disk_behind_the_output_is_told(words):
    with open('/dev/full', 'w', encoding='ascii') as full:
        done = subprocess.run([str(w) for w in (PROGRAM, *words)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == 1 and done.stderr.count('No space left on device') == 1


# ---------------------------------------------------------------- progress and interrupts
ERASE = b'\r\x1b[K'


@pytest.fixture
def endless(tmp_path):
    """A loop of 2^40 rounds, and its input as a file."""
    model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 18]> m (float[2] x) => (float[2] y) {
        t = Constant <value = bool {1}> () n = Constant <value = int64 {1099511627776}> ()
        y = Loop (n, t, x) <body = b (int64 i, bool c, float[2] a) => (bool more, float[2] b) { more = Identity (c) b = Add (a, a) }> }''')
    onnx.save(model, tmp_path / 'endless.onnx')
    np.save(tmp_path / 'x.npy', np.ones(2, np.float32))
    return tmp_path / 'endless.onnx'


def heed_interrupts():
    """In the child: whoever runs the tests in the background has it ignore ^C, and so would accel-run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def on_a_terminal(words, until):
    """Runs accel-run with a terminal as standard error until that says `until`, then presses ^C: (what the terminal got, stdout, status)."""
    master, slave = terminal.pair()
    with subprocess.Popen([str(w) for w in (PROGRAM, *words)], stdout=subprocess.PIPE, stderr=slave, close_fds=True,
                          preexec_fn=heed_interrupts) as process:
        os.close(slave)
        said, pressed, ends = b'', False, time.monotonic() + 120
        # Silence is an end as well, and two minutes are: the assertions say what was missing.
        while time.monotonic() < ends and select.select([master], [], [], 60)[0]:
            try:
                said += os.read(master, 4096)
            except OSError: # the terminal's last user is gone
                break
            if not pressed and until in said:
                process.send_signal(signal.SIGINT)
                pressed = True
        process.kill()
        os.close(master)
        return said, process.stdout.read(), process.wait(timeout=60)


@pytest.mark.parametrize('verb, until', [('run', rb'run: 2 s'), ('bench', rb'warm up: 2 s')])
def test_a_long_run_counts_its_seconds_and_leaves_a_clean_terminal(tmp_path, endless, verb, until):
    words = ['--input', tmp_path / 'x.npy', '--output', tmp_path / 'out'] if verb == 'run' else []
    said, out, status = on_a_terminal([verb, endless, *words], until)
    assert said.endswith(ERASE) and out == b'' and status == -signal.SIGINT


def test_a_long_test_names_the_model_that_runs(tmp_path, endless):
    (tmp_path / 'slow' / 'test_data_set_0').mkdir(parents=True)
    endless.rename(tmp_path / 'slow' / 'model.onnx')
    for name in ('input_0', 'output_0'):
        (tmp_path / 'slow' / 'test_data_set_0' / f'{name}.pb').write_bytes(numpy_helper.from_array(np.ones(2, np.float32)).SerializeToString())
    said, _, status = on_a_terminal(['test', tmp_path], b'test 1 of 1, slow: 1 s')
    assert said.endswith(ERASE) and status == -signal.SIGINT


def test_no_terminal_no_progress(tmp_path, endless):
    with subprocess.Popen([str(PROGRAM), 'bench', str(endless)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        process.terminate()
        assert process.communicate() == (b'', b'')


def test_an_interrupted_pack_leaves_no_part_of_a_file(tmp_path):
    """The signal of a file that grows beyond its limit comes while the file is written, every time."""
    done = subprocess.run([str(PROGRAM), 'pack', str(MNIST / 'model.onnx'), '--output', str(tmp_path / 'm.packed')], check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert done.returncode == -signal.SIGXFSZ and list(tmp_path.iterdir()) == []


def test_a_dimension_that_no_input_has_is_told_with_one_that_there_is(relu):
    assert "dimension 'M': no input has it; one that there is is 'N'" in run('analyse', relu, '--dim', 'M=3', status=1)[1]
    assert run('analyse', MNIST / 'model.onnx', '--dim', 'M=3', status=1)[1].endswith("dimension 'M': no input has it\n")


# ---------------------------------------------------------------- limits
def test_a_run_ends_at_its_deadline(tmp_path, endless):
    said = run('run', endless, '--input', tmp_path / 'x.npy', '--output', tmp_path / 'out', '--deadline', '0.2', status=1)[1]
    assert 'deadline of 200 ms' in said and not (tmp_path / 'out').exists()
    assert 'deadline of 50 ms' in run('bench', endless, '--deadline', '0.05', status=1)[1]
    assert '--deadline takes seconds' in run('bench', endless, '--deadline', '-1', status=2)[1]


@pytest.mark.parametrize('verb', ['bench', 'bench --packed'])
def test_a_model_keeps_to_the_memory_that_it_may_have(tmp_path, verb):
    """Relu and its double of two MiB."""
    nodes = [helper.make_node('Relu', ['x'], ['a']), helper.make_node('Exp', ['a'], ['b']), helper.make_node('Add', ['a', 'b'], ['y'])]
    model = save_model(tmp_path / 'm.onnx', nodes, [info('x', ['N', 1 << 19])], [info('y', ['N', 1 << 19])])
    words = verb.split()
    if words[1:]:
        run('pack', model, '--output', tmp_path / 'm.packed')
        model = tmp_path / 'm.packed'
    run(*words, model, '--memory-limit', '16', '-n', '1')
    assert 'limit of 1048576' in run(*words, model, '--memory-limit', '1', '-n', '1', status=1)[1]


# ---------------------------------------------------------------- files that are something else
@pytest.mark.parametrize('name, content, said', [
    ('a.npy', b'', 'the file is empty'),
    ('a.pb', b'', 'the file is empty'),
    ('a.npy', b'hello', 'not an .npy file'),
    ('a.pb', b'hello', 'not an ONNX TensorProto'),
    ('a.pb', onnx.TensorProto(dims=[1], data_type=99).SerializeToString(), 'data type 99 is none'),
    ('a.txt', b'1 2', 'ends in .pb or .npy'),
])
def test_a_file_that_is_no_tensor_is_named_with_the_reason(tmp_path, relu, name, content, said):
    (tmp_path / name).write_bytes(content)
    err = run('run', relu, '--input', f'x={tmp_path / name}', '--output', tmp_path / 'out', status=1)[1]
    assert f'{tmp_path / name}: ' in err and said in err


def test_an_array_of_strings_is_pointed_to_a_pb(tmp_path, relu):
    np.save(tmp_path / 's.npy', np.array(['a', 'b']))
    assert 'a .pb may hold strings' in run('run', relu, '--input', tmp_path / 's.npy', '--output', tmp_path / 'out', status=1)[1]


def test_a_packed_model_is_known_for_one(tmp_path, relu):
    run('pack', relu, '--output', tmp_path / 'm.packed')
    assert f'{tmp_path}/m.packed: not an ONNX model but a packed one' in run('analyse', tmp_path / 'm.packed', status=1)[1]
    assert '--packed' in run('bench', tmp_path / 'm.packed', status=1)[1]


def test_bench_of_a_packed_model_claims_no_instruction_sets(tmp_path, relu):
    """It said those of this CPU, of a model that was packed for plain C too."""
    run('pack', relu, '--output', tmp_path / 'm.packed', '--cpu-mask', 'plain')
    assert ', instruction sets as packed, ' in run('bench', tmp_path / 'm.packed', '--packed', '-n', '1')[0]


# ---------------------------------------------------------------- the table of operators
TABLE = json.loads(run('ops', '--json')[0])


def test_the_table_of_operators_names_types_that_there_are():
    types = {t for op in TABLE for arg in op['inputs'] + op['outputs'] for t in arg['types']}
    assert types <= {name.lower() for name in onnx.TensorProto.DataType.keys()} | {'double', 'float'}


def test_the_page_of_operators_says_the_same_in_its_shorter_words():
    page = run('ops', '--markdown')[0]
    words = {w: types.split() for w, types in re.findall(r'^- \*\*(\w+)\*\*: (.+)$', page, re.M)}

    def shown(cell):
        for group in filter(None, cell.split('; ')):
            names, types = group.split(': ')
            for name in names.split(', '):
                yield name.strip('[].'), name[0] == '[', name.endswith('...'), {t for w in types.split() for t in words.get(w, [w])}

    assert {'any', 'integers', 'float8'} <= set(words)
    domains = [op['domain'] for op in TABLE]
    assert re.findall(r'^## (.+)$', page, re.M) == [d or 'ai.onnx' for d in dict.fromkeys(domains)]
    for op, row in zip(TABLE, re.findall(r'^\| (\w+) \| (\d+) \| (.*) \| (.*) \|$', page, re.M), strict=True):
        assert row[:2] == (op['name'], str(op['since']))
        for arguments, cell in ((op['inputs'], row[2]), (op['outputs'], row[3])):
            if not op['removed']:
                assert sorted(shown(cell), key=str) == sorted(
                    ((a['name'], a['optional'], a['variadic'], set(a['types'])) for a in arguments), key=str), row
