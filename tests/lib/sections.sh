# The parts of tests/run: sections with their times and counts, Debian packages, cleaning up. Sourced by bash.
# shellcheck shell=bash

passed=0 failed=0 skipped=0
# The process group that works ahead.
ahead=
summary=() left_out=() missing_packages=()
declare -A already_run=() missing_programs=()

scratch=$(mktemp -d)
# Some tests act as another user of the machine, who has to get through here to what was made for them.
chmod 711 "$scratch"
# Namespaces that the tests make begin with this, so that those of a killed test can be told from anybody else's.
export IKEEP_NETNS_PREFIX="ikeep-run$$"
export TMPDIR=$scratch
# What all sections have said.
export IKEEP_TEST_LOG=$scratch/all.log

clean_up() {
    local namespace pid
    if [[ -n $ahead ]] && jobs -pr | grep -qx "$ahead"; then kill -TERM -- "-$ahead" || true; fi
    if command -v ip >/dev/null; then
        for namespace in $(ip netns list 2>/dev/null | awk -v prefix="$IKEEP_NETNS_PREFIX-" 'index($1, prefix) == 1 {print $1}'); do
            for pid in $(ip netns pids "$namespace"); do
                kill -KILL "$pid" || true
            done
            ip netns delete "$namespace" || true
        done
        rm -rf /etc/netns/"$IKEEP_NETNS_PREFIX"-*
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# need PROGRAM PACKAGE..: notes the packages if the program is not there.
need() {
    local program=$1
    shift
    if ! command -v "$program" >/dev/null; then
        missing_programs[$program]="$*"
        missing_packages+=("$@")
    fi
}

# need_module MODULE PACKAGE..: the same for a module of Debian's Python.
need_module() {
    local module=$1
    shift
    if ! /usr/bin/python3 -c "import $module" 2>/dev/null; then
        missing_packages+=("$@")
    fi
}

# need_cargo CRATE VERSION [OPTION..]: a command of cargo's, kept where cargo keeps such things. Only what hashes and compresses
# is optimised: the whole would take three times as long.
need_cargo() {
    local crate=$1 version=$2 fast=() name
    shift 2
    if ! have "$crate" && [[ -z ${IKEEP_NO_INSTALL:-} ]]; then
        echo "installing: $crate $version"
        for name in generic-array block-buffer digest sha1 sha2 sha3 keccak md-5 zstd-sys rpm elf; do
            fast+=(--config "profile.dev.package.$name.opt-level=3")
        done
        CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked "${fast[@]}" "$@" "$crate@$version" </dev/null 2>&1 |
            grep '^error' || true
    fi
    have "$crate" || missing_programs[$crate]="none, but: cargo install --locked $crate"
}

# python_package VARIABLE PACKAGE VERSION: a package of PyPI's in a folder of this run's. VARIABLE names the folder then.
python_package() {
    local variable=$1 package=$2 version=$3 folder=$scratch/python-$2
    [[ -z ${!variable:-} && -z ${IKEEP_NO_INSTALL:-} ]] || return 0
    if python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$folder" \
        "$package==$version" >"$scratch/pip.log" 2>&1 </dev/null; then
        declare -gx "$variable=$folder"
    else
        echo "$package $version could not be installed"
    fi
}

# have PROGRAM..: whether all of them are there.
have() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || return 1
    done
}

install_what_is_missing() {
    [[ ${#missing_packages[@]} -gt 0 ]] || return 0
    if [[ $EUID -ne 0 || -n ${IKEEP_NO_INSTALL:-} ]] || ! command -v apt-get >/dev/null; then
        echo "missing: ${missing_packages[*]} (root may: apt-get install ${missing_packages[*]})"
    else
        echo "installing: ${missing_packages[*]}"
        if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
            "${missing_packages[@]}"; } >"$scratch/apt.log" 2>&1 </dev/null; then
            tail -n 20 "$scratch/apt.log"
            echo "the packages could not be installed"
        fi
    fi
}

# unpack VARIABLE "PACKAGE.." FILE: a program under /usr/lib or /lib, from packages that are only unpacked where it is not there:
# installing systemd-resolved or NetworkManager would change the machine's own network. VARIABLE names the program then.
unpack() {
    local variable=$1 package=${2%% *} packages file=$3 folder found
    read -ra packages <<<"$2"
    [[ -z ${!variable:-} ]] || return 0
    for folder in /usr/lib /lib "$scratch/$package/usr/lib" "$scratch/$package/lib"; do
        if [[ $folder == "$scratch/$package/usr/lib" && $EUID -eq 0 && -z ${IKEEP_NO_INSTALL:-} ]]; then
            mkdir -p "$scratch/$package"
            (cd "$scratch/$package" &&
                { apt-get download "${packages[@]}" || { apt-get update && apt-get download "${packages[@]}"; }; } &&
                for found in ./*.deb; do dpkg-deb --extract "$found" .; done) >"$scratch/apt.log" 2>&1 </dev/null ||
                echo "$package could not be unpacked"
        fi
        found=$folder/$file
        if [[ -x $found ]]; then
            declare -gx "$variable=$found"
            return
        fi
    done
}

# wheel VARIABLE PROJECT VERSION: a module in pure Python from PyPI, not installed but left in its archive, which Python reads as it
# is. VARIABLE names the archive then.
wheel() {
    local variable=$1 project=$2 version=$3 file
    [[ -z ${!variable:-} ]] || return 0
    if [[ -z ${IKEEP_NO_INSTALL:-} ]] && have python3; then
        python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$scratch/$project" "$project==$version" \
            >"$scratch/pip.log" 2>&1 </dev/null || echo "$project could not be downloaded"
    fi
    for file in "$scratch/$project"/*.whl; do
        if [[ -r $file ]]; then declare -gx "$variable=$file"; fi
    done
}

# count_cargo_tests LOG: adds up what cargo's test runners counted; whether they counted anything. A test that says
# "left out: .." has passed for its runner, but has shown nothing: it counts as skipped ("LEFT OUT: .." is for one that its
# runner counts as ignored).
count_cargo_tests() {
    local counts own_passed own_failed own_ignored without
    counts=$(awk '/^test result: / {runs++; passed += $4; failed += $6; ignored += $8}
        END {print runs + 0, passed + 0, failed + 0, ignored + 0}' "$1")
    read -r runs own_passed own_failed own_ignored <<<"$counts"
    [[ $runs -gt 0 ]] || return 1
    without=$(grep -c 'left out: ' "$1" || true)
    passed=$((passed + own_passed - without))
    failed=$((failed + own_failed))
    skipped=$((skipped + own_ignored + without))
    section_failed=$own_failed
}

# work_ahead COMMAND..: a later section's work begins now, with the time that nobody else wants. What it says is said by that
# section, which does it again and finds it done.
work_ahead() {
    setsid chrt --idle 0 nice -n 19 "$@" >"$scratch/ahead.log" 2>&1 </dev/null &
    ahead=$!
}

# section NAME COMMAND [PROGRAM..]: runs the shell command line, tells its time, and goes on whatever it says. Left out
# where a PROGRAM is missing. The same command is not run twice.
section() {
    local name=$1 command=$2 log="$scratch/section.log" started=$SECONDS code=0 section_failed=0 runs line
    shift 2
    if ! have "$@"; then
        left_out+=("left out: $name (needs: $*)")
        skipped=$((skipped + 1))
        return
    fi
    if [[ -n ${already_run[$command]:-} ]]; then
        summary+=("$(printf '%6s  %-6s %s' "" "above" "$name")")
        return
    fi
    already_run[$command]=yes
    printf '\n=== %s\n$ %s\n' "$name" "$command"
    bash -euo pipefail -c "$command" </dev/null 2>&1 | tee "$log" || code=$?
    cat "$log" >>"$IKEEP_TEST_LOG"
    if count_cargo_tests "$log"; then
        # A test binary that died or did not compile has counted no failure of its own.
        if [[ $code -ne 0 && $section_failed -eq 0 ]]; then failed=$((failed + 1)); fi
    elif [[ $code -eq 0 ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    while IFS= read -r line; do left_out+=("$line"); done < <(grep -io 'left out: .*' "$log" | sort -u || true)
    local verdict=ok
    [[ $code -eq 0 ]] || verdict=FAILED
    summary+=("$(printf '%5ds  %-6s %s' $((SECONDS - started)) "$verdict" "$name")")
}

# close: the table of sections, what was left out, and the closing line; ends the script.
close() {
    local line program
    printf '\n=== sections, %d s\n' "$SECONDS"
    for line in "${summary[@]}"; do echo "$line"; done
    for program in "${!missing_programs[@]}"; do
        have "$program" || echo "missing: $program (Debian: ${missing_programs[$program]})"
    done
    for line in "${left_out[@]}"; do echo "$line"; done
    echo "$passed passed, $failed failed, $skipped skipped"
    [[ $failed -eq 0 ]] || exit 1
    exit 0
}
