"""Stores with a champion and a challenger, and a process that runs command lines in them."""

from __future__ import annotations

import pytest

from tests.faults.workers import CHAMPION, FORMULA, PROMOTE, CommandRunner, json_in
from tests.stores import copy_store

PREDICT = ["predict", "--formula", FORMULA, "--sintering-temperature", "900", "--model", CHAMPION, "--json"]


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    """Process with everything imported that runs command lines in children."""
    command_runner = CommandRunner(tmp_path_factory.mktemp("runner"))
    yield command_runner
    command_runner.close()


@pytest.fixture(scope="session")
def train_command(small_dataset):
    """Command line of a training that takes seconds."""
    return ["train", "--dataset", str(small_dataset), "--folds", "2", "--threads", "1"]


@pytest.fixture(scope="session")
def champion_store(runner, train_command, tmp_path_factory):
    """Store with one version, the champion. It must not be changed."""
    folder = tmp_path_factory.mktemp("champion")
    code, output = runner.run(folder, train_command, PROMOTE, pretrained_on=train_command[2])
    assert code == 0, output
    return folder


@pytest.fixture(scope="session")
def expected_predictions(runner, champion_store):
    """Predictions of the champion, with every digit."""
    code, output = runner.run(champion_store, PREDICT)
    assert code == 0, output
    return json_in(output)["predictions"]


@pytest.fixture
def store(champion_store, tmp_path):
    """A copy of the store with a champion."""
    return copy_store(champion_store, tmp_path / "store")


@pytest.fixture(scope="session")
def challenger_store(runner, champion_store, train_command, tmp_path_factory):
    """Store with a champion and a challenger. It must not be changed."""
    folder = copy_store(champion_store, tmp_path_factory.mktemp("challenger") / "store")
    code, output = runner.run(folder, train_command, pretrained_on=train_command[2])
    assert code == 0, output
    return folder
