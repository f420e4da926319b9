# Every command of this repository; `just` lists them. Logic beyond a line is in xtask or .ci/run.

# Lists the commands.
default:
    @just --list

# Everything a change must pass, as CI runs it; or some stages: `just check tests tidy`.
check *STAGES:
    .ci/run {{STAGES}}

# All tests of the workspace.
test:
    cargo test --workspace

# The tests again, with expected output rewritten where it differs: look at the diff.
bless:
    UPDATE_EXPECT=1 cargo test --workspace

# Formatting, lints and habits: the quick part of `check`.
lint:
    .ci/run fmt clippy tidy

# Every planted bug, by the simulator or the tests of `zab`: fails if one is not found.
mutants SCHEDULES="10000":
    cargo xtask mutants --schedules {{SCHEDULES}}

# A bounded bit of everything that looks for a broken promise, as a table: 25 minutes on two cores.
trust-report *OPTIONS="--quick":
    cargo xtask trust-report {{OPTIONS}}

# One simulated run by its seed, with its trace.
sim SEED:
    cargo run --release -p sim -- run --seed {{SEED}} --trace

# Simulated runs for so many seconds, from a seed on.
campaign SECONDS="120" FROM="1":
    cargo run --release -p sim -- campaign --from {{FROM}} --schedules 1000000 --seconds {{SECONDS}}

# Simulated runs of the recipes for so many seconds, from a seed on.
ordeal SECONDS="120" FROM="1":
    RUSTFLAGS="--cfg tokio_unstable" CARGO_TARGET_DIR=target/ordeal cargo run --release -p ordeal -- campaign --from {{FROM}} --seconds {{SECONDS}}

# Plants bugs into recipes, one after the other, and waits until each is found.
ordeal-mutants *OPTIONS:
    RUSTFLAGS="--cfg tokio_unstable" CARGO_TARGET_DIR=target/ordeal cargo run --release -p ordeal -- mutants {{OPTIONS}}

# A fuzz target for so many seconds, or all.
fuzz TARGET="all" SECONDS="60":
    cargo xtask fuzz {{TARGET}} {{SECONDS}}

# Servers built so that what they have not synced is lost when they are killed, again and again: an ensemble, or
# one alone with `--servers 1`. With `--lie` the disk lies about syncs, which has to be found.
power CYCLES="100" *OPTIONS:
    CARGO_TARGET_DIR=target/faults cargo build -p reefkeeper --features faults
    cargo run --release -p torture -- power --cycles {{CYCLES}} {{OPTIONS}}

# Ensembles of the same servers, whose disks and clocks fail as well.
faults SECONDS="120" *OPTIONS:
    CARGO_TARGET_DIR=target/faults cargo build -p reefkeeper --features faults
    cargo run --release -p torture -- ensemble --planned-faults --binary target/faults/debug/reefkeeper --seconds {{SECONDS}} {{OPTIONS}}

# The interoperation suites, or some of them, against the server as it is.
interop *SUITES:
    cargo build --release -p reefkeeper
    interop/run-all {{SUITES}}

# Throughput and latencies beside Apache's, by the options of bench/compare.
bench *OPTIONS:
    cargo build --release -p echo -p reefkeeper
    bench/compare {{OPTIONS}}

# The Rust client beside others, by the options of bench/clients/run.
bench-clients *OPTIONS:
    cargo build --release -p reefkeeper
    bench/clients/run {{OPTIONS}}

# A server to try, on port 2181.
serve *WORDS:
    cargo run --release -- server {{WORDS}}
