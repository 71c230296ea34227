"""A made-up `atc` that behaves as the reference says: texts, streams, exit statuses, side files, header.

    python scripted_atc.py FOLDER --model=… …

FOLDER/modes holds one mode a line, used up call by call; the last stays (none: `ok`). Every call leaves its arguments,
working folder and environment in FOLDER/calls/. Modes: `ok`, `ok:linux` (arch in the file's name), `stale`,
`empty`, `cut`, `foreign`, `nothing` (status 0, no file), `mute` (file, no success line), `status:N`, `signal:N`,
`wait` (until FOLDER/go is there), `hang` (with a child that ignores SIGTERM), `hal`, `argument`, and `fail:TEXT` (the
failed line, then TEXT). A mode in the model's doc string, `mode=…;`, goes before those of the file.
"""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

ARCH = os.uname().machine


def main() -> int:
    folder, options = Path(sys.argv[1]), dict(arg[2:].split("=", 1) for arg in sys.argv[2:])
    mode = next_mode(folder, Path(options["model"]).read_bytes())
    calls = folder / "calls"
    call = {"argv": sys.argv[2:], "cwd": os.getcwd(), "env": dict(os.environ), "pid": os.getpid()}
    part = calls / f"{time.monotonic_ns()}-{os.getpid()}.part"
    part.write_text(json.dumps(call))
    part.rename(part.with_suffix(".json"))  # whole or absent: the test looks while we work, and may kill us
    if mode == "hal":
        print(
            "/opt/cann/bin/atc.bin: error while loading shared libraries: libascend_hal.so: cannot open shared "
            "object file: No such file or directory",
            file=sys.stderr,
        )
        return 127
    if mode == "argument":
        print("ERROR: unknown command line flag 'sock_version'", file=sys.stderr)
        return 255
    print("ATC start working now, please wait for a moment.\n...", flush=True)
    os.mkdir("kernel_meta")
    Path("fusion_result.json").write_text("{}")
    time.sleep(float(os.environ.get("ATC_SLEEP_S", "0")))
    return carry_out(mode, folder, options)


def next_mode(folder: Path, onnx: bytes) -> str:
    if found := re.search(rb"mode=([^\x00;]+);", onnx):
        return found[1].decode()
    file = folder / "modes"
    modes = file.read_text().splitlines() if file.exists() else ["ok"]
    if len(modes) > 1:
        file.write_text("\n".join(modes[1:]))
    return modes[0]


def carry_out(mode: str, folder: Path, options: dict[str, str]) -> int:
    kind, _, value = mode.partition(":")
    if kind == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(100)"])
        (folder / "child.part").write_text(str(child.pid))
        (folder / "child.part").rename(folder / "child")
        time.sleep(100)
    while kind == "wait" and not (folder / "go").exists():
        time.sleep(0.01)
    if kind == "signal":
        os.kill(os.getpid(), int(value))
        signal.pause()
    if kind == "status":
        return int(value)
    if kind == "fail":
        print("ATC run failed, Please check the detail log, Try 'atc --help' for more information")
        print(value.replace("|", "\n"))
        return 255
    write(kind, value, options)
    if kind != "mute":
        print("ATC run success, welcome to the next use.")
    return 0


def write(kind: str, value: str, options: dict[str, str]) -> None:
    file = Path(options["output"] + (f"_linux_{ARCH}.om" if value == "linux" else ".om"))
    payload = json.dumps({"soc": options["soc_version"], "model": len(Path(options["model"]).read_bytes())}).encode()
    data = header(len(payload)) + payload
    if kind != "nothing":
        file.write_bytes({"empty": b"", "cut": data[:-1], "foreign": b"\x7fELF" + data[4:]}.get(kind, data))
    if kind == "stale":
        os.utime(file, (1e9, 1e9))


def header(length: int) -> bytes:
    head = bytearray(256)
    struct.pack_into("<4sI", head, 0, b"IMOD", 256)
    struct.pack_into("<I", head, 76, length)
    return bytes(head)


if __name__ == "__main__":
    sys.exit(main())
