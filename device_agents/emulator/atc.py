"""The stand-in for `atc`: options checked in the real order, real messages and exit codes, side files, an OM.

Section 1 of the reference says what the real one does. Wordings that are not known to the letter are in its manner.
"""

import datetime
import os
import sys
import time

from device_agents.emulator import atc_options, convert, passing, timing_model
from device_agents.emulator.onnx_operators import Refused
from device_agents.emulator.script import Script
from device_agents.emulator.settings import Settings

START = "ATC start working now, please wait for a moment."
SUCCESS = "ATC run success, welcome to the next use."
FAILED = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
_FAILED_STATUS, _KILLED_STATUS, _LIBRARY_STATUS = 255, 137, 127
_INJECTED = {
    "usage": ("E10001", "Value [x] for parameter [--precision_mode] is invalid."),
    "file": ("E13000", "Path [model.onnx] is empty. Reason: [Error 2] No such file or directory."),
    "unsupported": ("EZ3002", "Optype [Resize] of Ops kernel [AIcoreEngine] is unsupported."),
    "environment": ("E40000", "Failed to import Python module [te.platform]."),
    "internal": ("E19999", "Inner Error!"),
}


def main(arguments, settings=None):
    """Convert as the command line says; returns the exit status."""
    settings = settings or Settings()
    script = Script.of(settings)
    words = script.happens("atc") or [""]
    if words[0] == "library":
        text = "atc.bin: error while loading shared libraries: libascend_hal.so: cannot open shared object file: "
        sys.stderr.write(text + "No such file or directory\n")
        return _LIBRARY_STATUS
    if "--help" in arguments or "-h" in arguments:
        print("usage: atc.bin <args>\n" + "\n".join("  --" + name for name in sorted(atc_options.KNOWN)))
        return 0
    print(START + ("\n..." if settings.cann_major >= 7 else ""), flush=True)
    try:
        options = atc_options.parse(arguments)
    except atc_options.Usage as usage:
        sys.stderr.write("ERROR: {}\n".format(usage))
        return _FAILED_STATUS
    if words[0] in ("killed", "exit"):
        return _KILLED_STATUS if words[0] == "killed" else int(words[1])
    return _converted(options, settings, words[0])


def _converted(options, settings, fault):
    """Convert, with the `fault` of the script or an empty string; the exit status."""
    if fault == "hang":
        passing.hang()
    try:
        if fault in _INJECTED:
            raise Refused(*_INJECTED[fault])
        _convert(options, settings, writes=fault != "no-file")
    except Refused as refused:
        print(FAILED)
        print(_block(refused.code, str(refused), settings.cann_major))
        return _FAILED_STATUS
    print(SUCCESS)
    return 0


def _convert(options, settings, writes):
    began_s = time.time()
    atc_options.check(options, settings.cann_major)
    shapes = atc_options.shapes(options.get("input_shape", ""))
    with open(options["model"], "rb") as file:
        data = file.read()
    os.makedirs("kernel_meta", exist_ok=True)
    om, definition = convert.convert(
        data,
        options["soc_version"],
        settings.cann,
        shapes,
        output_fp16=options.get("output_type", "").upper() == "FP16",
        fp16_inputs=options.get("input_fp16_nodes", "").split(";"),
    )
    with open("fusion_result.json", "w") as file:
        file.write('[{"graph_fusion": {}, "ub_fusion": {}}]\n')
    model = timing_model.TimingModel(timing_model.Parameters(settings.model))
    passing.wait(settings.atc_time_factor * model.compile_s(definition) - (time.time() - began_s))
    if writes:
        with open(options["output"] + ".om", "wb") as file:
            file.write(om)


def _block(code, message, cann_major):
    """The error block, in the shape of the time."""
    stamp = "[PID: {}] {} ".format(os.getpid(), datetime.datetime.now().strftime("%Y-%m-%d-%H:%M:%S.%f")[:-3] + ".000")
    if cann_major <= 7:
        first = "{}: {}".format(code, message)
    elif cann_major == 8:
        first = "{}: {}{}".format(code, stamp, message)
    else:
        first = "{}Conversion_Error({}): {}".format(stamp, code, message)
    lines = [first, "        Possible Cause: see the message above.", "        Solution: correct it and try again."]
    if code == "E19999" and message == "Inner Error!":
        lines = ["E19999: Internal Error!", "        An unknown error occurred. Please check the log."]
    lines += [
        "        TraceBack (most recent call last):",
        "        ATC model parse ret fail.[FUNC:ParseGraph][FILE:onnx_parser.cc][LINE:100]",
    ]
    return "\n".join(lines)
