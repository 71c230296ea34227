"""The stand-in for acl refuses what the real one refuses, and ends the process where the real one breaks."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from ascend_board import NEW, OLD, fresh_acl, om

from device_agents import emulator, om_header

D2D = 3


@pytest.fixture
def acl(monkeypatch):
    """Initialized, with a device and a context."""
    acl = fresh_acl(monkeypatch, cann=NEW)
    assert acl.init() == 0
    assert acl.rt.set_device(0) == 0
    return acl


@pytest.fixture
def om_file(tmp_path):
    path = tmp_path / "model.om"
    path.write_bytes(om())
    return str(path)


# --- shape of the module (2.1) ----------------------------------------------------------------------------------------


def test_submodules_are_importable(acl):
    import acl.mdl
    import acl.rt
    import acl.util

    assert sys.modules["acl.rt"] is acl.rt
    assert acl.mdl is not acl.util


def test_has_no_constants(acl):
    for module in (acl, acl.rt, acl.mdl, acl.util):
        assert not [name for name in vars(module) if name.isupper() and not name.startswith("_")]


def test_takes_no_keywords(acl):
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        acl.rt.set_device(device_id=0)


@pytest.mark.parametrize("size", [True, 64.0, np.int64(64), "64", None])
def test_sizes_are_plain_ints(acl, size):
    with pytest.raises(TypeError, match="args parse failed"):
        acl.rt.malloc(size, 0)


def test_arity_is_exact(acl):
    with pytest.raises(TypeError, match="args parse failed"):
        acl.rt.malloc(64)
    with pytest.raises(TypeError):
        acl.mdl.load_from_file(b"model.om")
    with pytest.raises(OverflowError):
        acl.rt.malloc(64, 1 << 40)
    with pytest.raises(ValueError):
        acl.util.bytes_to_ptr("text")


@pytest.mark.parametrize(
    "name",
    ["get_soc_name", "get_recent_err_msg", "get_cann_version", "rt.synchronize_stream_with_timeout",
     "rt.create_event_with_flag", "util.bytes_to_ptr", "util.ptr_to_bytes"],
)  # fmt: skip
def test_old_boards_lack_functions(monkeypatch, name):
    for cann, there in ((OLD, False), (NEW, True)):
        module = fresh_acl(monkeypatch, cann=cann)
        for part in name.split(".")[:-1]:
            module = getattr(module, part)
        assert hasattr(module, name.split(".")[-1]) is there


# --- initialization, devices, contexts (2.4) --------------------------------------------------------------------------


def test_init_and_finalize_happen_once(monkeypatch):
    acl = fresh_acl(monkeypatch)
    assert acl.rt.set_device(0) == 100001
    assert acl.finalize() == 100001
    assert acl.init() == 0
    assert acl.init() == 100002
    assert acl.finalize() == 0
    assert acl.finalize() == 100037
    assert acl.rt.set_device(0) == 100001


def test_nothing_works_without_a_context(monkeypatch, om_file):
    acl = fresh_acl(monkeypatch, cann=NEW)
    acl.init()
    assert acl.rt.get_device_count() == (1, 0)
    assert acl.rt.get_run_mode() == (0, 0)
    for answer in (
        acl.rt.malloc(64, 0), acl.rt.malloc_host(64), acl.rt.create_stream(), acl.rt.create_event(),
        acl.mdl.load_from_file(om_file), acl.rt.get_context(), acl.rt.create_context(0),
    ):  # fmt: skip
        assert answer == (0, 107002)
    assert acl.rt.memcpy(1, 1, 2, 1, D2D) == 107002
    assert acl.mdl.execute(1, 1, 1) == 107002
    assert acl.mdl.unload(1) == 107002


def test_another_thread_has_no_context(acl):
    from threading import Thread

    context = acl.rt.create_context(0)[0]
    answers = []

    def other():
        answers.append(acl.rt.malloc(64, 0))
        answers.append(acl.rt.set_context(context))
        answers.append(acl.rt.malloc(64, 0)[1])

    thread = Thread(target=other)
    thread.start()
    thread.join()
    assert answers == [(0, 107002), 0, 0]


def test_devices_are_counted(acl):
    assert acl.rt.set_device(1) == 107001
    assert acl.rt.reset_device(1) == 107001
    assert acl.rt.create_context(1) == (0, 107001)


def test_handles_belong_to_their_context(acl, om_file):
    stream = acl.rt.create_stream()[0]
    model = acl.mdl.load_from_file(om_file)[0]
    event = acl.rt.create_event()[0]
    acl.rt.create_context(0)
    assert acl.rt.record_event(event, stream) == 107003
    assert acl.rt.synchronize_stream(stream) == 107003
    assert acl.mdl.unload(model) == 107004


# --- memory -----------------------------------------------------------------------------------------------------------


def test_malloc(acl):
    assert acl.rt.malloc(0, 0) == (0, 100000)
    free, total, code = acl.rt.get_mem_info(0)
    assert (free, code) == (total, 0)
    pointer, code = acl.rt.malloc(33, 77)
    assert code == 0
    assert pointer % 64 == 0
    assert acl.rt.get_mem_info(0)[0] == total - 96  # up to 64, and 32 more
    assert acl.rt.malloc(total, 0) == (0, 207001)
    assert "EL0004" in acl.get_recent_err_msg()
    assert acl.get_recent_err_msg() is None  # reading clears it
    assert acl.rt.free(0) == 100000
    assert acl.rt.free(pointer) == 0
    assert acl.rt.get_mem_info(0)[0] == total


def test_memcpy_checks_in_order(acl):
    one, other = acl.rt.malloc(64, 0)[0], acl.rt.malloc(64, 0)[0]
    assert acl.rt.memcpy(0, 0, 0, 0, 99) == 0  # nothing to do comes before any check
    assert acl.rt.memcpy(0, 64, one, 64, D2D) == 100000
    assert acl.rt.memcpy(one, 64, 0, 64, D2D) == 100000
    assert acl.rt.memcpy(one, 64, other, 64, 9) == 100000
    assert acl.rt.memcpy(one, 0, other, 64, D2D) == 107000
    assert acl.rt.memcpy(one, 32, other, 64, D2D) == 107000
    assert acl.rt.memcpy(one, 64, one, 64, D2D) == 0
    assert acl.rt.memcpy(one, 64, other, 64, 1) == 507013  # host and device are one on this board
    assert acl.rt.memset(one, 32, 1, 64) == 107000
    assert acl.rt.memset(one, 64, 7, 64) == 0
    assert acl.rt.memcpy(other, 64, one, 64, D2D) == 0
    assert acl.util.ptr_to_bytes(other, 64) == b"\7" * 64


# --- models -----------------------------------------------------------------------------------------------------------


def damaged(data, at, value):
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (None, 145002, "E13000"),
        (b"", 145002, "E13015"),
        (om()[:255], 145006, "Invalid om file"),
        (om()[:-1], 145006, "Invalid om file"),
        (om() + b"\0", 145006, "Invalid om file"),
        (damaged(om(), 0, b"JMOD"), 145006, "Invalid om file"),
        (damaged(om(), 5, b"\0"), 145006, "Invalid om file"),
        (damaged(om(), 256, b"\x09"), 545002, "partition"),
        (damaged(om(), 264, b"\xff\xff\xff"), 545002, "partition"),
        (om(soc="Ascend310P3"), 500002, "Model soc version is not support in this device."),
        (om(cann="9.0"), 500002, "E19999"),
    ],
)
def test_models_that_do_not_load(acl, tmp_path, data, code, word):
    path = tmp_path / "m.om"
    if data is not None:
        path.write_bytes(data)
    assert acl.mdl.load_from_file(str(path)) == (0, code)
    assert word in acl.get_recent_err_msg()


def test_an_empty_soc_is_accepted(acl, tmp_path):
    (tmp_path / "m.om").write_bytes(om(soc=""))
    assert acl.mdl.load_from_file(str(tmp_path / "m.om"))[1] == 0


def test_loads_from_memory(acl):
    data = om()
    assert acl.mdl.load_from_mem(acl.util.bytes_to_ptr(data), len(data))[1] == 0
    assert acl.mdl.load_from_mem(0, 5) == (0, 100000)


def test_descriptions_tell_shapes_by_index(acl, om_file):
    model = acl.mdl.load_from_file(om_file)[0]
    desc = acl.mdl.create_desc()
    assert acl.mdl.get_num_inputs(desc) == 0
    assert acl.mdl.get_desc(desc, model + 1) == 145003
    assert acl.mdl.get_desc(desc, model) == 0
    assert acl.mdl.get_input_dims(desc, 0) == ({"name": "x", "dimCount": 4, "dims": [1, 4, 8, 8]}, 0)
    assert acl.mdl.get_output_dims(desc, 0)[0]["dims"] == [1, 3, 8, 8]
    assert acl.mdl.get_input_dims(desc, 5) == ({}, 100000)
    assert acl.mdl.get_input_size_by_index(desc, 5) == 0
    assert acl.mdl.get_output_size_by_index(desc, 0) == 4 * 3 * 64
    assert acl.mdl.get_output_name_by_index(desc, 0).endswith(":0:y")
    assert acl.mdl.get_input_data_type(desc, 0) == 0


class Loaded:
    """A model with buffers of chosen sizes."""

    def __init__(self, acl, path, input_bytes=1024, output_bytes=768, memory=4096):
        self.model = acl.mdl.load_from_file(path)[0]
        self.sets = []
        for size in (input_bytes, output_bytes):
            pointer = acl.rt.malloc(memory, 0)[0]
            dataset = acl.mdl.create_dataset()
            assert acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(pointer, size)) == (dataset, 0)
            self.sets.append(dataset)


def test_execute_checks(acl, om_file):
    loaded = Loaded(acl, om_file)
    assert acl.mdl.execute(loaded.model, *loaded.sets) == 0
    assert acl.mdl.execute(loaded.model + 1, *loaded.sets) == 145003
    assert acl.mdl.execute(loaded.model, 0, loaded.sets[1]) == 100000
    assert acl.mdl.execute(loaded.model, acl.mdl.create_dataset(), loaded.sets[1]) == 100000
    empty = acl.mdl.create_dataset()
    acl.mdl.add_dataset_buffer(empty, acl.create_data_buffer(0, 1024))
    assert acl.mdl.execute(loaded.model, empty, loaded.sets[1]) == 100000


@pytest.mark.parametrize(("size", "code"), [(1024, 0), (960, 0), (959, 500002), (2048, 0), (0, 0)])
def test_sizes_of_buffers(acl, om_file, size, code):
    """Up to 64 bytes too small is accepted, larger too, and an empty one is skipped."""
    loaded = Loaded(acl, om_file, input_bytes=size)
    assert acl.mdl.execute(loaded.model, *loaded.sets) == code
    if code:
        assert "E13025" in acl.get_recent_err_msg()


def test_unloading_twice(acl, om_file):
    model = acl.mdl.load_from_file(om_file)[0]
    free = acl.rt.get_mem_info(0)[0]
    assert acl.mdl.unload(model) == 0
    assert acl.rt.get_mem_info(0)[0] > free
    assert acl.mdl.unload(model) == 145003


def test_outputs_are_of_the_inputs_at_the_time_of_the_run(acl, om_file):
    """Though they are computed only when somebody looks."""
    loaded = Loaded(acl, om_file)
    source, target = (
        acl.get_data_buffer_addr(acl.mdl.get_dataset_buffer(dataset, 0)) for dataset in loaded.sets
    )  # fmt: skip
    one, two = np.full(256, 0.5, "<f4").tobytes(), np.full(256, 1.5, "<f4").tobytes()
    outputs = []
    for data in (one, two):
        assert acl.rt.memcpy(source, 1024, acl.util.bytes_to_ptr(data), 1024, D2D) == 0
        assert acl.mdl.execute(loaded.model, *loaded.sets) == 0
        outputs.append(acl.util.ptr_to_bytes(target, 768))
    assert outputs[0] != outputs[1]
    acl.rt.memcpy(source, 1024, acl.util.bytes_to_ptr(one), 1024, D2D)
    acl.mdl.execute(loaded.model, *loaded.sets)
    acl.rt.memcpy(source, 1024, acl.util.bytes_to_ptr(two), 1024, D2D)  # too late to count
    assert acl.util.ptr_to_bytes(target, 768) == outputs[0]


# --- streams and events -----------------------------------------------------------------------------------------------


def test_events(acl, om_file):
    stream, loaded = acl.rt.create_stream()[0], Loaded(acl, om_file)
    start, end, never = (acl.rt.create_event()[0] for _ in range(3))
    acl.rt.record_event(start, stream)
    assert acl.mdl.execute_async(loaded.model, *loaded.sets, stream) == 0
    acl.rt.record_event(end, stream)
    assert acl.rt.synchronize_stream(stream) == 0
    ms, code = acl.rt.event_elapsed_time(start, end)
    assert code == 0
    assert ms > 0
    assert acl.rt.event_elapsed_time(end, start) == (-ms, 0)  # no error: the client has to look
    assert acl.rt.event_elapsed_time(0, end) == (0.0, 100000)
    assert acl.rt.event_elapsed_time(start, never) == (0.0, 507000)


def test_an_event_that_is_not_over(monkeypatch, om_file):
    for module in ("api_rt", "api_mdl", "api_execute"):  # nothing takes time but the stream's own work
        monkeypatch.setattr(f"device_agents.emulator.{module}.wait", lambda seconds, hold=False: None)
    acl = fresh_acl(monkeypatch, cann=NEW, time_factor=1e6)
    acl.init()
    acl.rt.set_device(0)
    stream, loaded = acl.rt.create_stream()[0], Loaded(acl, om_file)
    start, end = (acl.rt.create_event()[0] for _ in range(2))
    acl.rt.record_event(start, stream)
    acl.mdl.execute_async(loaded.model, *loaded.sets, stream)
    acl.rt.record_event(end, stream)
    assert acl.rt.event_elapsed_time(start, end) == (0.0, 107006)
    assert acl.rt.synchronize_stream_with_timeout(stream, 1) == 507046


def test_too_many_events(acl):
    stream = acl.rt.create_stream()[0]
    events = [acl.rt.create_event()[0] for _ in range(1024)]
    codes = [acl.rt.record_event(event, stream) for event in events]
    assert codes == [0] * 1023 + [207007]


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "word"),
    [
        ("acl.rt.malloc(64, 0)", "1 block of device memory"),
        ("acl.rt.malloc_host(64)", "1 block of host memory"),
        ("acl.rt.create_stream()", "1 stream"),
        ("acl.rt.create_event()", "1 event"),
        ("acl.rt.create_context(0)", "1 context"),
        ("acl.mdl.create_desc()", "1 model description"),
        ("acl.mdl.create_dataset()", "1 data set"),
        ("acl.create_data_buffer(64, 64)", "1 data buffer"),
        ("acl.mdl.load_from_file(om_file)", "1 model"),
    ],
)
def test_what_is_left_is_reported(acl, om_file, capfd, left, word):
    eval(left, {"acl": acl, "om_file": om_file})
    acl.rt.reset_device(0)
    assert acl.finalize() == 148051
    assert f"not given back at finalize: {word}\n" in capfd.readouterr().err


def test_a_device_that_was_not_reset_is_left(acl, capfd):
    assert acl.finalize() == 148051
    assert "1 device" in capfd.readouterr().err


def test_memory_freed_under_a_buffer_is_misuse(acl, capfd):
    pointer = acl.rt.malloc(64, 0)[0]
    buffer = acl.create_data_buffer(pointer, 64)
    acl.rt.free(pointer)
    acl.destroy_data_buffer(buffer)
    acl.rt.reset_device(0)
    assert acl.finalize() == 148051
    assert "while a data buffer still points there" in capfd.readouterr().err


DEATHS = {
    "double free": "p = acl.rt.malloc(64, 0)[0]; acl.rt.free(p); acl.rt.free(p)",
    "free of the foreign pointer": "acl.rt.free(12345)",
    "free of the foreign pointer 0x40": "acl.rt.free_host(64)",
    "which was freed": "p = acl.rt.malloc(64, 0)[0]; acl.rt.free(p); acl.rt.memset(p, 64, 0, 64)",
    "past the end": "p = acl.rt.malloc(64, 0)[0]; acl.rt.memset(p, 65, 0, 65)",
    "which is no block's": "p = acl.rt.malloc(64, 0)[0]; q = acl.rt.malloc(64, 0)[0]; acl.rt.memset(p + 2048, 8, 0, 8)",
    "where this process has no memory": "p = acl.rt.malloc(64, 0)[0]; acl.rt.memcpy(p, 64, 4096, 64, 3)",
    "where this process has no memory ": "h = acl.rt.malloc_host(64)[0]; acl.rt.free_host(h);"
    "acl.rt.memset(h, 64, 0, 64)",
    "past the end of host memory": "h = acl.rt.malloc_host(64)[0]; acl.rt.memset(h, 65, 0, 65)",
    "no longer kept alive": "p = acl.rt.malloc(64, 0)[0]; q = acl.util.bytes_to_ptr(bytes(bytearray(64)));"
    "acl.rt.memcpy(p, 64, q, 64, 3)",
    "use of the stream": "s = acl.rt.create_stream()[0]; acl.rt.destroy_stream(s); acl.rt.synchronize_stream(s)",
    "use of the event": "e = acl.rt.create_event()[0]; acl.rt.destroy_event(e); acl.rt.destroy_event(e)",
    "use of the context": "c = acl.rt.create_context(0)[0]; acl.rt.destroy_context(c); acl.rt.set_context(c)",
    "use of the model description": "d = acl.mdl.create_desc(); acl.mdl.destroy_desc(d); acl.mdl.get_num_inputs(d)",
    "use of the data set": "d = acl.mdl.create_dataset(); acl.mdl.destroy_dataset(d); acl.mdl.destroy_dataset(d)",
    "use of the data buffer": "b = acl.create_data_buffer(64, 64); acl.destroy_data_buffer(b);"
    "acl.get_data_buffer_addr(b)",
    "is not a stream": "acl.rt.synchronize_stream(acl.rt.create_event()[0])",
    "which was freed ": "i, o, m = ready(); acl.rt.free(acl.get_data_buffer_addr(acl.mdl.get_dataset_buffer(i, 0)));"
    "acl.mdl.execute(m, i, o)",
    "execute with a buffer of 960 bytes for 1024": "i, o, m = ready(960); acl.mdl.execute(m, i, o)",
    "execute reaches 1984 bytes past the end": "i, o, m = ready(64, size=2048); acl.mdl.execute(m, i, o)",
    "no device memory": "i, o, m = ready(host=True); acl.mdl.execute(m, i, o)",
}
READY = """
import acl
acl.init(); acl.rt.set_device(0)
def ready(memory=4096, size=None, host=False):
    model, sets = acl.mdl.load_from_file({path!r})[0], []
    for _ in range(2):
        p = acl.rt.malloc_host(memory)[0] if host else acl.rt.malloc(memory, 0)[0]
        sets.append(acl.mdl.create_dataset())
        acl.mdl.add_dataset_buffer(sets[-1], acl.create_data_buffer(p, size or memory))
    return sets[0], sets[1], model
"""


@pytest.mark.parametrize("word", DEATHS)
def test_what_would_corrupt_memory_ends_the_process(word, om_file, monkeypatch):
    for name, value in emulator.environment(cann=NEW, time_factor=0).items():
        monkeypatch.setenv(name, value)
    code = READY.format(path=om_file) + textwrap.dedent(DEATHS[word])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 134, done.stderr
    assert "the real library would corrupt memory or crash here" in done.stderr
    assert word.strip() in done.stderr


# --- the header -------------------------------------------------------------------------------------------------------


def test_header_is_as_documented():
    header = om_header.make(1000, "net", "6.0.0.alpha003")
    assert len(header) == 256
    assert header[:4] == b"IMOD"
    assert int.from_bytes(header[4:8], "little") == 256
    assert int.from_bytes(header[76:80], "little") == int.from_bytes(header[184:192], "little") == 1000
    assert header[84:87] == b"net"
    assert om_header.problem(header, 1256) is None
    assert om_header.problem(header[:184] + bytes(8) + header[192:], 1256) is None  # old files leave it zero


@pytest.mark.parametrize(
    ("head", "size", "word"),
    [
        (b"IMOD", 4, "shorter"),
        (b"ELF!" + om_header.make(0)[4:], 256, "IMOD"),
        (om_header.make(10), 256 + 9, "announces 10 bytes, 9 follow"),
        (om_header.make(10)[:4] + b"\0" * 4 + om_header.make(10)[8:], 266, "not 256"),
    ],
)
def test_damaged_files_are_seen_by_their_first_bytes(head, size, word):
    assert word in om_header.problem(head, size)
