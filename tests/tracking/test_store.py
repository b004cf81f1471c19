import os
import subprocess
import sys
import time

import pytest

from nasicon_ml.cli.main import main
from nasicon_ml.errors import MissingExtraError, TrackingError
from nasicon_ml.tracking import store as stores
from nasicon_ml.tracking.store import EXPERIMENT, open_store, resolve_experiment, resolve_uri, sqlite_path
from tests.programs import free_port


def test_the_store_given_comes_before_the_variable_and_the_variable_before_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv(stores.URI_VARIABLE, "http://127.0.0.1:1")
    assert resolve_uri() == "http://127.0.0.1:1"
    assert resolve_uri("sqlite:///other.db") == "sqlite:///other.db"


@pytest.mark.parametrize("name", ["plain", "with a space", "Präparate", "50 %", "a?b", "a#b"])
def test_the_default_store_works_in_a_folder_of_any_name(name, tmp_path, monkeypatch, empty_database):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / stores.DATABASE).write_bytes(empty_database.read_bytes())
    with open_store() as store:
        assert store.database == folder / stores.DATABASE
        experiment = store.client.get_experiment(store.experiment_id("a name / with signs"))
    assert experiment.artifact_location == (folder / "mlartifacts" / "a-name-with-signs").as_uri()


@pytest.mark.parametrize(
    "uri", ["http://host", "postgresql://host/db", "sqlite://", "sqlite:///:memory:", "mlruns"]
)
def test_other_stores_have_no_file(uri):
    assert sqlite_path(uri) is None


def test_an_experiment_is_made_once(workplace):
    with open_store() as store:
        assert store.experiment_id("lab") == store.experiment_id("lab")


def test_a_deleted_experiment_is_named(workplace):
    with open_store() as store:
        store.client.delete_experiment(store.experiment_id("lab"))
        with pytest.raises(TrackingError, match=r"'lab'.*was deleted.*--experiment.*restore"):
            store.experiment_id("lab")


def test_mlflows_settings_are_as_they_were_afterwards(workplace, monkeypatch):
    import mlflow

    monkeypatch.setenv(stores.URI_VARIABLE, f"sqlite:///{workplace}/mlflow.db")
    before = mlflow.get_tracking_uri()
    with open_store(f"sqlite:///{workplace}/mlflow.db"):
        pass
    assert mlflow.get_tracking_uri() == before
    assert os.environ[stores.URI_VARIABLE] == f"sqlite:///{workplace}/mlflow.db"
    monkeypatch.delenv(stores.URI_VARIABLE)
    with open_store():
        pass
    assert stores.URI_VARIABLE not in os.environ


def test_a_store_that_must_exist_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(TrackingError, match=r"no store at .*mlflow\.db.*nasicon-ml train"),
        open_store(must_exist=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "noise.db"
    path.write_bytes(os.urandom(4096))
    before = path.read_bytes()
    with (
        pytest.raises(TrackingError, match=r"noise\.db is not an SQLite database"),
        open_store(f"sqlite:///{path}"),
    ):
        pass
    assert path.read_bytes() == before


def test_a_damaged_database_is_a_sentence_that_names_it(tmp_path, empty_database):
    path = tmp_path / "damaged.db"
    path.write_bytes(empty_database.read_bytes()[:5000])
    with pytest.raises(TrackingError, match=r"damaged\.db"), open_store(f"sqlite:///{path}") as store:
        store.experiment_id("lab")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for the superuser")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(TrackingError, match="cannot be written"), open_store(f"sqlite:///{tmp_path}/mlflow.db"):
        pass


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match="cannot be opened"), open_store(f"sqlite:///{tmp_path}/mlflow.db"):
        pass


def test_a_server_that_is_not_there_is_said_at_once(monkeypatch):
    uri = f"http://127.0.0.1:{free_port()}"
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(TrackingError, match=f"{uri} cannot be reached"), open_store(uri):
        pass
    assert pauses == []  # it is not asked again


def test_other_errors_pass_unchanged(workplace):
    with pytest.raises(ZeroDivisionError), open_store():
        raise ZeroDivisionError


def test_missing_mlflow_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"nasicon-ml\[tracking\]"), open_store():
        pass


# By these MLflow sees that it runs in a test, and is silent of its own accord.
OF_TESTS = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "PYTEST_CURRENT_TEST")


def run(code, **env):
    """Run a program that does not look like a test; nothing it sends would get out."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("MLFLOW") and name not in OF_TESTS
    }
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=inherited | nowhere | env
    )
    return outcome.stdout.strip()


def test_importing_tracking_does_not_import_mlflow():
    assert run("import sys, nasicon_ml.tracking; print('mlflow' in sys.modules)") == "False"


TELEMETRY = (
    "from mlflow.telemetry import get_telemetry_client as client\n"
    "from mlflow.telemetry.utils import is_telemetry_disabled as disabled\n"
    "print(disabled(), client() is None)"
)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "import mlflow; "])
def test_telemetry_is_off_even_if_mlflow_was_imported_before(before):
    code = f"{before}from nasicon_ml.tracking.store import load_mlflow; load_mlflow()\n{TELEMETRY}"
    assert run(code, MLFLOW_DISABLE_TELEMETRY="false") == "True True"


@pytest.mark.slow
def test_the_test_of_telemetry_can_fail():
    assert run(TELEMETRY, MLFLOW_DISABLE_TELEMETRY="false").startswith("False")


@pytest.mark.slow
def test_the_users_own_settings_of_mlflow_are_kept():
    code = (
        "import os; from nasicon_ml.tracking.store import load_mlflow; load_mlflow();"
        "print(os.environ['MLFLOW_HTTP_REQUEST_MAX_RETRIES'])"
    )
    assert run(code, MLFLOW_HTTP_REQUEST_MAX_RETRIES="9") == "9"


def test_a_registry_elsewhere_is_refused(workplace, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////tmp/other.db")
    with pytest.raises(
        TrackingError, match=r"MLFLOW_REGISTRY_URI names sqlite:////tmp/other\.db, and the runs are in"
    ):
        open_store().__enter__()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", resolve_uri())
    with open_store() as store:
        assert store.client.search_registered_models() == []


@pytest.mark.parametrize("uri", ["mlflow.db", "lab/runs.sqlite", "/runs.sqlite3"])
def test_a_file_in_the_place_of_an_address_is_refused_with_the_cure(uri):
    with pytest.raises(TrackingError, match=f"is a file, and no address of a store: write sqlite:///{uri}"):
        open_store(uri).__enter__()


def test_mlflows_variable_names_the_experiment(monkeypatch):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    assert (resolve_experiment(), resolve_experiment("lab")) == (EXPERIMENT, "lab")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "furnace 2")
    assert (resolve_experiment(), resolve_experiment("lab")) == ("furnace 2", "lab")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_that_keeps_nothing_is_refused(uri):
    with pytest.raises(
        TrackingError, match=r"names no file, so nothing would be kept; write sqlite:///mlflow\.db"
    ):
        open_store(uri).__enter__()


def rejected_setting(variable, value):
    return f"error: MLflow does not accept the variable {variable}={value!r}; mend or unset it\n"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "many"), ("MLFLOW_SQLALCHEMYSTORE_ECHO", "perhaps")],
)
def test_a_setting_that_mlflow_cannot_read_is_named(variable, value, workplace, monkeypatch, capsys):
    monkeypatch.setenv(variable, value)
    assert main(["registry", "list"]) == 2
    assert capsys.readouterr() == ("", rejected_setting(variable, value))


def test_a_setting_that_mlflow_cannot_read_when_imported_is_named(workplace):
    outcome = subprocess.run(
        [sys.executable, "-m", "nasicon_ml.cli.main", "registry", "list"],
        env=os.environ | {"MLFLOW_LOGGING_LEVEL": "loud"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    message = rejected_setting("MLFLOW_LOGGING_LEVEL", "loud")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (2, "", message)


def test_an_experiment_of_an_earlier_version_is_described_and_a_foreign_one_is_left_alone(workplace):
    with open_store() as store:
        for name in (EXPERIMENT, "theirs"):
            store.client.create_experiment(name)
            store.experiment_id(name)
        kinds = [store.client.get_experiment_by_name(name).tags for name in (EXPERIMENT, "theirs")]
    assert kinds[0]["mlflow.experimentKind"] == "custom_model_development"
    assert kinds[1] == {}
