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


def test_uri_argument_precedes_variable_which_precedes_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv(stores.URI_VARIABLE, "http://127.0.0.1:1")
    assert resolve_uri() == "http://127.0.0.1:1"
    assert resolve_uri("sqlite:///other.db") == "sqlite:///other.db"


@pytest.mark.parametrize("name", ["plain", "with a space", "Präparate", "50 %", "a?b", "a#b"])
def test_default_store_works_in_folders_with_special_characters(name, tmp_path, monkeypatch, empty_database):
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
def test_sqlite_path_of_other_stores_is_none(uri):
    assert sqlite_path(uri) is None


def test_experiment_is_created_once(store_folder):
    with open_store() as store:
        assert store.experiment_id("lab") == store.experiment_id("lab")


def test_deleted_experiment_raises(store_folder):
    with open_store() as store:
        store.client.delete_experiment(store.experiment_id("lab"))
        with pytest.raises(TrackingError, match=r"'lab'.*was deleted.*--experiment.*restore"):
            store.experiment_id("lab")


def test_open_store_restores_settings_of_mlflow(store_folder, monkeypatch):
    import mlflow

    monkeypatch.setenv(stores.URI_VARIABLE, f"sqlite:///{store_folder}/mlflow.db")
    before = mlflow.get_tracking_uri()
    with open_store(f"sqlite:///{store_folder}/mlflow.db"):
        pass
    assert mlflow.get_tracking_uri() == before
    assert os.environ[stores.URI_VARIABLE] == f"sqlite:///{store_folder}/mlflow.db"
    monkeypatch.delenv(stores.URI_VARIABLE)
    with open_store():
        pass
    assert stores.URI_VARIABLE not in os.environ


def test_missing_store_is_not_created_if_it_must_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(TrackingError, match=r"no store at .*mlflow\.db.*nasicon-ml train"),
        open_store(must_exist=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_not_a_database_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "noise.db"
    path.write_bytes(os.urandom(4096))
    before = path.read_bytes()
    with (
        pytest.raises(TrackingError, match=r"noise\.db is not an SQLite database"),
        open_store(f"sqlite:///{path}"),
    ):
        pass
    assert path.read_bytes() == before


def test_damaged_database_is_named_in_the_error(tmp_path, empty_database):
    path = tmp_path / "damaged.db"
    path.write_bytes(empty_database.read_bytes()[:5000])
    with pytest.raises(TrackingError, match=r"damaged\.db"), open_store(f"sqlite:///{path}") as store:
        store.experiment_id("lab")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for the superuser")
def test_read_only_folder_raises(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(TrackingError, match="cannot be written"), open_store(f"sqlite:///{tmp_path}/mlflow.db"):
        pass


def test_folder_in_place_of_the_database_raises(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match="cannot be opened"), open_store(f"sqlite:///{tmp_path}/mlflow.db"):
        pass


def test_unreachable_server_raises_without_retries(monkeypatch):
    uri = f"http://127.0.0.1:{free_port()}"
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(TrackingError, match=f"{uri} cannot be reached"), open_store(uri):
        pass
    assert pauses == []  # no retries


def test_open_store_does_not_change_other_errors(store_folder):
    with pytest.raises(ZeroDivisionError), open_store():
        raise ZeroDivisionError


def test_missing_mlflow_raises_with_the_name_of_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"nasicon-ml\[tracking\]"), open_store():
        pass


# MLflow itself disables telemetry in tests, which it recognises by these variables.
TEST_VARIABLES = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "PYTEST_CURRENT_TEST")


def run(code, **env):
    """Run code in a process that MLflow does not take for a test; a closed proxy port stops all telemetry."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MLFLOW") and name not in TEST_VARIABLES
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
@pytest.mark.parametrize("first_statement", ["", "import mlflow; "])
def test_telemetry_is_off_even_if_mlflow_was_imported_before(first_statement):
    code = f"{first_statement}from nasicon_ml.tracking.store import load_mlflow; load_mlflow()\n{TELEMETRY}"
    assert run(code, MLFLOW_DISABLE_TELEMETRY="false") == "True True"


@pytest.mark.slow
def test_telemetry_is_on_without_load_mlflow():
    """Make sure that the test above can fail."""
    assert run(TELEMETRY, MLFLOW_DISABLE_TELEMETRY="false").startswith("False")


@pytest.mark.slow
def test_load_mlflow_keeps_settings_of_the_user():
    code = (
        "import os; from nasicon_ml.tracking.store import load_mlflow; load_mlflow();"
        "print(os.environ['MLFLOW_HTTP_REQUEST_MAX_RETRIES'])"
    )
    assert run(code, MLFLOW_HTTP_REQUEST_MAX_RETRIES="9") == "9"


def test_registry_in_another_store_is_refused(store_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////tmp/other.db")
    with pytest.raises(
        TrackingError, match=r"MLFLOW_REGISTRY_URI names sqlite:////tmp/other\.db, and the runs are in"
    ):
        open_store().__enter__()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", resolve_uri())
    with open_store() as store:
        assert store.client.search_registered_models() == []


@pytest.mark.parametrize("uri", ["mlflow.db", "lab/runs.sqlite", "/runs.sqlite3"])
def test_file_name_instead_of_uri_is_refused_with_a_suggestion(uri):
    with pytest.raises(TrackingError, match=f"is a file, and no address of a store: write sqlite:///{uri}"):
        open_store(uri).__enter__()


def test_experiment_argument_precedes_default_but_not_variable(monkeypatch):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    assert (resolve_experiment(), resolve_experiment("lab")) == (EXPERIMENT, "lab")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "furnace 2")
    assert (resolve_experiment(), resolve_experiment("lab")) == ("furnace 2", "lab")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_in_memory_store_is_refused(uri):
    with pytest.raises(
        TrackingError, match=r"names no file, so nothing would be kept; write sqlite:///mlflow\.db"
    ):
        open_store(uri).__enter__()


def invalid_variable_message(variable, value):
    return f"error: MLflow does not accept the variable {variable}={value!r}; mend or unset it\n"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "many"), ("MLFLOW_SQLALCHEMYSTORE_ECHO", "perhaps")],
)
def test_invalid_mlflow_variable_is_named_in_the_error(variable, value, store_folder, monkeypatch, capsys):
    monkeypatch.setenv(variable, value)
    assert main(["registry", "list"]) == 2
    assert capsys.readouterr() == ("", invalid_variable_message(variable, value))


def test_mlflow_variable_that_fails_on_import_is_named_in_the_error(store_folder):
    outcome = subprocess.run(
        [sys.executable, "-m", "nasicon_ml.cli.main", "registry", "list"],
        env=os.environ | {"MLFLOW_LOGGING_LEVEL": "loud"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    message = invalid_variable_message("MLFLOW_LOGGING_LEVEL", "loud")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (2, "", message)


def test_only_the_default_experiment_is_tagged_if_it_has_no_tags(store_folder):
    with open_store() as store:
        for name in (EXPERIMENT, "theirs"):
            store.client.create_experiment(name)
            store.experiment_id(name)
        tags = [store.client.get_experiment_by_name(name).tags for name in (EXPERIMENT, "theirs")]
    assert tags[0]["mlflow.experimentKind"] == "custom_model_development"
    assert tags[1] == {}
