"""One cluster, one server and one training for all tests of this folder, because each takes a while."""

import json
from pathlib import Path

import pytest

from tests.server.postgres import running_cluster
from tests.server.site import DATABASE, SharedServer

ROLES = ("reader", "trainer", "maintainer")


@pytest.fixture(scope="package")
def cluster():
    with running_cluster() as postgres:
        yield postgres


@pytest.fixture(scope="package")
def server(cluster, tmp_path_factory):
    """The shared server with a user of each role."""
    cluster.sql(f"create database {DATABASE}")
    shared_server = SharedServer(cluster, tmp_path_factory.mktemp("shared server"))
    try:
        shared_server.start()
        completed = shared_server.access("setup")
        assert (completed.returncode, completed.stderr) == (0, "")
        for role in ROLES:
            completed = shared_server.add_user(role, role)
            assert (completed.returncode, completed.stdout) == (0, f"{role}: {role}\n"), completed.stderr
        yield shared_server
    finally:
        shared_server.stop()


@pytest.fixture(scope="package")
def bundle():
    """The committed model, which differs from the first version."""
    return Path(__file__).parents[2] / "models" / "champion"


@pytest.fixture(scope="package")
def first_version(server, small_dataset):
    """The run that `nasicon-ml train` prints after training the first version as trainer on the server."""
    options = ("--dataset", small_dataset, "--folds", "2", "--threads", "1", "--json")
    completed = server.nasicon_ml("train", *options, user="trainer")
    assert completed.returncode == 0, completed.stderr
    assert server.aliases() == {"challenger": "1"}
    return json.loads(completed.stdout)["run"]


@pytest.fixture(scope="package")
def promote(server):
    """Return a function that promotes a version as maintainer, regardless of the gate."""

    def promote_version(version):
        completed = server.nasicon_ml(
            "registry", "promote", version, "--force", "--reason", "a test", user="maintainer"
        )
        assert completed.returncode == 0, completed.stderr
        assert server.aliases()["champion"] == version
        return version

    return promote_version


@pytest.fixture(scope="package")
def champion(server, first_version, bundle, promote):
    """The second version, imported by the trainer and promoted over the first."""
    promote(first_version["version"])
    completed = server.nasicon_ml("registry", "import", bundle, "--json", user="trainer")
    assert completed.returncode == 0, completed.stderr
    return promote(json.loads(completed.stdout)["version"])


@pytest.fixture(scope="package")
def unknown_user(server):
    """A user whose name and password the server does not know."""
    server.passwords["stranger"] = "a stranger's guess"
    return "stranger"
