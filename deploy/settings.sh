# shellcheck shell=sh
# Shared functions and settings of serve.sh, backup.sh and restore.sh, which source this file.

fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

# Reads a secret from a file into an environment variable, which process listings do not show.
from_file() { # NAME VALUE-OF-NAME_FILE
    [ -n "$2" ] || return 0
    [ -r "$2" ] || fail "$1_FILE: $2 cannot be read"
    value=$(cat "$2")
    [ -n "$value" ] || fail "$1_FILE: $2 is empty"
    export "$1=$value"
}

needed() { # NAME...
    for name in "$@"; do
        eval "[ -n \"\${$name:-}\" ]" || fail "$name is not set; the first lines of $0 say what is needed"
    done
}

from_file PGPASSWORD "${PGPASSWORD_FILE:-}"
needed MLFLOW_BACKEND_STORE_URI MLFLOW_ARTIFACTS_DESTINATION
case $MLFLOW_BACKEND_STORE_URI in
    *://*:*@*) fail "MLFLOW_BACKEND_STORE_URI holds a password, which would get into logs: use PGPASSWORD_FILE" ;;
    postgresql://* | postgresql+psycopg2://*) ;;
    *) fail "MLFLOW_BACKEND_STORE_URI has to be postgresql://USER@HOST/DATABASE" ;;
esac
# URI for the programs of PostgreSQL; SQLAlchemy needs the driver as well, as its default one is not installed.
uri="postgresql:${MLFLOW_BACKEND_STORE_URI#*:}"
export MLFLOW_BACKEND_STORE_URI="postgresql+psycopg2:${MLFLOW_BACKEND_STORE_URI#*:}"
