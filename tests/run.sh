#!/usr/bin/env bash
# Runs the tests: sets up the environment as run_all.sh does, adds a browser where it can, then pytest with the options
# given, e.g. tests/run.sh -k runner
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
source "$ROOT/helpers/setup_env.sh"
ready_environment "$ROOT"

has_browser() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
} >/dev/null 2>&1

if ! has_browser && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing chromium for the test of the report; this takes a minute or two" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } >/dev/null || true
fi
has_browser || echo "no chromium here: the test that opens the report in a browser is skipped" >&2

# llama.cpp has no wheel: built only where that is asked for, it takes some minutes
if [ -n "${WITH_LLAMA_CPP:-}" ] && ! "$PYTHON" -c 'import llama_cpp' 2>/dev/null; then
  echo "building llama-cpp-python for the test of the GGUF file" >&2
  CMAKE_ARGS="-DMTMD_BUILD=OFF -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_CURL=OFF" \
    "$PYTHON" -m pip install -q --no-deps llama-cpp-python==0.3.36 diskcache || true
fi

cd "$ROOT"
exec "$PYTHON" -m pytest -rs "$@"
