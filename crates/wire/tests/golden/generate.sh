#!/bin/sh
# Writes the golden files anew; see README.md.
set -eu
cd "$(dirname "$0")"
jars=/usr/share/java
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
rm -f ./*.hex ./*.bin
classpath=$jars/zookeeper.jar:$jars/zookeeper-jute.jar:$jars/slf4j-api.jar:$jars/metrics-core.jar:$jars/snappy-java.jar
for jar in "$jars"/netty*.jar; do classpath=$classpath:$jar; done
java -Dzookeeper.extendedTypesEnabled=true -Dzookeeper.preAllocSize=4 \
    -cp "$classpath" Golden.java . "$data"
