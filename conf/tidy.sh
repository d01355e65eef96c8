#!/bin/bash
# Runs clang-tidy (.clang-tidy) over core and server, or over the files that are named. No part of
# tests/run.sh: it takes a quarter of an hour on two cores.
#
#   conf/tidy.sh [FILE.cc ...]
set -euo pipefail
cd "$(dirname "$0")/.."

command -v clang-tidy >/dev/null || { echo "conf/tidy.sh: apt-get install clang-tidy" >&2; exit 1; }
# Configured only: clang cannot read GCC's precompiled headers, nor knows the flags that go with them.
cmake --preset dev -B build/tidy -G Ninja -D CMAKE_DISABLE_PRECOMPILE_HEADERS=ON -D CCACHE=OFF \
  -D TALLYGATE_TESTS=OFF -D TALLYGATE_BENCH=OFF >/dev/null

if (($#)); then printf '%s\0' "$@"; else find core server -name '*.cc' -print0; fi |
  xargs -0 -n 1 -P "$(nproc)" \
    clang-tidy -p build/tidy --quiet --extra-arg=-Wno-unknown-warning-option
