"""A bundle from a stranger, whose sums are right and whose content is not: refused by file name."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import subprocess
import sys
import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasicon_ml.bundle.out_of_fold import COLUMNS
from nasicon_ml.bundle.store import FILES, FORMAT_VERSION, MANIFEST
from nasicon_ml.errors import BundleError, NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table

PARSED = [name for name in FILES[FORMAT_VERSION] if not name.startswith("card")]


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    return trained.model.save(tmp_path_factory.mktemp("models") / "bundle")


@pytest.fixture(scope="module")
def stranger(bundle, tmp_path_factory):
    """A copy that each test changes and puts right again."""
    return shutil.copytree(bundle, tmp_path_factory.mktemp("stranger") / "bundle")


@pytest.fixture
def reseal(bundle, stranger):
    """Puts other bytes into a file, and into the manifest what fits them; afterwards all is as it was."""
    changed = set()

    def restore():
        for name in (*changed, MANIFEST):
            shutil.copyfile(bundle / name, stranger / name)

    def put(name, data):
        restore()
        (stranger / name).write_bytes(data)
        manifest = json.loads((bundle / MANIFEST).read_bytes())
        manifest["files"][name] = hashlib.sha256(data).hexdigest()
        (stranger / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        changed.add(name)
        return stranger

    yield put
    restore()


def at(content, *path):
    for step in path:
        content = content[step]
    return content


def content_of(bundle):
    return json.loads((bundle / "model.json").read_bytes())


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (("calibration", "pure"), "0.98", r"calibration\.pure: '0\.98' is not accepted"),
        (("calibration", "pure"), True, r"calibration\.pure: True is not accepted"),
        (("calibration", "intercept"), 1e308, r"calibration\.intercept: 1e\+308 is not accepted"),
        (("domain", "near"), -1, r"domain\.near: -1 is not accepted"),
        (("domain", "ranges", ""), [], r"domain\.ranges\.'': a list of 0 is not accepted"),
        (("domain", "ranges", "", "x"), [3, 1], r"domain\.ranges\.\.x: 3 is above 1"),
        (("domain", "ranges", "", "x"), [1], r"domain\.ranges\.''\.x: a list of 1 is not accepted"),
        (("domain", "sources", "anion"), {"O": -1}, r"domain\.sources\.anion\.O: -1 is not accepted"),
        (("metadata", "broken_scopes"), {"a": {}}, r"metadata\.broken_scopes\.a\.systems is missing"),
        (("domain", "elements", "A"), [1], r"domain\.elements\.A\[0\]: 1 is not accepted"),
        (
            ("feature_set",),
            "../../etc",
            r"feature_set: '\.\./\.\./etc' is not accepted; allowed: one of composition",
        ),
        (("feature_names",), [], "feature_names: a list of 0 is not accepted"),
        (("feature_names", 1), None, r"feature_names\[1\]: None is not accepted"),
        (("intervals", "conductivity", "scores"), [], r"intervals\.conductivity\.scores: a list of 0"),
        (("intervals", "conductivity", "scores"), [2, 1], r"scores: they are not in order"),
        (("intervals", "conductivity", "scores", 3), "1", r"scores\[3\]: '1' is not accepted"),
        (("intervals", "conductivity", "spread", "intercept"), 1e9, "intercept: 1000000000.0 is not accepted"),
        (("intervals", "conductivity", "by_system"), {"LATP": 0}, r"by_system\.LATP: 0 is not accepted"),
        (("own", "conductivity", "composition"), 0, r"own\.conductivity\.composition: 0 is not accepted"),
        (("own", "conductivity"), None, r"own\.conductivity: None is not accepted"),
        (
            ("priors", "conductivity", "columns", 0),
            10**5,
            r"priors\.conductivity\.columns: there are \d+ features",
        ),
        (("priors", "conductivity", "columns", 0), -1, r"columns\[0\]: -1 is not accepted"),
        (("priors", "conductivity", "means"), [1.0], r"the prior of conductivity has \d+ terms of \d+ features"),
        (("metadata",), {}, r"metadata\.dataset_sha256 is missing"),
        (("metadata", "options"), {"a": {"b": 1}}, r"metadata\.options\.a: an object of 1 is not accepted"),
        (("metadata", "scores", 0, "value"), None, r"metadata\.scores\[0\]\.value: None is not accepted"),
        (("metadata", "validation"), {"errors": 0}, r"metadata\.validation\.warnings is missing"),
        (("metadata", "created"), "now", r"metadata\.created is not known"),
        (("metadata", "__class__"), "os.system", r"metadata\.__class__ is not known"),
        (("targets",), [], "targets: a list of 0 is not accepted"),
        (("targets", "conductivity"), "S/m", "learned on other scales"),
    ],
)
def test_invalid_model_json_is_refused(bundle, reseal, path, value, match):
    content = content_of(bundle)
    at(content, *path[:-1])[path[-1]] = value
    with pytest.raises(BundleError, match=rf"model\.json .*{match}"):
        PropertyModel.load(reseal("model.json", json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("model.json", b"", "Expecting value"),
        ("model.json", b"[" * 10_000_000, "nested too deeply"),
        ("model.json", b'{"a":' * 1_000_000, "nested too deeply"),
        ("model.json", b'{"calibration": NaN}', "NaN is not a number"),
        ("model.json", b'{"calibration": -Infinity}', "-Infinity is not a number"),
        ("model.json", b'{"calibration": 1e999}', "1e999 is too large a number"),
        ("model.json", b'{"a": 1, "a": 2}', "'a' occurs twice"),
        ("model.json", b"[1, 2]", "a list of 2 is not accepted; allowed: an object"),
        ("model.json", b"9" * 10_000, "limit"),
        ("model.json", b"\xff\xfe", "codec can't decode"),
        ("pellets.csv", b"", "line 1: the columns are not the 45"),
        ("pellets.csv", b"a," * 1_000_000, "line 1: (the columns are not the 45|field)"),
        ("pellets.csv", b"\xff", "codec can't decode"),
        ("out_of_fold.csv", b"\xff", "codec can't decode"),
        ("conductivity.npz", b"", "it is not an archive of arrays"),
        ("conductivity.npz", b"{}", "it is not an archive of arrays"),
        ("conductivity.npz", b"PK\x05\x06" + bytes(18), "does not hold exactly the arrays"),
        ("phase_purity.npz", bytes(1000), "it is not an archive of arrays"),
        ("relative_density.npz", b"\x80\x04\x95.", "it is not an archive of arrays"),
    ],
)
def test_invalid_files_are_refused(reseal, name, data, match):
    with pytest.raises(BundleError, match=rf"bundle/{name} does not hold what a bundle holds: .*{match}"):
        PropertyModel.load(reseal(name, data))


def test_invalid_out_of_fold_predictions_are_refused_when_they_are_used(reseal):
    model = PropertyModel.load(reseal("out_of_fold.csv", b"a,b\n"))
    with pytest.raises(BundleError, match=r"^out_of_fold.csv does not hold .*: line 1: the columns are not"):
        _ = model.out_of_fold


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda lines: lines[:1], "a table without pellets"),
        (lambda lines: [lines[0], lines[1].replace("Li1.5Al0.5Ge1.5(PO4)3", "Xx99", 1)], "Xx"),
        (lambda lines: [lines[0], lines[1].replace("Li1.5Al0.5Ge1.5(PO4)3", "", 1)], "a pellet without formula"),
        (lambda lines: [lines[0], lines[1].replace("0.00023", "hot", 1)], "'hot' is not accepted"),
        (lambda lines: [lines[0], lines[1].replace("0.00023", "inf", 1)], "'inf' is not accepted"),
        (lambda lines: [*lines[:3], lines[3] + ",more"], "line 4: 46 cells instead of 45"),
        (lambda lines: [lines[0] + ",more", *lines[1:]], "line 1: the columns are not the 45"),
    ],
)
def test_invalid_pellets_are_refused(bundle, reseal, change, match):
    lines = (bundle / "pellets.csv").read_text(encoding="utf-8").split("\n")
    with pytest.raises(BundleError, match=rf"bundle/pellets\.csv does not hold what a bundle holds: .*{match}"):
        PropertyModel.load(reseal("pellets.csv", "\n".join(change(lines)).encode()))


def test_trees_of_other_features_are_refused(bundle, reseal):
    content = content_of(bundle)
    content["feature_names"].append("one_more")
    with pytest.raises(
        BundleError, match=r"conductivity\.npz .*the trees are for \d+ features, the model has \d+"
    ):
        PropertyModel.load(reseal("model.json", json.dumps(content).encode()))


def test_trees_of_another_target_load_and_answer(bundle, reseal):
    """Well-formed is all that can be checked: whether a model is any good is for its scores to say."""
    model = PropertyModel.load(reseal("conductivity.npz", (bundle / "relative_density.npz").read_bytes()))
    answers = model.predict(recipe_table([Recipe(formula="LAGP x=0.5")]))
    assert np.isfinite(answers["predicted_conductivity_s_cm"]).all()


def outcome(folder):
    """The model, or what is said against it; any other exception fails the test."""
    try:
        return PropertyModel.load(folder), ""
    except BundleError as error:
        return None, str(error)


JUNK = [
    None, True, -1, 0, 1, 0.5, 1e308, -1e308, 2**63, 10**400, "0.5", "", "x" * 3000, "../x", "=cmd()", [], {}, [1],
    [[]], {"a": 1},
]  # fmt: skip


def mutated(content, data):
    """The content with junk in one place, drawn at random."""
    inside = content
    while True:
        steps = sorted(inside) if isinstance(inside, dict) else range(len(inside))
        step = data.draw(st.sampled_from(steps))
        below = inside[step]
        if not (isinstance(below, (dict, list)) and below and data.draw(st.integers(0, 4))):
            break
        inside = below
    if data.draw(st.booleans()):
        inside[step] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
    else:
        del inside[step]
    return content


@pytest.mark.slow
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_junk_anywhere_in_model_json_is_refused_or_answers(bundle, reseal, data):
    content = mutated(content_of(bundle), data)
    folder = reseal("model.json", json.dumps(content).encode())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, complaint = outcome(folder)
        if model is None:
            assert any(name in complaint for name in PARSED)
            return
        try:
            model.predict(recipe_table([Recipe(formula="LATP x=0.4", sintering_temperature_c=900)]))
        except NasiconError as error:
            complaint = str(error)
        assert not complaint or "trained on other features" in complaint, "found out when they are needed"


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_tables_are_refused_by_name_or_answer(bundle, reseal, data):
    name = data.draw(st.sampled_from(["pellets.csv", "out_of_fold.csv"]))
    content = bytearray((bundle / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.sampled_from([0, 1, 30]))
    content[place : place + length] = data.draw(
        st.binary(max_size=10) | st.sampled_from([b",", b'"', b"\n", b"9"])
    )
    model, complaint = outcome(reseal(name, bytes(content)))
    if model is None:
        assert f"{name} does not hold what a bundle holds" in complaint
        return
    model.predict(recipe_table([Recipe(formula="LATP x=0.4")]))
    with suppress(BundleError):
        assert list(model.out_of_fold.columns) == list(COLUMNS)


_FUZZ = """
import hashlib, json, random, sys
from pathlib import Path
from tests.trees.test_arrays import with_checksums
from nasicon_ml.errors import BundleError
from nasicon_ml.bundle.store import MANIFEST
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table
folder, count = Path(sys.argv[1]), int(sys.argv[2])
good = (folder / "conductivity.npz").read_bytes()
manifest = json.loads((folder / MANIFEST).read_bytes())
table = recipe_table([Recipe(formula="LATP x=0.4")])
refused = answered = 0
for seed in range(count):
    chance = random.Random(seed)
    data = bytearray(good)
    at = chance.randrange(len(data)) if chance.random() < 0.7 else chance.randrange(20_000)
    kind = chance.randrange(3)
    if kind == 0:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del data[at : at + chance.randrange(1, 60)]
    else:
        data[at : at + 8] = chance.randbytes(8)
    data = with_checksums(bytes(data))
    (folder / "conductivity.npz").write_bytes(data)
    manifest["files"]["conductivity.npz"] = hashlib.sha256(data).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))
    try:
        model = PropertyModel.load(folder)
    except BundleError as error:
        assert "conductivity.npz does not hold what a bundle holds" in str(error), str(error)
        refused += 1
        continue
    model.predict(table)
    answered += 1
print(refused, answered)
"""


@pytest.mark.slow
def test_300_mutations_of_trees_are_refused_or_answer_and_crash_nothing(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    outcome = subprocess.run(
        [sys.executable, "-c", _FUZZ, str(folder), "300"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, (outcome.returncode, outcome.stderr[-2000:])
    refused, answered = map(int, outcome.stdout.split())
    assert refused + answered == 300
    assert refused > 50, "most bytes are digits of thresholds and leaves, which may change"
