"""The functions of `acl.rt` for streams and events."""

import time

from device_agents.emulator import process as codes
from device_agents.emulator.api_rt import no_context
from device_agents.emulator.passing import wait

_MOST_EVENTS = 1023


class Stream(object):
    """Work in order. `time_ms` is the device's clock there, `until_s` when this process's clock will have caught up."""

    __slots__ = ("failure", "time_ms", "until_s")

    def __init__(self):
        self.time_ms, self.until_s = 1000.0, 0.0
        self.failure = None

    def work(self, ms, real_s):
        """Put work of `ms` on the device in the queue."""
        self.time_ms += ms
        self.until_s = max(self.until_s, time.perf_counter()) + real_s


def functions(process, native):
    """By name; those that boards of the profile lack are absent."""
    found = _streams(process, native) + _events(process, native)
    return {function.__name__: function for function in found}


def stream_of(process, number):
    """(Stream, None), or (None, the code of what is wrong with it)."""
    handle = process.get(number, "stream")
    if handle.context is not process.context:
        return None, process.fail(codes.STREAM_CONTEXT, "EE1001: Stream is not in current ctx.")
    return handle.state, None


def _streams(process, native):
    entry = native.function

    @entry("acl.rt", "")
    def create_stream():
        code = no_context(process)
        return (0, code) if code else (process.make("stream", Stream()), codes.SUCCESS)

    @entry("acl.rt", "L")
    def destroy_stream(stream):
        if not stream:
            return process.fail(codes.INVALID_PARAM)
        process.destroy(stream, "stream")
        return codes.SUCCESS

    def finish(state):
        wait(state.until_s - time.perf_counter())
        process.passing.finished()
        failure, state.failure = state.failure, None
        return process.fail(failure, "EE9999: Inner Error!") if failure else codes.SUCCESS

    @entry("acl.rt", "L")
    def synchronize_stream(stream):
        code = no_context(process)
        if code:
            return code
        if not stream:
            return codes.SUCCESS
        state, code = stream_of(process, stream)
        return code or finish(state)

    @entry("acl.rt", "Li")
    def synchronize_stream_with_timeout(stream, timeout_ms):
        code = no_context(process)
        if code:
            return code
        state, code = stream_of(process, stream)
        if state is None:
            return code
        if timeout_ms >= 0 and state.until_s - time.perf_counter() > 1e-3 * timeout_ms:
            wait(1e-3 * timeout_ms)
            return process.fail(codes.STREAM_SYNC_TIMEOUT)
        return finish(state)

    @entry("acl.rt", "")
    def synchronize_device():
        code = no_context(process)
        for handle in [] if code else process.living("stream"):
            code = code or finish(handle.state)
        return code or codes.SUCCESS

    found = [create_stream, destroy_stream, synchronize_stream, synchronize_device]
    return found if process.is_old else found + [synchronize_stream_with_timeout]


def _events(process, native):
    entry = native.function

    @entry("acl.rt", "")
    def create_event():
        code = no_context(process)
        return (0, code) if code else (process.make("event", {"ms": None, "until_s": 0.0}), codes.SUCCESS)

    @entry("acl.rt", "i")
    def create_event_with_flag(flag):
        code = no_context(process)
        if code:
            return 0, code
        return process.make("event", {"ms": None, "until_s": 0.0, "timed": bool(flag & 8)}), codes.SUCCESS

    @entry("acl.rt", "L")
    def destroy_event(event):
        if not event:
            return process.fail(codes.INVALID_PARAM)
        process.destroy(event, "event")
        return codes.SUCCESS

    @entry("acl.rt", "LL")
    def record_event(event, stream):
        code = no_context(process)
        if code or not event:
            return code or process.fail(codes.INVALID_PARAM)
        state, wrong = stream_of(process, stream)
        if wrong:
            return wrong
        handle = process.get(event, "event")
        recorded = [other for other in process.living("event") if other.state["ms"] is not None]
        if handle.state["ms"] is None and len(recorded) >= _MOST_EVENTS:
            return process.fail(codes.NO_EVENT)
        handle.state.update(ms=state.time_ms, until_s=state.until_s)
        return codes.SUCCESS

    @entry("acl.rt", "L")
    def synchronize_event(event):
        code = no_context(process)
        if code or not event:
            return code or process.fail(codes.INVALID_PARAM)
        wait(process.get(event, "event").state["until_s"] - time.perf_counter())
        return codes.SUCCESS

    @entry("acl.rt", "LL")
    def event_elapsed_time(start, end):
        code = no_context(process)
        if code or not start or not end:
            return 0.0, code or process.fail(codes.INVALID_PARAM)
        states = [process.get(event, "event").state for event in (start, end)]
        if any(state["ms"] is None or not state.get("timed", True) for state in states):
            return 0.0, process.fail(codes.INTERNAL)
        if any(state["until_s"] > time.perf_counter() for state in states):
            return 0.0, process.fail(codes.EVENT_TIMESTAMP_INVALID)
        return states[1]["ms"] - states[0]["ms"], codes.SUCCESS

    found = [create_event, destroy_event, record_event, synchronize_event, event_elapsed_time]
    return found if process.is_old else found + [create_event_with_flag]
