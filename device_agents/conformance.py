"""What every runtime must do, as tests: a new runtime proves itself by subclassing this.

    class TestMine(RuntimeConformance):
        def make_runtime(self): ...
        def make_model(self): ...

Plain assertions and no test framework, so that it also runs on a board; pytest collects the subclass.
"""

import json

from device_agents.faults import Fault
from device_agents.timing import CLOCKS, Rule, measure


class RuntimeConformance(object):
    """See `device_agents.runtimes` for what is asked."""

    tolerance = 1e-3  # of outputs, relative to the largest expected one

    def make_runtime(self):
        """A fresh runtime."""
        raise NotImplementedError

    def make_model(self):
        """(bytes of a model, inputs by name, expected outputs by name), values as flat lists of floats."""
        raise NotImplementedError

    def test_describes_itself_in_json(self):
        description = self.make_runtime().describe()
        assert json.loads(json.dumps(description)) == description
        for field in ("name", "kind", "version", "precision", "batch"):
            assert description.get(field), "describe() lacks {}".format(field)

    def test_names_a_clock(self):
        assert self.make_runtime().clock in CLOCKS

    def test_computes_what_is_expected(self):
        data, inputs, expected = self.make_model()
        model = self._load(self.make_runtime(), data)
        self._same(model.infer(inputs), expected)
        model.close()

    def test_answers_alike_after_timing(self):
        data, inputs, expected = self.make_model()
        model = self._load(self.make_runtime(), data)
        for _ in range(20):
            model.run()
        self._same(model.infer(inputs), expected)
        model.close()

    def test_damaged_model_is_a_fault(self):
        data = self.make_model()[0]
        runtime = self.make_runtime()
        for damaged in (b"", b"not a model at all", data[: len(data) // 2]):
            fault = runtime.load(damaged)
            assert isinstance(fault, Fault), "a damaged model must load as a Fault"
            assert fault.kind in ("load", "memory")
            assert fault.detail
            assert "\n" not in fault.detail
        self._load(runtime, data).close()  # and the runtime survives it

    def test_models_are_independent(self):
        data, inputs, expected = self.make_model()
        runtime = self.make_runtime()
        one, other = self._load(runtime, data), self._load(runtime, data)
        one.close()
        self._same(other.infer(inputs), expected)
        other.close()

    def test_many_models_in_turn(self):
        data = self.make_model()[0]
        runtime = self.make_runtime()
        for _ in range(50):
            model = self._load(runtime, data)
            model.run()
            model.close()

    def test_can_be_timed(self):
        runtime = self.make_runtime()
        model = self._load(runtime, self.make_model()[0])
        calls = []
        result = measure(model, Rule(target=0.5, floor=5, cap=8), runtime.clock, lambda: calls.append(1))
        assert not isinstance(result, Fault), result
        count = len(result["samples_ms"][runtime.clock])
        assert 5 <= count <= 8
        assert len(calls) >= count
        assert set(result["samples_ms"]) <= set(CLOCKS)
        assert "wall" in result["samples_ms"]
        assert all(len(samples) == count for samples in result["samples_ms"].values())
        assert min(result["samples_ms"][runtime.clock]) > 0
        model.close()

    def test_profiles_its_nodes_where_it_can(self):
        runtime = self.make_runtime()
        if not hasattr(runtime, "profile"):
            return
        found = runtime.profile(self.make_model()[0], 1, 3, lambda: None)
        assert not isinstance(found, Fault), found
        assert found["nodes"]
        assert all(len(node["ms"]) == 3 and min(node["ms"]) >= 0 and node["name"] for node in found["nodes"])
        assert len(found["total_ms"]) == 3
        assert isinstance(runtime.profile(b"not a model at all", 1, 3, lambda: None), Fault)

    def test_unfit_options_are_a_fault(self):
        for fault in self.make_unfit():
            assert isinstance(fault, Fault)
            assert fault.detail

    def make_unfit(self):
        """What creating the runtime with unfit options gave; a runtime without options has none."""
        return []

    def _load(self, runtime, data):
        model = runtime.load(data)
        assert not isinstance(model, Fault), model
        return model

    def _same(self, outputs, expected):
        assert sorted(outputs) == sorted(expected)
        for name, values in expected.items():
            assert len(outputs[name]) == len(values)
            scale = max(abs(value) for value in values)
            for got, value in zip(outputs[name], values):  # noqa: B905 - `strict` came with Python 3.10
                assert abs(got - value) <= self.tolerance * scale, "{}: {} is not {}".format(name, got, value)
