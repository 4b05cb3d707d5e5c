# Makes this machine ready; sourced by run_all.sh and tests/run.sh.
#
# Leaves the interpreter to use in $PYTHON: that of an active environment that was made for this study, else that of .venv
# beside run_all.sh. Packages are installed where their lock (requirements*.txt) has changed since the last time
# (helpers/pipeline/setup_env.py does that part).

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# True if $1 runs and is Python 3.10 or newer.
python_fits() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

# Prints a Python that fits and can make a virtual environment: the one that the locked packages are tried with first.
find_python() {
  local name found without_venv=""
  for name in python3.11 python3.12 python3.13 python3.10 python3.14 python3 python; do
    found=$(command -v "$name") && python_fits "$found" || continue
    if "$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      printf '%s\n' "$found"
      return
    fi
    without_venv=${without_venv:-$name}
  done
  [ -z "$without_venv" ] || fail "$without_venv has no venv module: install it (on Debian and Ubuntu:" \
    "apt-get install python3-venv) or activate a conda environment"
  fail "no Python 3.10 or newer found: install one, or activate a conda environment" \
    "(conda env create -f environment.yml)"
}

# Prints the folder of the active environment, if any; of two the one that was activated last, as PATH tells.
active_environment() {
  if [ -n "${CONDA_PREFIX:-}" ] && [ -n "${VIRTUAL_ENV:-}" ]; then
    case "$(command -v python)" in
      "$VIRTUAL_ENV"/*) printf '%s\n' "$VIRTUAL_ENV" ;;
      *) printf '%s\n' "$CONDA_PREFIX" ;;
    esac
  else
    printf '%s\n' "${CONDA_PREFIX:-${VIRTUAL_ENV:-}}"
  fi
}

# True if the environment $1 may get the packages of the repository $2: it is the one of environment.yml, was set up by this
# script before, or the user says so; conda's base never may.
made_for_this() {
  [ "$1" != "${CONDA_PREFIX:-}" ] || [ "${CONDA_DEFAULT_ENV:-}" != base ] || return 1
  [ "${STUDY_ENV:-}" = active ] || [ -f "$1/.setup-stamp" ] ||
    [[ $(<"$2/environment.yml") == *"name: ${1##*/}"$'\n'* ]]
}

# Sets PYTHON for the repository in $1; the further arguments are extras of pyproject.toml to install too.
ready_environment() {
  local root=$1 prefix tool
  shift
  export PYTHONNOUSERSITE=1 # packages of the user's home would shadow the locked ones
  unset PYTHONHOME
  prefix=$(active_environment)
  if [ -n "$prefix" ] && ! made_for_this "$prefix" "$root"; then
    [ -f "$root/.venv/.setup-stamp" ] ||
      echo "the active environment $prefix is left alone: .venv is made (STUDY_ENV=active takes another than conda's base)" >&2
    prefix=""
  fi
  if [ -n "$prefix" ]; then
    tool=$prefix/bin/python
    [ -x "$tool" ] || fail "the active environment $prefix has no Python: conda install python=3.11, or deactivate it"
    python_fits "$tool" || fail "the active environment $prefix has no Python 3.10 or newer: deactivate it," \
      "or make one that fits (conda env create -f environment.yml)"
  else
    prefix=$root/.venv
    tool=$prefix/bin/python
    # without a stamp .venv may be half made: another interpreter has to look after it
    [ -f "$prefix/.setup-stamp" ] && python_fits "$tool" || tool=$(find_python) || exit 1
  fi
  "$tool" "$root/helpers/pipeline/setup_env.py" "$root" "$prefix" "$@" || exit $?
  PYTHON=$prefix/bin/python
}
