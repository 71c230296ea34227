"""From an ONNX model to what a device loads: conversion, its cache, and the pipeline that keeps ahead of the device."""

from profiler.convert.atc import Atc, AtcOptions
from profiler.convert.cache import ModelCache
from profiler.convert.converters import AtcConverter, Converter, NoConversion
from profiler.convert.failures import Failure
from profiler.convert.of_device import converter_of
from profiler.convert.runner import LocalRunner, Runner

__all__ = [
    "Atc",
    "AtcConverter",
    "AtcOptions",
    "Converter",
    "Failure",
    "LocalRunner",
    "ModelCache",
    "NoConversion",
    "Runner",
    "converter_of",
]
