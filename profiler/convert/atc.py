"""One conversion by ATC: a folder of its own, every proof of success asked for, failures as values."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto

from mosegnet.common.errors import DeviceError, UserError
from profiler.convert.failures import SUCCESS_LINE, Failure, classify, clean, failure, last_line, not_found
from profiler.convert.runner import Finished, Runner, Stopped
from profiler.convert.toolkit import PROBE, RUN, Toolkit, opsets, parse_probe, precision_option

HEADER_BYTES = 256
_HEADER = struct.Struct("<4sI")
_LENGTH_AT, _MODEL_LENGTH_AT = 76, 184
_RETRIED = frozenset({"killed", "timeout", "internal", "no_output"})  # once; the others fail the same way again
_PROBE_S = 60.0
_LOST_WAITS_S = (2.0, 20.0, 60.0)  # before each new try, where the machine was lost: a board takes a minute to boot
_NAME = re.compile(r"[A-Za-z_]\w*")
_OUTPUTS = ("model.om", "model_linux_x86_64.om", "model_linux_aarch64.om")


@dataclass(frozen=True, slots=True)
class AtcOptions:
    """How to convert: `command` is one program (a name or a full path) or its list of arguments.

    `cann` is found beside the program when None; `precision_mode` may be of either generation; `set_env` is CANN's
    own script; `env` is set after it; `memory_bytes` is what one conversion is expected to need.

    Raises:
        UserError: a value that cannot be one.
    """

    soc: str
    command: str | tuple[str, ...] = "atc"
    cann: str | None = None
    precision_mode: str = "force_fp16"
    set_env: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 600.0
    memory_bytes: int = 1_500_000_000

    def __post_init__(self) -> None:
        if not self.soc:
            raise UserError("ATC needs the soc, such as Ascend310: 'Ascend' and the name that `npu-smi info` shows")
        program = self.program[0] if self.program else ""
        if not program or ("/" in program and not program.startswith(("/", "~/"))):
            raise UserError(f"atc {program!r}: give a name that is on PATH, or the full path")
        for name in self.env:
            if not _NAME.fullmatch(name):
                raise UserError(f"{name!r} is no name of an environment variable")
        texts = (*self.program, self.soc, self.set_env or "", *self.env.values())
        if any("\0" in text for text in texts):
            raise UserError("an option of ATC contains a zero byte")
        precision_option(self.precision_mode, self.cann)

    @property
    def program(self) -> tuple[str, ...]:
        """The command as arguments."""
        return (self.command,) if isinstance(self.command, str) else tuple(self.command)


class Atc:
    """ATC on one machine; `convert` may be called from several threads at once."""

    def __init__(self, options: AtcOptions, runner: Runner) -> None:
        self.options, self._runner = options, runner
        self._gate = _Gate()
        self._lock = threading.Lock()
        self._toolkit: Toolkit | Failure | None = None

    def toolkit(self, stop: threading.Event | None = None) -> Toolkit | Failure:
        """The CANN behind the command, looked up once; a Failure when the command or set_env cannot be found."""
        with self._lock:
            if self._toolkit is None:
                self._toolkit = self._probe(stop or threading.Event())
            return self._toolkit

    def key(self, onnx: bytes, toolkit: Toolkit) -> str:
        """What a conversion's result depends on, as a SHA-256 in hexadecimal digits."""
        options = self.options
        cann = toolkit.version or toolkit.identity
        parts = [options.soc, cann, options.precision_mode, sorted(options.env.items())]
        return hashlib.sha256(hashlib.sha256(onnx).digest() + json.dumps(parts).encode()).hexdigest()

    def convert(
        self, onnx: bytes, name: str = "model", stop: threading.Event | None = None, compilers: int = 1
    ) -> bytes | Failure:
        """The offline model of an ONNX model, or why there is none; `compilers` is how parallel ATC may work itself.

        What can pass by itself is tried once more, alone on the machine when the first was killed; a conversion that
        was lost with its machine is made anew when that is back.

        Raises:
            Stopped: `stop` was set.
            DeviceError: the machine was lost and did not come back.
            UserError: the disk is full, or this CANN does not know the precision mode.
        """
        stop = stop or threading.Event()
        toolkit = self.toolkit(stop)
        if isinstance(toolkit, Failure):
            return toolkit
        if (refused := _check_opset(onnx, toolkit)) is not None:
            return refused
        with self._gate.shared():
            first = self._patiently(onnx, name, toolkit, stop, compilers)
        if isinstance(first, bytes):
            return first
        if first.kind not in _RETRIED:
            return self._kept(first)
        if first.log:
            self._runner.remove(first.log)
        with self._gate.alone() if first.kind == "killed" else self._gate.shared():
            second = self._patiently(onnx, name, toolkit, stop, 1 if first.kind == "killed" else compilers)
        return second if isinstance(second, bytes) else self._kept(replace(second, attempts=2))

    def _patiently(
        self, onnx: bytes, name: str, toolkit: Toolkit, stop: threading.Event, compilers: int
    ) -> bytes | Failure:
        """One attempt that a broken connection does not end."""
        for wait_s in _LOST_WAITS_S:
            try:
                return self._attempt(onnx, name, toolkit, stop, compilers)
            except DeviceError:
                if stop.wait(wait_s):
                    raise Stopped from None
        return self._attempt(onnx, name, toolkit, stop, compilers)

    def _attempt(
        self, onnx: bytes, name: str, toolkit: Toolkit, stop: threading.Event, compilers: int
    ) -> bytes | Failure:
        """One run in a fresh folder, which is left only after a failure, as its `log`."""
        runner = self._runner
        folder = runner.make_folder()
        try:
            runner.put(f"{folder}/model.onnx", onnx)
            command = self._command(toolkit, compilers)
            done = runner.run(command, folder, self.options.timeout_s, stop)
            result = self._judge(done, folder)
            if isinstance(result, Failure):
                runner.put(f"{folder}/conversion.log", _log(name, command, done, result))
                return replace(result, log=folder)
        except BaseException:
            with suppress(DeviceError):  # the machine is lost: what counts is why, and its next user sweeps up
                runner.remove(folder)
            raise
        runner.remove(folder)
        return result

    def _command(self, toolkit: Toolkit, compilers: int) -> list[str]:
        """The whole command, each value one argument."""
        options = self.options
        env = {"TE_PARALLEL_COMPILER": str(compilers), **options.env}
        return [
            *("bash", "-c", RUN, "bash", options.set_env or ""),
            *(f"{name}={value}" for name, value in env.items()),
            *options.program,
            "--model=model.onnx",
            "--framework=5",
            "--output=model",
            f"--soc_version={options.soc}",
            "--input_format=NCHW",
            precision_option(options.precision_mode, toolkit.version),
            "--log=error",
        ]

    def _judge(self, done: Finished, folder: str) -> bytes | Failure:
        """The model, when status, success line and a fresh whole file agree."""
        if done.status is None:
            said = clean(last_line(done.stdout.split("\n")))
            return failure("timeout", f"no end after {self.options.timeout_s:g} s{f', last: {said}' if said else ''}")
        if done.status != 0:
            return classify(done.status, done.stdout, done.stderr)
        if SUCCESS_LINE not in done.stdout:
            return failure("no_output", "ATC ended with status 0 but without its success line")
        return self._fetch(folder)

    def _fetch(self, folder: str) -> bytes | Failure:
        given_s = self._runner.modified_s(f"{folder}/model.onnx") or 0.0
        complaint = "ATC reported success but wrote no .om file"
        for name in _OUTPUTS:
            written_s = self._runner.modified_s(f"{folder}/{name}")
            if written_s is None:
                continue
            if written_s < given_s:
                complaint = f"{name} is older than the model that it should come from"
                continue
            data = self._runner.get(f"{folder}/{name}") or b""
            wrong = header_fault(data)
            if wrong is None:
                return data
            complaint = f"{name} {wrong}"
        return failure("no_output", complaint)

    def _kept(self, failed: Failure) -> Failure:
        return replace(failed, log=self._runner.keep(failed.log)) if failed.log else failed

    def _probe(self, stop: threading.Event) -> Toolkit | Failure:
        options, runner = self.options, self._runner
        folder = runner.make_folder()
        try:
            command = ["bash", "-c", PROBE, "bash", options.set_env or "", *options.program]
            done = runner.run(command, folder, _PROBE_S, stop)
        finally:
            runner.remove(folder)
        if done.status is None:
            return failure("environment", f"looking for {options.program[0]} took over {_PROBE_S:g} s")
        if done.status != 0:
            return not_found(done.stdout, done.stderr)
        found = parse_probe(done.stdout)
        return replace(found, version=options.cann) if options.cann else found


class _Gate:
    """Many at once, or one alone, who goes before those that come later."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside = self._waiting = 0
        self._closed = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._closed and not self._waiting)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._change:
            self._waiting += 1
            self._change.wait_for(lambda: not self._closed and not self._inside)
            self._waiting -= 1
            self._closed = True
        try:
            yield
        finally:
            with self._change:
                self._closed = False
                self._change.notify_all()


def header_fault(data: bytes) -> str | None:
    """What is wrong with an offline model's header, or None: 256 bytes, magic, and the length of what follows."""
    if not data:
        return "is empty"
    if len(data) <= HEADER_BYTES:
        return f"is cut short: {len(data)} bytes, the header alone has {HEADER_BYTES}"
    magic, header_bytes = _HEADER.unpack_from(data)
    if magic != b"IMOD" or header_bytes != HEADER_BYTES:
        return "is no offline model: its header is wrong"
    (long,) = struct.unpack_from("<Q", data, _MODEL_LENGTH_AT)
    (length,) = struct.unpack_from("<I", data, _LENGTH_AT)
    if (long or length) != len(data) - HEADER_BYTES:
        return f"is damaged: {len(data) - HEADER_BYTES} bytes follow the header, which says {long or length}"
    return None


def _check_opset(onnx: bytes, toolkit: Toolkit) -> Failure | None:
    try:
        model = ModelProto.FromString(onnx)
    except DecodeError:
        model = ModelProto()
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        return failure("file", "the model is not ONNX")
    known = opsets(toolkit.version)
    if known is not None and versions[0] not in known:
        reads = f"{known[0]} to {known[-1]}"
        return failure("unsupported", f"the model has opset {versions[0]}, CANN {toolkit.version} reads {reads}")
    return None


def _log(name: str, command: list[str], done: Finished, result: Failure) -> bytes:
    """What a person needs to see what happened: everything said, and the command as a list."""
    head = f"model: {name!r}\ncommand: {json.dumps(command[4:])}\nstatus: {done.status}\n{result.kind}: {result.line}\n"
    return f"{head}\n--- standard output\n{done.stdout}\n--- standard error\n{done.stderr}\n".encode()
