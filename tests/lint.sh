#!/usr/bin/env bash
# Every linter; `make lint` makes .venv-lint and calls this. A failure does not stop the rest; the end lists what failed.
# usage: tests/lint.sh [CHECK…]   (default: all; the names are the functions below, such as ruff_check or sanity)
# The collection's tools see a copy in .cache/sanity, whose path ends as Ansible and ansible-test want it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
root=$PWD cache=$PWD/.cache logs=$PWD/.cache/lint
copy=$cache/sanity/ansible_collections/winpki/scep
skipped=77  # the status of a check that cannot be done here
export PATH=$root/.venv-lint/bin:$PATH PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8

# A home of the run's own: ansible-test keeps its environments there. pip's settings come along.
use_own_home() {
  local settings
  mkdir -p "$cache/home/.config" "$cache/home/.ansible/test/cache"
  for settings in .config/pip .pip; do
    if [ -d "$HOME/$settings" ] && [ "$HOME" != "$cache/home" ]; then ln -sfn "$HOME/$settings" "$cache/home/$settings"; fi
  done
  # What ansible-test would download to start pip in its environments, built from what Python has.
  cat >"$cache/home/.ansible/test/cache/get_pip_24_2.py" <<'PYTHON'
import subprocess
import sys

wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *wanted])
PYTHON
  export HOME=$cache/home ANSIBLE_HOME=$cache/home/.ansible
  export ANSIBLE_COLLECTIONS_PATH=$cache/sanity
  unset PYTHONPATH
}

# ansible-test tries every Python it finds by name: leave out folders with one that does not start (a version manager's stand-in).
runnable_path() {
  local folder python folders=()
  while IFS= read -r -d : folder; do
    for python in "$folder"/python3.[0-9]*; do
      if [[ $python =~ /python3\.[0-9]+$ && -x $python ]] && ! "$python" -c '' 2>/dev/null; then continue 2; fi
    done
    folders+=("$folder")
  done <<<"$PATH:"
  (IFS=: && echo "${folders[*]}")
}

copy_collection() {
  local file
  rm -rf "$copy" && mkdir -p "$copy" || return
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
    tar --create --null --files-from=- | tar --extract --directory="$copy" || return
  git -C "$copy" init --quiet && git -C "$copy" add --all
}

# The plugins through the linked path, so that each module has the one name that imports use, and as the oldest Python that
# the oldest ansible-core takes.
types() {
  local status=0
  mypy --python-version 3.10 "$cache/collections/ansible_collections/winpki/scep/plugins" || status=1
  mypy bench tests || status=1
  return $status
}

ansible_lint() {
  cd "$copy" && ansible-lint --offline --profile production --nocolor
}

sanity() {
  local ignored
  ignored=$(find tests/sanity -name 'ignore-*.txt' -size +0 2>/dev/null)
  if [ -n "$ignored" ]; then echo "There are ignore entries: $ignored"; return 1; fi
  echo "Not run: pslint, which needs PSScriptAnalyzer; tests/powershell_compat checks the PowerShell instead."
  if [ -n "$engine" ]; then PATH=$(dirname "$engine"):$PATH
  elif ! command -v pwsh >/dev/null; then echo "No pwsh found: validate-modules does not compare PowerShell modules with their documentation."
  fi
  cd "$copy" && PATH=$(runnable_path) ansible-test sanity --color no --skip-test pslint
}

ruff_check() { ruff check; }
ruff_format() { ruff format --check; }
yaml() { yamllint --strict .; }
changelog() { antsibull-changelog lint; }

documentation() {
  antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self --disallow-unknown-collection-refs "$copy"
}

# Every plugin has a page that ansible-doc can show. Action plugins have theirs beside the modules.
plugin_pages() {
  local kind folder names status=0
  while read -r kind folder; do
    mapfile -t names < <(find "$copy/$folder" -mindepth 1 -maxdepth 1 ! -name '_*' -printf "%f\n" 2>/dev/null | sed 's|\..*||; s|^|winpki.scep.|' | sort -u)
    if [ ${#names[@]} -eq 0 ]; then continue; fi
    echo "$kind: ${names[*]}"
    if ! ansible-doc --type "$kind" --json "${names[@]}" >"$logs/pages.json"; then status=1; continue; fi
    python - "$logs/pages.json" "${names[@]}" <<'PYTHON' || status=1
import json
import sys

with open(sys.argv[1]) as file:
    pages = json.load(file)
missing = [name for name in sys.argv[2:] if not pages.get(name, {}).keys() & {"doc", "entry_points"}]
sys.exit(f"without documentation: {', '.join(missing)}" if missing else 0)
PYTHON
  done <<'KINDS'
module plugins/modules
module plugins/action
filter plugins/filter
lookup plugins/lookup
role roles
KINDS
  return $status
}

build() {
  rm -rf "$cache/build" && mkdir -p "$cache/build" && ansible-galaxy collection build --force --output-path "$cache/build" "$copy"
}

# It says "completed successfully" even when a plugin's page could not be read, so an error in its log counts.
importer() {
  build || return
  printf '[galaxy-importer]\nrun_ansible_test = False\nrun_flake8 = False\nrun_ansible_lint = False\n' >"$cache/build/importer.cfg"
  cd "$cache/build" || return
  GALAXY_IMPORTER_CONFIG=$cache/build/importer.cfg python -m galaxy_importer.main winpki-scep-*.tar.gz 2>&1 | tee importer.log
  grep -q '^Importer processing completed successfully' importer.log && ! grep -q '^ERROR' importer.log
}

powershell() {
  if [ -z "$engine" ]; then tail -n 1 "$logs/engine"; return $skipped; fi
  "$engine" -NoProfile -File tests/powershell_compat/check.ps1 plugins roles
}

check() {  # check FUNCTION HEADING: at most two at a time, each one's output in one piece
  local name=$1 heading=$2
  if [ -n "$chosen" ] && [[ " $chosen " != *" $name "* ]]; then return; fi
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
  (
    started=$SECONDS
    "$name" >"$logs/$name.log" 2>&1 </dev/null
    status=$?
    exec 9>"$logs/lock"
    flock 9
    case $status in
      0) result=ok ;;
      "$skipped") result=skipped; echo "$heading" >>"$logs/skipped" ;;
      *) result=FAILED; echo "$heading" >>"$logs/failed" ;;
    esac
    printf '\n== %s: %s (%d s)\n' "$heading" "$result" $((SECONDS - started))
    cat "$logs/$name.log"
  ) &
}

chosen=$*
rm -rf "$logs" && mkdir -p "$logs"
engine=$(python -c 'from tests.lab.engine import find_engine; print(find_engine().pwsh)' 2>"$logs/engine") || engine=
use_own_home
copy_collection || { echo "The collection could not be copied to $copy."; exit 2; }

check sanity "ansible-test sanity"
check ansible_lint "ansible-lint, profile production"
check types "mypy --strict"
check ruff_check "ruff check"
check ruff_format "ruff format"
check yaml "yamllint"
check powershell "PowerShell that Windows PowerShell 5.1 has"
check documentation "antsibull-docs: pages of plugins and roles"
check plugin_pages "ansible-doc shows every plugin"
check changelog "antsibull-changelog"
check importer "galaxy-importer on the built collection"
wait

for result in skipped failed; do
  if [ -s "$logs/$result" ]; then printf '\n%s:\n' "${result^}"; sed 's/^/  /' "$logs/$result"; fi
done
if [ -s "$logs/failed" ]; then exit 1; fi
printf '\nClean.\n'
