"""One cluster, one server and one training for all tests of this folder: each takes a while."""

import json
from pathlib import Path

import pytest

from tests.server.postgres import running_cluster
from tests.server.site import DATABASE, Site

ROLES = ("reader", "trainer", "maintainer")


@pytest.fixture(scope="package")
def cluster():
    with running_cluster() as found:
        yield found


@pytest.fixture(scope="package")
def site(cluster, tmp_path_factory):
    """The shared server with its three kinds of users."""
    cluster.sql(f"create database {DATABASE}")
    found = Site(cluster, tmp_path_factory.mktemp("shared server"))
    try:
        found.start()
        made = found.access("setup")
        assert (made.returncode, made.stderr) == (0, "")
        for role in ROLES:
            made = found.add(role, role)
            assert (made.returncode, made.stdout) == (0, f"{role}: {role}\n"), made.stderr
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="package")
def bundle():
    """The committed model: another than the first version."""
    return Path(__file__).parents[2] / "models" / "champion"


@pytest.fixture(scope="package")
def first(site, small_dataset):
    """What `nasicon-ml train` said of the first version, trained by the trainer through the server."""
    options = ("--dataset", small_dataset, "--folds", "2", "--threads", "1", "--json")
    done = site.nasicon("train", *options, user="trainer")
    assert done.returncode == 0, done.stderr
    assert site.aliases() == {"challenger": "1"}
    return json.loads(done.stdout)["run"]


@pytest.fixture(scope="package")
def promoted(site):
    """Make a challenger champion as the maintainer; these models and the gate are not the matter here."""

    def promote(version):
        done = site.nasicon("registry", "promote", version, "--force", "--reason", "a test", user="maintainer")
        assert done.returncode == 0, done.stderr
        assert site.aliases()["champion"] == version
        return version

    return promote


@pytest.fixture(scope="package")
def champion(site, first, bundle, promoted):
    """The second version, brought in by the trainer and promoted over the first."""
    promoted(first["version"])
    done = site.nasicon("registry", "import", bundle, "--json", user="trainer")
    assert done.returncode == 0, done.stderr
    return promoted(json.loads(done.stdout)["version"])


@pytest.fixture(scope="package")
def wrong(site):
    """Somebody whom the server does not know by this password."""
    site.passwords["stranger"] = "of stranger, guessed"
    return "stranger"
