#!/bin/sh
# Writes the golden files anew; see README.md.
set -eu
cd "$(dirname "$0")"
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

golden() {
    java -Dzookeeper.extendedTypesEnabled=true -Dzookeeper.preAllocSize=4 \
        -cp "$(../../../../interop/apache class-path "$1")" Golden.java "$2" "$3" "$data/$1"
}

golden 3.9.5 records .
for version in 3.8.0 3.9.5; do
    rm -rf "$version"
    mkdir "$version" "$data/$version"
    golden "$version" server "$version"
    ./ensemble.py "$version" "$version/ensemble.hex"
done
# Nothing that is recorded by value depends on the version.
golden 3.8.0 records "$data"
for file in *.hex; do cmp "$file" "$data/$file"; done
