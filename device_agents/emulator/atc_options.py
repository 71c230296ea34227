"""The command line of `atc`: which options there are, and in which order they are found wrong. Reference 1.3."""

import os
import re

from device_agents.emulator.onnx_operators import Refused

KNOWN = frozenset(
    "model framework output soc_version input_shape input_format weight out_nodes output_type input_fp16_nodes "
    "is_input_adjust_hw_layout is_output_adjust_hw_layout precision_mode precision_mode_v2 op_select_implmode "
    "op_precision_mode optypelist_for_implmode insert_op_conf fusion_switch_file dynamic_batch_size "
    "dynamic_image_size dynamic_dims input_shape_range auto_tune_mode log op_debug_level debug_dir "
    "op_compiler_cache_mode op_compiler_cache_dir check_report buffer_optimize enable_small_channel "
    "disable_reuse_memory core_type aicore_num mode display_model_info host_env_os host_env_cpu external_weight "
    "jit_compile enable_scope_fusion_passes compression_optimize_conf save_original_model mdl_bank_path op_bank_path "
    "modify_mixlist keep_dtype customize_dtypes".split()
)
_NEW = {"precision_mode_v2", "op_precision_mode", "external_weight", "jit_compile", "customize_dtypes"}
_FRAMEWORKS = ("0", "1", "3", "5")
_SOCS = re.compile(r"Ascend(310|310P[1357]|310B[1-4]|910\w*)$")
_VALUES = {
    "log": ("E10010", ("debug", "info", "warning", "error", "null")),
    "input_format": ("E10001", ("NCHW", "NCDHW", "ND", "NHWC")),
    "output_type": ("E10001", ("FP32", "FP16", "UINT8", "INT8")),
    "precision_mode": (
        "E10001",
        (
            "force_fp16", "force_fp32", "cube_fp16in_fp32out", "allow_mix_precision", "allow_fp32_to_fp16",
            "must_keep_origin_dtype", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16",
        ),
    ),
    "precision_mode_v2": (
        "E10001",
        ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16", "cube_hif8", "mixed_hif8"),
    ),
    "op_select_implmode": (
        "E10001",
        ("high_performance", "high_precision", "high_performance_for_all", "high_precision_for_all"),
    ),
    "op_compiler_cache_mode": ("E10001", ("disable", "enable", "force")),
    "buffer_optimize": ("E10001", ("l2_optimize", "l1_optimize", "off_optimize")),
    "op_debug_level": ("E10001", ("0", "1", "2", "3", "4")),
}  # fmt: skip
_LONGEST_PATH = 4096


class Usage(Exception):
    """The command line cannot be read at all; the message goes to standard error."""


def parse(arguments):
    """Options by name, from `--name=value` and `--name value`. Raises Usage."""
    found, left = {}, list(arguments)
    if not left:
        raise Usage("input argument value is empty or command line format is invalid")
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            raise Usage("Non-option parameter: {}".format(word))
        name, equals, value = word[2:].partition("=")
        if name not in KNOWN:
            raise Usage("unknown command line flag '{}'".format(name))
        if not equals:
            if not left or left[0].startswith("--"):
                raise Usage("flag '{}' is missing its argument; flag description: {}".format(name, name))
            value = left.pop(0)
        found[name] = value
    return found


def check(options, cann_major):
    """Raises Refused for the first thing that is wrong, in ATC's order."""
    if options.get("framework") not in _FRAMEWORKS:
        text = "[--framework] is required. The value must be [0(Caffe) or 1(MindSpore) or 3(TensorFlow) or 5(Onnx)]."
        raise Refused("E10007", text)
    for name in ("soc_version", "output", "model"):
        if not options.get(name):
            _required(name)
        if name == "soc_version" and not _SOCS.match(options[name]):
            raise Refused("E10001", "Value [{}] for parameter [--soc_version] is invalid.".format(options[name]))
    _check_model(options["model"])
    _check_output(options["output"])
    for name in sorted(options):
        _check_flag(name, options[name], cann_major)
    if "precision_mode" in options and "precision_mode_v2" in options:
        raise Refused("E10001", "[--precision_mode] and [--precision_mode_v2] cannot be set at the same time.")
    if options["framework"] != "5":
        raise Refused(
            "E10041", "Failed to load the model from {}: this stand-in reads ONNX only.".format(options["model"])
        )


def shapes(text):
    """Shapes by input, of `a:1,3,224,224;b:1,8`. Raises Refused."""
    found = {}
    for part in text.split(";") if text else []:
        name, colon, sizes = part.rpartition(":")
        if not colon or not name or not re.match(r"(-?\d+(,-?\d+)*)?$", sizes):
            form = "Value [{}] for parameter [--input_shape] is invalid. The form is [name:n,c,h,w]."
            raise Refused("E10002", form.format(text))
        found[name] = [int(size) for size in sizes.split(",") if size]
        if any(size <= 0 for size in found[name]):
            raise Refused("E10011", "Value [{}] for parameter [--input_shape] must be positive.".format(part))
    return found


def _required(name):
    text = "The requied parameter [--{}] for ATC is empty. Another possible reason is that the value of some "
    raise Refused("E10054", text.format(name) + 'parameter is not enclosed by quotation marks ("").')


def _check_model(path):
    if not os.path.isfile(path):
        text = "File [{}] does not exist or cannot be read. Reason: [Error 2] No such file or directory."
        raise Refused("E13000", text.format(path))


def _check_output(path):
    if len(path) > _LONGEST_PATH:
        raise Refused("E10021", "Path length of parameter [--output] exceeds {}.".format(_LONGEST_PATH))
    if not os.path.basename(path):
        raise Refused("E10022", "Path [{}] of parameter [--output] has no file name.".format(path))
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise Refused("E13000", "Path [{}] does not exist. Reason: [Error 2] No such file or directory.".format(folder))


def _check_flag(name, value, cann_major):
    if name in _NEW and cann_major <= 6:
        raise Refused("E10001", "Parameter [--{}] is not supported.".format(name))
    if name == "auto_tune_mode":
        text = "The Auto Tune function has been deprecated. Please use the AOE tool for tuning."
        raise Refused("E10001", text)
    if name in _VALUES and value not in _VALUES[name][1]:
        code, values = _VALUES[name]
        text = "Value [{}] for parameter [--{}] is invalid. It must be one of [{}]."
        raise Refused(code, text.format(value, name, ", ".join(values)))
    if name == "insert_op_conf" and not os.path.isfile(value):
        raise Refused("E13000", "File [{}] does not exist.".format(value))
