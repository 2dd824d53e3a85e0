#!/usr/bin/env bash
# Takes the handling of one trigger, or one source of signals, out at a time and shows that its judge fails: a scenario that
# passes without the code it is there for shows nothing. All mutations stand side by side in one copy of the tree, each behind
# its name, so that it is compiled once; a program leaves out what it is named after: ikeep-suspend-ignored ignores Suspend, and
# the same program under a name that is no mutation's is as it was. A judge is a scenario of the lab; or `kernel:TEST`, a test of
# tests/kernel with the changed program (root, with IKEEP_INTEROP=1; left out otherwise).
#
#   tests/mutations.sh            all of them
#   tests/mutations.sh NAME..     these
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# The dependencies that `cargo test` has built are taken as they are; the programs go elsewhere than its own. The copy has a
# place that stays, or each run would leave another set of files in the build folder.
build_folder=${CARGO_TARGET_DIR:-$root/target}
target=$build_folder/mutations
tree=$target/tree
work=$(mktemp -d "${TMPDIR:-/tmp}/ikeep-mutations.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Judges that are at work at the same time: they mostly wait.
at_once=4

# name | file | what is replaced (fixed text) | by what, @OUT: whether this one is taken out | the judge that must fail
mutations='
connect-with-token-ignored  | src/reconnect/state/disconnected.rs        | if context.has_token(now) {                 | if context.has_token(now) && !@OUT {         | crash
disconnect-ignored          | src/reconnect/mod.rs                       | self.disconnect(now, context);              | if !@OUT { self.disconnect(now, context); }  | login
path-ignored                | src/reconnect/state/connected.rs           | Trigger::Path { usable: true } \| Trigger::Resume => | Trigger::Path { usable: true } \| Trigger::Resume if trigger == Trigger::Resume \|\| !@OUT => | roam
no-path-ignored             | src/reconnect/state/connected.rs           | Trigger::Path { usable: false } =>          | Trigger::Path { usable: false } if !@OUT =>  | offline
path-ignored-offline        | src/reconnect/state/waiting_for_network.rs | Trigger::Path { usable: true } =>           | Trigger::Path { usable: true } if !@OUT =>   | offline
suspend-ignored             | src/reconnect/state/connected.rs           | Trigger::Suspend =>                         | Trigger::Suspend if !@OUT =>                 | sleep
resume-ignored              | src/reconnect/state/suspended.rs           | Trigger::Resume if pause == Pause::Sleep => | Trigger::Resume if pause == Pause::Sleep && !@OUT => | sleep
outage-never-declared       | src/client/serving.rs                      | Some(Due::Outage) =>                        | Some(Due::Outage) if @OUT => {} Some(Due::Outage) => | restart
outage-ignored              | src/reconnect/state/connected.rs           | Trigger::Outage if auto =>                  | Trigger::Outage if auto && @OUT => {} Trigger::Outage if auto => | outage
gateway-delete-ignored      | src/reconnect/state/connected.rs           | Trigger::GatewayDeleted if auto =>          | Trigger::GatewayDeleted if auto && @OUT => {} Trigger::GatewayDeleted if auto => | delete
child-delete-ignored        | src/reconnect/state/connected.rs           | Trigger::ChildDeleted if auto =>            | Trigger::ChildDeleted if auto && @OUT => {} Trigger::ChildDeleted if auto => | child
delete-answer-ignored       | src/reconnect/state/disconnecting.rs       | Trigger::Deleted                            | Trigger::Deleted if @OUT => {} Trigger::Deleted | login
up-ignored                  | src/reconnect/state/reconnecting.rs        | Trigger::Up =>                              | Trigger::Up if @OUT => {} Trigger::Up =>     | reconnect
init-answer-ignored         | src/reconnect/state/reconnecting.rs        | r.past_init = true;                         | r.past_init = !@OUT;                         | late
user-reconnect-ignored      | src/reconnect/state/connected.rs           | Trigger::Reconnect if context.has_token(now) => | Trigger::Reconnect if context.has_token(now) && @OUT => {} Trigger::Reconnect if context.has_token(now) => | reconnect
old-sa-not-asked            | src/client/actions.rs                      | Action::CheckOld =>                         | Action::CheckOld if @OUT => {} Action::CheckOld => | nap
proof-of-old-sa-ignored     | src/reconnect/state/reconnecting.rs        | Trigger::OldProved =>                       | Trigger::OldProved if @OUT => {} Trigger::OldProved => | nap
one-refusal-believed        | src/reconnect/state/reconnecting.rs        | self.rules.refusal_retry.get(r.refusals).copied(); | self.rules.refusal_retry.get(r.refusals).copied().filter(\|_\| !@OUT); | grudging
refusals-never-believed     | src/reconnect/state/reconnecting.rs        | None => return self.give_up(Why::TokenRefused), | None if @OUT => r.next = Some(now + std::time::Duration::from_millis(300)), None => return self.give_up(Why::TokenRefused), | refused
changes-unheard             | src/sense/listen.rs                        | () = bell.rings(), if watching =>           | () = bell.rings(), if watching && !@OUT =>   | kernel:uplinks::the_default_route_moves_to_the_other_uplink_and_back
rules-unheard               | src/sense/changes.rs                       | \| IPV4_RULE \|                             | \| if @OUT { 0 } else { IPV4_RULE } \|       | kernel:uplinks::a_rule_takes_the_way_to_the_gateway
ipv6-unheard                | src/sense/changes.rs                       | \| IPV6_ADDRESS \| IPV6_ROUTE \|            | \| if @OUT { 0 } else { IPV6_ADDRESS \| IPV6_ROUTE } \| | kernel:uplinks::ipv4_alone_then_ipv6_alone_and_back
logind-unheard              | src/sense/listen.rs                        | Some(word) = logind.recv() =>               | Some(word) = logind.recv(), if !@OUT =>      | kernel:sleep::a_laptop_that_sleeps_is_back_when_it_wakes
'

cd "$root"
rm -rf "$tree"
mkdir -p "$tree"
# With their times: what has not changed is not compiled again. The manifest names benches and tests.
cp -pR Cargo.toml Cargo.lock src profiles benches tests "$tree/"
# Another version: what is built of it never stands where what is built of the tree as it is belongs.
for file in Cargo.toml Cargo.lock; do
    perl -0pi -e 's/(\bname = "ikeep"\nversion = "[^"+]+)/$1+mutations/' "$tree/$file"
done
cat >>"$tree/src/lib.rs" <<'EOF'

/// Whether this program is the one that is named after this mutation.
pub(crate) fn taken_out(mutation: &str) -> bool {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let name = NAME.get_or_init(|| {
        let program = std::env::current_exe().expect("the program's own name");
        program.file_name().expect("a file").to_string_lossy().into_owned()
    });
    name.strip_prefix("ikeep-") == Some(mutation)
}
EOF

kernel_tests=
if [ "${IKEEP_INTEROP:-}" = 1 ]; then
    kernel_tests=$(cargo test --quiet --test kernel --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"kernel".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
fi

failed=0
names=()
judges=()
while IFS= read -r line; do
    [ -n "$line" ] || continue
    # A bar inside a text is written \| in the table.
    IFS=$'\037' read -r name file from to judge < <(
        printf '%s\n' "$line" | sed -e 's/\\|/\x01/g' -e 's/ *| */\x1f/g' -e 's/\x01/|/g' -e 's/ *$//'
    )
    to=${to//@OUT/crate::taken_out(\"$name\")}
    if ! FROM=$from TO=$to perl -0pi -e '$n = s/\Q$ENV{FROM}\E/$ENV{TO}/; END { exit($n ? 0 : 1) }' "$tree/$file"; then
        echo "$name: $file has no '$from': bring the table up to date" >&2
        failed=1
        continue
    fi
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    if [[ $judge == kernel:* ]] && [ -z "$kernel_tests" ]; then
        echo "left out: mutation $name (needs root and strongSwan in namespaces; \`tests/run\` runs it)"
        continue
    fi
    names+=("$name")
    judges+=("$judge")
done <<<"$mutations"

# The dependencies are those of `cargo test` only where a test is asked for too: it wants features of its own. This one is small.
if ! (cd "$tree" && CARGO_BUILD_BUILD_DIR=$build_folder CARGO_TARGET_DIR=$target \
    cargo build --quiet --bin ikeep --test architecture) >"$work/build.log" 2>&1; then
    echo "the mutated tree does not build" >&2
    tail -n 40 "$work/build.log" >&2
    exit 1
fi
program=$target/debug/ikeep

# play NAME JUDGE: what the judge says of the program without NAME, into $work/NAME.*
play() {
    local status=0 changed=$work/ikeep-$1
    cp "$program" "$changed"
    case $2 in
    kernel:*)
        # The tests as they are, the program as it was made; built before, so that two do not wait for each other.
        IKEEP_PROGRAM=$changed timeout 240 "$kernel_tests" --exact "${2#kernel:}" >"$work/$1.out" 2>"$work/$1.err" || status=$?
        ;;
    *)
        XDG_STATE_HOME=$work/state-$1 timeout 120 "$changed" lab --scenario "$2" \
            >"$work/$1.out" 2>"$work/$1.err" || status=$?
        ;;
    esac
    echo "$status" >"$work/$1.status"
    rm "$changed"
}

for at in "${!names[@]}"; do
    while [ "$(jobs -pr | wc -l)" -ge "$at_once" ]; do wait -n || true; done
    play "${names[$at]}" "${judges[$at]}" &
done
wait

# The counter-check: the same scenarios, nothing taken out. The tests have been passed by the program as it is.
arguments=()
for judge in "${judges[@]}"; do
    [[ $judge == *:* ]] || arguments+=(--scenario "$judge")
done
status=0
XDG_STATE_HOME=$work/state-control timeout 120 "$program" lab "${arguments[@]}" >"$work/control.out" 2>&1 || status=$?

printf '%-28s %-10s %s\n' "taken out" scenario "what the lab said"
printf '%-28s %-10s %s\n' nothing "all these" "$(tail -n 2 "$work/control.out" | head -n 1)"
if [ "$status" -ne 0 ]; then
    echo "the lab fails without a mutation:" >&2
    cat "$work/control.out" >&2
    failed=1
fi
for at in "${!names[@]}"; do
    name=${names[$at]}
    found=$(cat "$work/$name.status")
    judge=${judges[$at]}
    case $judge in
    # What was waited for in vain, from the chain of causes.
    kernel:*) judge=kernel expected=101 broken=$(sed -n 's/^ *\([0-9]*: \)\{0,1\}\(.*\) did not come; the last status.*/\2 did not come/p' "$work/$name.out" "$work/$name.err" | head -n 1) ;;
    *) expected=1 broken=$(sed -n '/promises broken$/,/^$/p' "$work/$name.out" | sed -n '2s/^ *//p') ;;
    esac
    if [ "$found" -eq "$expected" ] && [ -n "$broken" ]; then
        printf '%-28s %-10s fails: %s\n' "$name" "$judge" "$broken"
    else
        printf '%-28s %-10s NOT NOTICED (exit code %s)\n' "$name" "$judge" "$found"
        failed=1
    fi
done
exit "$failed"
