#!/bin/bash
# Installs what is missing, builds, and runs every test: with the address and undefined-behaviour
# sanitizers, with the thread sanitizer, and plain. Ends with ctest's summary; stops at the first
# preset with a failure. Without arguments the plain build leaves out the end-to-end tests that both
# sanitizers have just run.
#
#   tests/run.sh                     all three
#   tests/run.sh dev                 one preset, or several in the order given
#   tests/run.sh asan -R core.link   what follows the presets is for ctest
set -euo pipefail
cd "$(dirname "$0")/.."

presets=()
while [[ ${1-} =~ ^(dev|release|asan|tsan)$ ]]; do
  presets+=("$1")
  shift
done
left_to_sanitizers=()
if ((!${#presets[@]})); then
  presets=(asan tsan dev)
  left_to_sanitizers=(-LE '^sanitized$')
fi

bash conf/packages.sh tests
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(nproc)}
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# GCC 12's thread sanitizer cannot run where the kernel scatters mappings as far as newer kernels do.
# A container may forbid to switch that off; then it is tried as it is.
fixed_addresses=()
if setarch "$(uname -m)" --addr-no-randomize true 2>/dev/null; then
  fixed_addresses=(setarch "$(uname -m)" --addr-no-randomize)
fi

for preset in "${presets[@]}"; do
  echo "== $preset"
  run=()
  [[ $preset == tsan ]] && run=("${fixed_addresses[@]}")
  cmake --preset "$preset"
  # Under the same conditions as the tests: building runs each test program to list its tests.
  "${run[@]}" cmake --build --preset "$preset" --parallel "$(nproc)"
  chosen=()
  [[ $preset == dev ]] && chosen=("${left_to_sanitizers[@]}")
  "${run[@]}" ctest --preset "$preset" --no-tests=error "${chosen[@]}" "$@"
done
