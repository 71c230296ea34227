"""The functions of `acl` itself."""

from device_agents.emulator.process import (
    INVALID_PARAM,
    NOT_CLEARED,
    REPEAT_FINALIZE,
    REPEAT_INITIALIZE,
    SUCCESS,
    UNINITIALIZE,
    _say,
)

_TYPE_BYTES = {0: 4, 1: 2, 2: 1, 3: 4, 4: 1, 6: 2, 7: 2, 8: 4, 9: 8, 10: 8, 11: 8, 12: 1}


def functions(process, native):
    """By name; those that boards of the profile lack are absent."""
    entry = native.function

    @entry("acl", "s", optional=1)
    def init(config_path=None):
        code = process.fault("init")
        if code:
            return code
        if config_path and not config_path.endswith(".json"):
            return process.fail(100003)
        if process.initialized:
            return process.fail(REPEAT_INITIALIZE)
        process.initialized = True
        return SUCCESS

    @entry("acl", "")
    def finalize():
        if process.finalized:
            return process.fail(REPEAT_FINALIZE)
        if not process.initialized:
            return process.fail(UNINITIALIZE)
        process.finalized = True
        left = process.left()
        if left:
            _say("not given back at finalize: " + ", ".join(left))
        if left or process.misuses:
            return process.fail(NOT_CLEARED)
        return SUCCESS

    @entry("acl", "")
    def get_version():
        return 1, process.settings.cann_major + 1, 0, SUCCESS

    @entry("acl", "i")
    def get_cann_version(package):
        return {"version": process.settings.cann}, SUCCESS

    @entry("acl", "")
    def get_soc_name():
        return process.soc

    @entry("acl", "")
    def get_recent_err_msg():
        return process.take_message()

    @entry("acl", "LL")
    def create_data_buffer(pointer, size):
        return process.make("data buffer", {"pointer": pointer, "size": size})

    @entry("acl", "L")
    def destroy_data_buffer(buffer):
        if not buffer:
            return process.fail(INVALID_PARAM)
        process.destroy(buffer, "data buffer")
        return SUCCESS

    @entry("acl", "L")
    def get_data_buffer_addr(buffer):
        return process.get(buffer, "data buffer").state["pointer"] if buffer else 0

    @entry("acl", "L")
    def get_data_buffer_size(buffer):
        return process.get(buffer, "data buffer").state["size"] if buffer else 0

    @entry("acl", "LLL")
    def update_data_buffer(buffer, pointer, size):
        if not buffer:
            return process.fail(INVALID_PARAM)
        process.get(buffer, "data buffer").state.update(pointer=pointer, size=size)
        return SUCCESS

    @entry("acl", "i")
    def data_type_size(data_type):
        return _TYPE_BYTES.get(data_type, 0)

    found = [
        init, finalize, get_version, create_data_buffer, destroy_data_buffer, get_data_buffer_addr,
        get_data_buffer_size, update_data_buffer, data_type_size,
    ]  # fmt: skip
    if not process.is_old:
        found += [get_cann_version, get_soc_name, get_recent_err_msg]
    return {function.__name__: function for function in found}
