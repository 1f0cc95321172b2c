#!/bin/sh
# embed_sql.sh FILE...: the migrations as a C table, in order of their numbers.
set -eu
echo '/* Made by tools/embed_sql.sh from schemas/sql. */'
echo '#include "store/migrate.h"'
echo 'static const struct accel_migration migrations[] = {'
for file in "$@"; do
    name=$(basename "$file" .sql)
    number=$(printf '%s' "$name" | sed 's/^0*\([0-9]*\)_.*/\1/')
    printf '    {%s, "%s",\n' "$number" "$name"
    sed 's/\\/\\\\/g; s/"/\\"/g; s/^/     "/; s/$/\\n"/' "$file"
    echo '    },'
done
echo '};'
