#!/usr/bin/env bash
# Takes the handling of one trigger, or one source of signals, out at a time and shows that its judge fails: a scenario that
# passes without the code it is there for shows nothing. Each mutation changes a copy of the tree; the copies share one target
# folder. A judge is a scenario of the lab; or `kernel:TEST`, a test of tests/kernel with the changed program (root, with
# IKEEP_INTEROP=1; left out otherwise).
#
#   tests/mutations.sh            all of them
#   tests/mutations.sh NAME..     these
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${IKEEP_MUTATIONS_TARGET:-$root/target/mutations}
work=$(mktemp -d "${TMPDIR:-/tmp}/ikeep-mutations.XXXXXX")
trap 'rm -rf "$work"' EXIT

# name | file | what is replaced (fixed text) | by what | the judge that must fail
mutations='
connect-with-token-ignored  | src/reconnect/state/disconnected.rs        | if context.has_token(now) {                         | if false {                                  | crash
disconnect-ignored          | src/reconnect/mod.rs                       | self.disconnect(now, context);                      | let _ = now;                                | login
path-ignored                | src/reconnect/state/connected.rs           | Trigger::Path { usable: true } \| Trigger::Resume => | Trigger::Resume =>                          | roam
no-path-ignored             | src/reconnect/state/connected.rs           | Trigger::Path { usable: false } =>                  | Trigger::Deleted =>                         | offline
path-ignored-offline        | src/reconnect/state/waiting_for_network.rs | Trigger::Path { usable: true } =>                   | Trigger::Deleted =>                         | offline
suspend-ignored             | src/reconnect/state/connected.rs           | Trigger::Suspend => self.suspend(now, context),     | Trigger::Suspend => {}                      | sleep
resume-ignored              | src/reconnect/state/suspended.rs           | Trigger::Resume if pause == Pause::Sleep =>         | Trigger::Deleted if pause == Pause::Sleep => | sleep
outage-never-declared       | src/client/serving.rs                      | Some(Due::Outage) => self.trigger(now, Trigger::Outage), | Some(Due::Outage) => {}                | restart
outage-ignored              | src/reconnect/state/connected.rs           | Trigger::Outage if auto => self.lost(now, Cause::Outage, context), | Trigger::Outage if auto => {} | outage
gateway-delete-ignored      | src/reconnect/state/connected.rs           | Trigger::GatewayDeleted if auto => self.lost(now, Cause::GatewayDelete, context), | Trigger::GatewayDeleted if auto => {} | delete
child-delete-ignored        | src/reconnect/state/connected.rs           | Trigger::ChildDeleted if auto => self.lost(now, Cause::ChildDelete, context), | Trigger::ChildDeleted if auto => {} | child
delete-answer-ignored       | src/reconnect/state/disconnecting.rs       | Trigger::Deleted                                    | Trigger::OldProved                          | login
up-ignored                  | src/reconnect/state/reconnecting.rs        | Trigger::Up => self.state = State::Connected,       | Trigger::Up => {}                           | reconnect
init-answer-ignored         | src/reconnect/state/reconnecting.rs        | r.past_init = true;                                 | r.past_init = false;                        | late
user-reconnect-ignored      | src/reconnect/state/connected.rs           | Trigger::Reconnect if context.has_token(now) => self.lost(now, Cause::User, context), | Trigger::Reconnect if context.has_token(now) => {} | reconnect
old-sa-not-asked            | src/client/actions.rs                      | Action::CheckOld => self.check_old(now),            | Action::CheckOld => {}                      | nap
proof-of-old-sa-ignored     | src/reconnect/state/reconnecting.rs        | Trigger::OldProved => self.take_proof(now, context), | Trigger::OldProved => {}                    | nap
one-refusal-believed        | src/reconnect/state/reconnecting.rs        | let gap = self.rules.refusal_retry.get(r.refusals).copied(); | let gap: Option<std::time::Duration> = None; | grudging
refusals-never-believed     | src/reconnect/state/reconnecting.rs        | None => return self.give_up(Why::TokenRefused),     | None => r.next = Some(now + std::time::Duration::from_millis(300)), | refused
changes-unheard             | src/sense/listen.rs                        | () = bell.rings(), if watching =>                   | () = bell.rings(), if false =>              | kernel:uplinks::the_default_route_moves_to_the_other_uplink_and_back
rules-unheard               | src/sense/changes.rs                       | \| IPV4_RULE \|                                     | \|                                          | kernel:uplinks::a_rule_takes_the_way_to_the_gateway
ipv6-unheard                | src/sense/changes.rs                       | \| IPV6_ADDRESS \| IPV6_ROUTE \|                     | \|                                          | kernel:uplinks::ipv4_alone_then_ipv6_alone_and_back
logind-unheard              | src/sense/listen.rs                        | Some(word) = logind.recv() =>                       | Some(word) = logind.recv(), if false =>     | kernel:sleep::a_laptop_that_sleeps_is_back_when_it_wakes
'

cd "$root"
mkdir "$work/tree"
cp -R Cargo.toml Cargo.lock src profiles "$work/tree/"
# The manifest names benches and tests; none of them is built here.
for folder in benches tests; do
    if [ -d "$folder" ]; then cp -R "$folder" "$work/tree/"; fi
done

build() {
    (
        cd "$work/tree"
        export CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=1 CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=false
        cargo build --quiet --bin ikeep
    ) >"$work/build.log" 2>&1
}

# judge PROGRAM JUDGE: fails where the program does not do what the judge wants.
judge() {
    case $2 in
    kernel:*)
        # The tests as they are, the program as it was made; built before, so that two do not wait for each other.
        (cd "$root" && IKEEP_PROGRAM=$1 timeout 240 "$kernel_tests" --exact "${2#kernel:}")
        ;;
    *) timeout 120 "$1" lab --scenario "$2" ;;
    esac
}

play() { # NAME JUDGE: in the background, so that the next build goes on meanwhile
    cp "$target/debug/ikeep" "$work/ikeep-$1"
    (
        export XDG_STATE_HOME="$work/state-$1"
        status=0
        judge "$work/ikeep-$1" "$2" >"$work/$1.out" 2>"$work/$1.err" || status=$?
        echo "$status" >"$work/$1.status"
    ) &
}

kernel_tests=
if [ "${IKEEP_INTEROP:-}" = 1 ]; then
    kernel_tests=$(cargo test --quiet --test kernel --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"kernel".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
fi

failed=0
names=()
scenarios=()
while IFS= read -r line; do
    [ -n "$line" ] || continue
    # A bar inside a text is written \| in the table.
    IFS=$'\037' read -r name file from to scenario < <(
        printf '%s\n' "$line" | sed -e 's/\\|/\x01/g' -e 's/ *| */\x1f/g' -e 's/\x01/|/g' -e 's/ *$//'
    )
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    if [[ $scenario == kernel:* ]] && [ -z "$kernel_tests" ]; then
        echo "left out: mutation $name (needs root and strongSwan in namespaces; \`tests/run\` runs it)"
        continue
    fi
    if ! FROM=$from TO=$to perl -0pi -e '$n = s/\Q$ENV{FROM}\E/$ENV{TO}/; END { exit($n ? 0 : 1) }' "$work/tree/$file"; then
        echo "$name: $file has no '$from': bring the table up to date" >&2
        failed=1
    elif ! build; then
        echo "$name: the mutated tree does not build" >&2
        tail -n 20 "$work/build.log" >&2
        failed=1
    else
        play "$name" "$scenario"
        names+=("$name")
        scenarios+=("$scenario")
    fi
    cp "$root/$file" "$work/tree/$file"
    touch "$work/tree/$file"
done <<<"$mutations"

# The counter-check: the same scenarios, nothing changed.
build
wait
# The tests have been passed by the program as it is.
arguments=()
for scenario in "${scenarios[@]}"; do
    [[ $scenario == *:* ]] || arguments+=(--scenario "$scenario")
done
status=0
XDG_STATE_HOME=$work/state-control timeout 120 "$target/debug/ikeep" lab "${arguments[@]}" >"$work/control.out" 2>&1 || status=$?

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
    judge=${scenarios[$at]}
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
