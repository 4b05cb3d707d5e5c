#!/usr/bin/env bash
# Runs the study: sets up its environment the first time, then every notebook in order, then the report.
# ./run_all.sh --help lists tasks and options.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
source "$ROOT/helpers/pipeline/setup_env.sh"

extras=() # what this run needs beyond requirements.txt
case " $* " in *" --deploy "*) extras+=(serve) ;; esac
[ -z "${LLM_BASE_URL:-}" ] || extras+=(llm)
ready_environment "$ROOT" ${extras[@]+"${extras[@]}"}

export STUDY_CWD=$PWD # paths in options are relative to where the command was given
cd "$ROOT"
exec "$PYTHON" -m helpers.pipeline.runner "$@"
