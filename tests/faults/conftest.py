"""A laboratory's folder with a champion, and a warm program that runs command lines in it."""

from __future__ import annotations

import pytest

from tests.faults.workers import CHAMPION, FORMULA, PROMOTE, Shop, json_in
from tests.stores import copy_store

PREDICT = ["predict", "--formula", FORMULA, "--sintering-temperature", "900", "--model", CHAMPION, "--json"]


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """The warm program."""
    found = Shop(tmp_path_factory.mktemp("shop"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def train(small_dataset):
    """The command line of a training that takes seconds."""
    return ["train", "--dataset", str(small_dataset), "--folds", "2", "--threads", "1"]


@pytest.fixture(scope="session")
def first_lab(shop, train, tmp_path_factory):
    """A folder with one version, which is champion."""
    folder = tmp_path_factory.mktemp("first")
    code, text = shop.run(folder, train, PROMOTE, ready=train[2])
    assert code == 0, text
    return folder


@pytest.fixture(scope="session")
def as_before(shop, first_lab):
    """What the champion predicts, every digit."""
    code, text = shop.run(first_lab, PREDICT)
    assert code == 0, text
    return json_in(text)["predictions"]


@pytest.fixture
def lab(first_lab, tmp_path):
    """A copy of the folder with a champion."""
    return copy_store(first_lab, tmp_path / "lab")


@pytest.fixture(scope="session")
def two(shop, first_lab, train, tmp_path_factory):
    """A store with a champion and a challenger."""
    folder = copy_store(first_lab, tmp_path_factory.mktemp("two") / "lab")
    code, text = shop.run(folder, train, ready=train[2])
    assert code == 0, text
    return folder
