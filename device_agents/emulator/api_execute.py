"""The functions of `acl.mdl` for data sets and execution."""

import time

from device_agents.emulator import process as codes
from device_agents.emulator.api_rt import no_context
from device_agents.emulator.api_streams import stream_of
from device_agents.emulator.model import size_bytes
from device_agents.emulator.passing import wait

_OLD_MODEL_ID_INVALID = 100011
_TOLERATED_BYTES = 64  # a buffer may be that much too small


def functions(process, native):
    """By name."""
    return {function.__name__: function for function in _datasets(process, native) + _executing(process, native)}


def _datasets(process, native):
    entry = native.function

    @entry("acl.mdl", "")
    def create_dataset():
        return process.make("data set", [])

    @entry("acl.mdl", "L")
    def destroy_dataset(dataset):
        if not dataset:
            return process.fail(codes.INVALID_PARAM)
        process.destroy(dataset, "data set")
        return codes.SUCCESS

    @entry("acl.mdl", "LL")
    def add_dataset_buffer(dataset, buffer):
        if not dataset or not buffer:
            return dataset, process.fail(codes.INVALID_PARAM)
        process.get(buffer, "data buffer")
        process.get(dataset, "data set").state.append(buffer)
        return dataset, codes.SUCCESS

    @entry("acl.mdl", "L")
    def get_dataset_num_buffers(dataset):
        return len(process.get(dataset, "data set").state) if dataset else 0

    @entry("acl.mdl", "LL")
    def get_dataset_buffer(dataset, index):
        buffers = process.get(dataset, "data set").state if dataset else []
        return buffers[index] if 0 <= index < len(buffers) else 0

    return [create_dataset, destroy_dataset, add_dataset_buffer, get_dataset_num_buffers, get_dataset_buffer]


def _executing(process, native):
    entry = native.function

    def prepared(model_id, inputs, outputs):
        """(Model, blocks of inputs, blocks of outputs, None), or the code of what is wrong."""
        code = no_context(process)
        if code:
            return None, [], [], code
        handle = process.handles.get(-model_id)
        if handle is None or not handle.alive:
            code = _OLD_MODEL_ID_INVALID if process.is_old else codes.MODEL_ID_INVALID
            return None, [], [], process.fail(code, "EE1001: model id {} is unknown".format(model_id))
        if handle.context is not process.context:
            return None, [], [], process.fail(codes.MODEL_CONTEXT)
        sides = []
        for dataset, side in ((inputs, "inputs"), (outputs, "outputs")):
            if not dataset:
                return None, [], [], process.fail(codes.INVALID_PARAM)
            blocks, code = _blocks(process, dataset, handle.state.definition[side])
            if code:
                return None, [], [], code
            sides.append(blocks)
        return handle.state, sides[0], sides[1], None

    def start(model, inputs, outputs):
        """Let a run begin; its milliseconds on the device."""
        ms = process.passing.run_ms(model.undisturbed_ms, model.runs) * process.script.slowdown()
        model.runs += 1
        _fill_later(model, inputs, outputs)
        return ms

    @entry("acl.mdl", "iLL")
    def execute(model_id, inputs, outputs):
        began_s = time.perf_counter()
        model, sources, targets, code = prepared(model_id, inputs, outputs)
        code = code or process.fault("execute")
        if code:
            return code
        ms = start(model, sources, targets) + 1e-3 * process.parameters.execute_host_us
        spent_s = time.perf_counter() - began_s
        wait(process.passing.real_s(1e-3 * ms) - spent_s, hold=True)
        process.passing.finished()
        return codes.SUCCESS

    @entry("acl.mdl", "iLLL")
    def execute_async(model_id, inputs, outputs, stream):
        model, sources, targets, code = prepared(model_id, inputs, outputs)
        if code:
            return code
        state, code = stream_of(process, stream)
        if code:
            return code
        failure = process.fault("execute")
        if failure:
            state.failure = failure  # the next synchronize_stream returns it
            return codes.SUCCESS
        ms = start(model, sources, targets)
        state.work(ms, process.passing.real_s(1e-3 * ms))
        wait(process.passing.real_s(1e-6 * process.parameters.execute_host_us))
        return codes.SUCCESS

    return [execute, execute_async]


def _blocks(process, dataset, tensors):
    """(Block, tensor) of each buffer, or the code of what is wrong with them."""
    buffers = process.get(dataset, "data set").state
    if len(buffers) < len(tensors):
        return [], process.fail(codes.INVALID_PARAM)
    found = []
    for number, tensor in zip(buffers, tensors):  # noqa: B905 - `strict` came with Python 3.10
        state = process.get(number, "data buffer").state
        if not state["pointer"]:
            return [], process.fail(codes.INVALID_PARAM)
        if not state["size"]:
            found.append((None, tensor))  # skipped silently
            continue
        if state["size"] + _TOLERATED_BYTES < size_bytes(tensor):
            text = "E13025: The input memory size set by the user is invalid: [{}], the model needs [{}]."
            return [], process.fail(codes.GE_FAILURE, text.format(state["size"], size_bytes(tensor)))
        block, offset = process.memory.block_at(state["pointer"], state["size"], "execute")
        if block is None:
            process.crash("execute with a buffer at 0x{:x}, which is no device memory".format(state["pointer"]))
        if offset or block.size < size_bytes(tensor):
            process.crash("execute with a buffer of {} bytes for {}".format(block.size - offset, size_bytes(tensor)))
        found.append((block, tensor))
    return found, None


def _fill_later(model, inputs, outputs):
    """Outputs are computed when somebody looks at them, from the inputs as they are now."""

    def compute():
        read = [bytes(size_bytes(t)) if block is None else block.read(0, size_bytes(t)) for block, t in inputs]
        for block, _ in outputs:
            if block is not None:
                block.pending = None
        for (block, _), data in zip(outputs, model.compute(read)):  # noqa: B905
            if block is not None:
                block.write(0, data)

    for block, _ in outputs:
        if block is not None:
            block.release()
            block.pending = compute
    for block, _ in inputs:
        if block is not None:
            block.dependents = [other for other, _ in outputs if other is not None]
