#!/bin/sh
# Starts the shared tracking server: `mlflow server` with users, on PostgreSQL, artifacts through the server.
# The image runs it, and so can a service manager on a machine without Docker.
#
#   MLFLOW_BACKEND_STORE_URI        postgresql://USER@HOST/DATABASE, without a password
#   PGPASSWORD                      the password of that user (or PGPASSFILE, as for every program of PostgreSQL)
#   MLFLOW_ARTIFACTS_DESTINATION    the folder of the artifacts
#   MLFLOW_AUTH_ADMIN_USERNAME      the administrator, created at the first start ...
#   MLFLOW_AUTH_ADMIN_PASSWORD      ... with this password, which later starts ignore
#   MLFLOW_FLASK_SERVER_SECRET_KEY  any long random text, the same at every start
#   MLFLOW_HOST, MLFLOW_PORT, MLFLOW_WORKERS, MLFLOW_SERVER_ALLOWED_HOSTS, MLFLOW_SERVER_CORS_ALLOWED_ORIGINS
#                                   as for `mlflow server`
#
# Each of the three secrets can be given as a file instead, by a variable of the same name and _FILE.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/settings.sh"

from_file MLFLOW_AUTH_ADMIN_PASSWORD "${MLFLOW_AUTH_ADMIN_PASSWORD_FILE:-}"
from_file MLFLOW_FLASK_SERVER_SECRET_KEY "${MLFLOW_FLASK_SERVER_SECRET_KEY_FILE:-}"
needed MLFLOW_AUTH_ADMIN_USERNAME MLFLOW_FLASK_SERVER_SECRET_KEY

settings=$(mktemp)
# The file is kept while the server runs, because every new worker reads it.
trap 'rm -f "$settings"' EXIT
trap 'kill -TERM "${server:-}" 2>/dev/null || :' INT TERM
# Escape the percent sign for the ini file, and & and \ for sed.
filled=$(printf '%s' "$MLFLOW_BACKEND_STORE_URI" | sed -e 's/%/%%/g' -e 's/[\\&|]/\\&/g')
sed "s|^database_uri = .*|database_uri = $filled|" "$here/basic_auth.ini" >"$settings"

export MLFLOW_AUTH_CONFIG_PATH="$settings"
export MLFLOW_BASIC_AUTH_FAIL_CLOSED=true       # refuse routes without a rule
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # only evaluations of language models need it
export MLFLOW_DISABLE_TELEMETRY=true
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" # for promotion_guard

mlflow server --app-name basic-auth --serve-artifacts &
server=$!
status=0
wait "$server" || status=$?
wait "$server" 2>/dev/null || : # a signal ends the first wait before the server has ended
exit "$status"
