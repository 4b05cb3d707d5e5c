#!/usr/bin/env bash
# Runs the tests: sets up the environment as run_all.sh does, with the extras that tests use, adds a browser where it can,
# then pytest with the options given, e.g. tests/run.sh -k runner
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
source "$ROOT/helpers/pipeline/setup_env.sh"
ready_environment "$ROOT" serve demo llm dev

has_browser() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
} >/dev/null 2>&1

if ! has_browser && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing chromium for the test of the report; this takes a minute or two" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } >/dev/null || true
fi
has_browser || echo "no chromium here: the test that opens the report in a browser is skipped" >&2

cd "$ROOT"
"$PYTHON" -m ruff check --quiet
"$PYTHON" -m ruff format --check --quiet helpers tests
exec "$PYTHON" -m pytest -rs "$@"
