#!/bin/bash
# Installs what is missing, builds tallygate, and runs its demo: a shop in a folder, signed links to
# click. Arguments go to `tallygate demo`: `bash conf/demo.sh --once` ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

# A step of the work, which is seen on a terminal. Elsewhere nothing is said unless it fails.
step() {
  local what=$1 said
  shift
  if [[ -t 2 ]]; then
    echo "demo: $what" >&2
    "$@" >&2
    return
  fi
  said=$(mktemp)
  if ! "$@" >"$said" 2>&1; then
    cat "$said" >&2
    rm -f "$said"
    echo "demo: $what has failed" >&2
    exit 1
  fi
  rm -f "$said"
}

export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
step "1 of 3: packages" bash conf/packages.sh
step "2 of 3: configuring" \
  cmake --preset release -B build/demo -D TALLYGATE_TESTS=OFF -D TALLYGATE_BENCH=OFF
step "3 of 3: building; the first time takes some minutes" \
  cmake --build build/demo --parallel "$(nproc)" --target tallygate
exec build/demo/server/tallygate demo "$@"
