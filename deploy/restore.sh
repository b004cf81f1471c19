#!/bin/sh
# Restores a backup of backup.sh into an empty database and an empty folder. The server must not be running.
#
#   restore.sh FOLDER
#
# MLFLOW_BACKEND_STORE_URI, PGPASSWORD (or PGPASSWORD_FILE) and MLFLOW_ARTIFACTS_DESTINATION as for serve.sh.
#
# First the checksums are verified, and that nothing would be overwritten. Then the artifacts are restored, and last the
# database in one transaction: before it the server would find an empty store, and after it a complete one. If a step
# fails, all restored files are removed.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/settings.sh"

[ $# -eq 1 ] || fail "usage: $0 FOLDER"
folder=${1%/}
artifacts=$MLFLOW_ARTIFACTS_DESTINATION

[ -r "$folder/SHA256SUMS" ] || fail "$folder is no backup: it has no SHA256SUMS"
[ "$(cut -c67- "$folder/SHA256SUMS")" = "$(printf 'artifacts.tar\ndatabase.dump')" ] ||
    fail "$folder/SHA256SUMS does not name artifacts.tar and database.dump"
(cd "$folder" && sha256sum --check --strict --quiet SHA256SUMS) ||
    fail "$folder is damaged: a file differs from its sum; nothing was restored"

tables=$(psql --dbname="$uri" --no-psqlrc --tuples-only --no-align --command \
    "select count(*) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where nspname <> 'information_schema' and nspname not like 'pg\\_%'") ||
    fail "the database does not answer; nothing was restored"
[ "$tables" = 0 ] || fail "the database is not empty; restore into a new one (createdb), nothing was overwritten"
if [ -e "$artifacts" ]; then
    [ -d "$artifacts" ] && [ -z "$(ls -A "$artifacts")" ] ||
        fail "$artifacts is not empty; restore into a new folder, nothing was overwritten"
    made=
else
    mkdir -p "$artifacts"
    made=yes
fi

undo() {
    find "$artifacts" -mindepth 1 -delete
    [ -z "$made" ] || rmdir "$artifacts"
}
trap undo EXIT
trap 'exit 130' INT TERM
tar --extract --file="$folder/artifacts.tar" --directory="$artifacts" ||
    fail "the artifacts could not be unpacked; nothing was restored"
pg_restore --dbname="$uri" --no-owner --no-privileges --single-transaction "$folder/database.dump" ||
    fail "the database could not be restored; nothing was restored"
trap - EXIT
printf 'restored from %s\n' "$folder"
