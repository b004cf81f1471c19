#!/bin/sh
# Backs up database and artifacts of the shared server together while it runs.
#
#   backup.sh FOLDER     FOLDER is created and must not exist
#
# MLFLOW_BACKEND_STORE_URI, PGPASSWORD (or PGPASSWORD_FILE) and MLFLOW_ARTIFACTS_DESTINATION as for serve.sh.
#
# The database is dumped before the artifacts are copied. A training writes its files before the rows that refer to
# them, and the files of a finished model never change, so the copy contains all files that the dump refers to. In the
# opposite order, a version registered in between would be in the dump without its files. Later files are copied
# without rows, which does no harm. Do not run `mlflow gc` meanwhile, since it removes files.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/settings.sh"

[ $# -eq 1 ] || fail "usage: $0 FOLDER"
folder=${1%/}
partial="$folder.partial"
[ ! -e "$folder" ] || fail "$folder is there already; a backup is never overwritten"
[ -d "$MLFLOW_ARTIFACTS_DESTINATION" ] || fail "$MLFLOW_ARTIFACTS_DESTINATION: there is no such folder of artifacts"

umask 077 # the dump holds the (hashed) passwords of all users
mkdir "$partial" || fail "$partial cannot be made; if an interrupted backup left it, remove it"
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' INT TERM

pg_dump --dbname="$uri" --format=custom --no-owner --no-privileges --file="$partial/database.dump" ||
    fail "the database could not be dumped; nothing was kept"
# Status 1 means that a file changed while it was read; such a file belongs to a run that is not in the dump.
status=0
tar --create --file="$partial/artifacts.tar" --directory="$MLFLOW_ARTIFACTS_DESTINATION" . || status=$?
[ "$status" -le 1 ] || fail "the artifacts could not be copied; nothing was kept"

(cd "$partial" && sha256sum artifacts.tar database.dump >SHA256SUMS)
sync "$partial"/* "$partial"
mv "$partial" "$folder"
printf 'backed up to %s: %s\n' "$folder" "$(du -sh "$folder" | cut -f1)"
