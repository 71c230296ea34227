"""The functions of `acl.mdl` for models and their descriptions."""

import os
import re

from device_agents.emulator import om
from device_agents.emulator import process as codes
from device_agents.emulator.api_rt import no_context
from device_agents.emulator.model import Model, size_bytes
from device_agents.emulator.passing import wait

_FORMAT_NCHW, _FORMAT_ND = 0, 2


def functions(process, native):
    """By name."""
    found = _loading(process, native) + _describing(process, native)
    return {function.__name__: function for function in found}


def _loading(process, native):
    entry = native.function

    def load(data, what):
        try:
            definition, onnx_bytes = om.unpack(data)
        except om.Broken as broken:
            return 0, process.fail(broken.code, "E10001: [om] {}: Invalid om file. ({})".format(what, broken))
        if definition["soc"] and definition["soc"] != process.soc:
            text = (
                "E10001: Value [{}] for parameter [soc_version] is invalid. Reason: Model soc version is not support "
            )
            return 0, process.fail(codes.GE_FAILURE, text.format(definition["soc"]) + "in this device.")
        if _version(definition["cann"]) > _version(process.settings.cann):
            text = "E19999: The opp version of the model does not match the current opp run package."
            return 0, process.fail(codes.GE_FAILURE, text)
        model = Model(
            definition, onnx_bytes, process.timing.device_ms(definition), process.script.facts.get("outputs") == "wrong"
        )
        if not process.memory.take(model.memory_bytes):
            return 0, process.fail(codes.GE_MEMORY_ALLOCATION, "EL0004: Failed to allocate memory.")
        p = process.parameters
        wait(process.passing.real_s(p.load_s + len(data) / (1e6 * p.load_mb_s)))
        number = len([handle for handle in process.handles.values() if handle.kind == "model"]) + 1
        process.handles[-number] = codes.Handle("model", number, process.context, model)  # ids are no pointers
        return number, codes.SUCCESS

    @entry("acl.mdl", "s")
    def load_from_file(path):
        code = no_context(process) or process.fault("load")
        if code:
            return 0, code
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            text = "E13000: Path [{}] is invalid. Reason: {}".format(path, os.strerror(error.errno or 0))
            return 0, process.fail(codes.PATH_INVALID, text)
        if not data:
            return 0, process.fail(codes.PATH_INVALID, "E13015: File [{}] is empty.".format(path))
        return load(data, path)

    @entry("acl.mdl", "LL")
    def load_from_mem(pointer, size):
        code = no_context(process) or process.fault("load")
        if code or not pointer or not size:
            return 0, code or process.fail(codes.INVALID_PARAM)
        return load(process.memory.read(pointer, size, "load_from_mem"), "memory")

    @entry("acl.mdl", "i")
    def unload(model_id):
        code = no_context(process)
        if code:
            return code
        handle = process.handles.get(-model_id)
        if handle is None or not handle.alive:
            return process.fail(codes.MODEL_ID_INVALID)
        if handle.context is not process.context:
            return process.fail(codes.MODEL_CONTEXT)
        process.memory.give(handle.state.memory_bytes)
        process.destroy(-model_id, "model")
        return codes.SUCCESS

    @entry("acl.mdl", "s")
    def query_size(path):
        try:
            with open(path, "rb") as file:
                definition = om.unpack(file.read())[0]
        except OSError:
            return 0, 0, process.fail(codes.PATH_INVALID)
        except om.Broken as broken:
            return 0, 0, process.fail(broken.code)
        return definition["work_bytes"], definition["weights_bytes"], codes.SUCCESS

    return [load_from_file, load_from_mem, unload, query_size]


def _describing(process, native):
    entry = native.function

    @entry("acl.mdl", "")
    def create_desc():
        return process.make("model description", {"definition": None})

    @entry("acl.mdl", "L")
    def destroy_desc(desc):
        if not desc:
            return process.fail(codes.INVALID_PARAM)
        process.destroy(desc, "model description")
        return codes.SUCCESS

    @entry("acl.mdl", "Li")
    def get_desc(desc, model_id):
        handle = process.handles.get(-model_id)
        if not desc or handle is None or not handle.alive:
            return process.fail(codes.MODEL_ID_INVALID if desc else codes.INVALID_PARAM)
        process.get(desc, "model description").state["definition"] = handle.state.definition
        return codes.SUCCESS

    def tensors(desc, side):
        definition = process.get(desc, "model description").state["definition"] if desc else None
        return definition[side] if definition else []

    def of(side, desc, index):
        found = tensors(desc, side)
        return found[index] if 0 <= index < len(found) else None

    found = [create_desc, destroy_desc, get_desc]
    for side, word in (("inputs", "input"), ("outputs", "output")):
        found += _tensor_functions(process, entry, side, word, tensors, of)
    return found


def _tensor_functions(process, entry, side, word, tensors, of):
    def named(name, signature, function):
        function.__name__ = name.format(word)
        return entry("acl.mdl", signature)(function)

    def number(desc):
        return len(tensors(desc, side))

    def size(desc, index):
        tensor = of(side, desc, index)
        return size_bytes(tensor) if tensor else 0

    def dims(desc, index):
        tensor = of(side, desc, index)
        if tensor is None:
            return {}, process.fail(codes.INVALID_PARAM)
        shape = list(tensor["shape"])
        return {"name": tensor["name"], "dimCount": len(shape), "dims": shape}, codes.SUCCESS

    def name(desc, index):
        tensor = of(side, desc, index)
        return tensor["om_name"] if tensor else ""

    def data_type(desc, index):
        tensor = of(side, desc, index)
        return tensor["dtype"] if tensor else -1

    def layout(desc, index):
        tensor = of(side, desc, index)
        return -1 if tensor is None else _FORMAT_NCHW if len(tensor["shape"]) == 4 else _FORMAT_ND

    return [
        named("get_num_{}s", "L", number), named("get_{}_size_by_index", "Li", size), named("get_{}_dims", "Li", dims),
        named("get_{}_name_by_index", "Li", name), named("get_{}_data_type", "Li", data_type),
        named("get_{}_format", "Li", layout),
    ]  # fmt: skip


def _version(text):
    """6.0.0.alpha003 as something to compare."""
    return [int(word) for word in re.findall(r"\d+", text)[:3]]
