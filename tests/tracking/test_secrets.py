"""Passwords are refused in URIs and do not appear in messages."""

import pytest

from nasicon_ml.errors import TrackingError
from nasicon_ml.tracking.store import open_store, translate_errors


@pytest.mark.parametrize(
    "uri",
    [
        "https://anna:S3cret-word@mlflow.example.org",
        "http://anna:S3cret-word@127.0.0.1:5000/mlflow",
        "postgresql://mlflow:S3cret-word@db/mlflow",
        "postgresql+psycopg2://mlflow:S3cret-word@db/mlflow",
        "https://:S3cret-word@mlflow.example.org",
    ],
)
def test_uri_with_password_is_refused_without_repeating_it(uri):
    with (
        pytest.raises(TrackingError, match=r"holds a password.*MLFLOW_TRACKING_PASSWORD") as caught,
        open_store(uri),
    ):
        pass
    assert "S3cret" not in str(caught.value)


def test_uri_with_user_and_no_password_is_accepted():
    with pytest.raises(TrackingError, match="cannot be reached"), open_store("http://anna@127.0.0.1:9"):
        pass


@pytest.mark.parametrize(
    ("user", "message"),
    [("anna", "the server does not know the user 'anna' with this password"), ("", "wants a user and a password")],
)
def test_login_error_names_the_user_and_not_the_password(monkeypatch, tmp_path, user, message):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "S3cret-word")
    with pytest.raises(TrackingError, match=message) as caught, translate_errors("https://mlflow.example.org"):
        raise MlflowException("You are not authenticated", error_code=ErrorCode.Value("UNAUTHENTICATED"))
    assert "S3cret" not in str(caught.value)
