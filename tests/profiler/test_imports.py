import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosegnet.common.errors import UserError
from profiler import imports

AIS_BENCH = """\
[INFO] acl init success
[INFO] -----------------Performance Summary------------------
[INFO] H2D_latency (ms): min = 0.05, max = 0.06, mean = 0.055, median = 0.055, percentile(99%) = 0.06
[INFO] NPU_compute_time (ms): min = 0.66, max = 0.70, mean = 0.6650000214576721, median = 0.664, percentile(99%) = 0.7
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(0.6650000214576721): 1503.759349974173
"""
MSAME = """\
[INFO] loop 0
Inference time: 9.5ms
Inference time: 1.25ms
Inference time: 1.75ms
Inference average time: 4.17 ms
Inference average time without first time: 1.50 ms
"""


def times(*compute_ms):
    keys = ("startEnqMs", "endEnqMs", "startComputeMs", "endComputeMs", "latencyMs")
    return [{**dict.fromkeys(keys, 1.0), "computeMs": ms} for ms in compute_ms]


@pytest.fixture
def write(tmp_path):
    def write(content, name="net.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_trtexec_times(write):
    found = imports.read(write(times(2.0, 1.0, 6.0)))
    assert (found.name, found.tool, found.clock) == ("net", "trtexec", "device")
    assert found.samples_ms == (2.0, 1.0, 6.0)
    assert (found.mean_ms, found.median_ms) == (3.0, 2.0)


def test_trtexec_profile(write):
    layer = {"name": "conv + relu", "timeMs": 20.0, "averageMs": 2.0, "medianMs": 1.9, "percentage": 100}
    older = {"name": "pool", "timeMs": 5.0, "averageMs": 0.5, "percentage": 20}
    found = imports.read(write([{"count": 10}, layer, older]))
    assert found.runs == 10
    assert [(layer.name, layer.mean_ms, layer.median_ms) for layer in found.layers] == [
        ("conv + relu", 2.0, 1.9),
        ("pool", 0.5, None),
    ]


def test_ais_bench(write):
    found = imports.read(write(AIS_BENCH, "net.log"))
    assert (found.tool, found.clock, found.samples_ms) == ("ais_bench", "wall", ())
    assert (found.mean_ms, found.median_ms) == (0.6650000214576721, 0.664)


def test_msame_leaves_the_first_out(write):
    found = imports.read(write(MSAME, "net.log"))
    assert found.samples_ms == (1.25, 1.75)
    assert found.mean_ms == 1.5


def test_msame_with_averages_only(write):
    found = imports.read(write("\n".join(MSAME.splitlines()[-2:]), "net.log"))
    assert (found.samples_ms, found.mean_ms, found.median_ms) == ((), 1.5, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no ais_bench or msame output"),
        ("[", "damaged"),
        ("[]", "no measurement"),
        ("[1]", "list of objects"),
        ([*times(1.0), {}], "entry 2"),
        ([{"computeMs": "fast"}], "'fast'"),
        ([{"computeMs": -1}], "computeMs"),
        ('[{"computeMs": NaN}]', "nan"),
        ([{"count": 0}], "number of runs"),
        ([{"count": 3}], "no layer"),
        ([{"count": 3}, {"averageMs": 1}], "names no layer"),
        ([{"count": 3}, {"name": "x"}], "averageMs"),
        (AIS_BENCH + AIS_BENCH.replace("mean = 0.66", "mean = 0.67"), "2 summaries"),
        (MSAME + MSAME, "several networks"),
        ("Inference time: 0.0 ms", "cannot be"),
        ("\x00\x01\x02", "no ais_bench"),
    ],
)
def test_what_is_malformed_is_one_line(write, content, words):
    path = write(content)
    with pytest.raises(UserError) as caught:
        imports.read(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        imports.read(tmp_path / "none.json")


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60) | st.lists(st.dictionaries(st.text(max_size=9), st.floats() | st.text(max_size=4))))
def test_any_content_is_read_or_refused(write, content):
    with contextlib.suppress(UserError):
        assert isinstance(imports.read(write(content)), imports.Imported | imports.ImportedProfile)
