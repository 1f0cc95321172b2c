#!/bin/sh
# dump_schema.sh [BUILD]: a database of the present schema, with rows in it, as SQL. At a release its
# output becomes tests/fixtures/schema/NNNN.sql, from which test_store migrates ever after.
set -eu
build=${1:-build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ACCELD_DUMP_SCHEMA="$folder/acceld.db" "$build/tests/unit/test_store" >/dev/null
sqlite3 "$folder/acceld.db" .dump
sqlite3 "$folder/acceld.db" 'SELECT printf("PRAGMA application_id = %d;", application_id) FROM pragma_application_id'
sqlite3 "$folder/acceld.db" 'SELECT printf("PRAGMA user_version = %d;", user_version) FROM pragma_user_version'
