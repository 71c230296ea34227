"""A run's configuration comes back from its folder as it went in, whatever the supernet's training says of itself."""

import json
from dataclasses import asdict

import pytest
from made_up_run import configuration

from search.run import open_folder
from search.summary import _words
from search.supernet import recipes
from search.wanted import config_of


@pytest.mark.parametrize("name", recipes.NAMES)
def test_it_comes_back(tmp_path, name):
    training = json.loads(json.dumps(asdict(recipes.get(name)))) | {"start": None, "note": 'a "quoted"\nline'}
    config = configuration(training=training, objectives=["miou", "latency"])
    open_folder(tmp_path, config, [], resume=False)
    found = config_of(tmp_path)
    assert found["training"] == {key: value for key, value in training.items() if value is not None}
    assert found["initial"] == config.initial
    open_folder(tmp_path, config, [], resume=True)


def test_records_are_told_by_name():
    phases = json.loads(json.dumps(asdict(recipes.get("paper-voc"))["phases"]))
    assert _words(phases).startswith("largest, depths, two largest, depths, ")
    assert _words([[96, 128], [160, 224]]) == "96, 128, 160, 224"
