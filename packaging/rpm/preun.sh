# shellcheck shell=sh
# $1: 0 removed, 1 upgraded, which stops nothing. The agents end first, then the helper puts the network back.
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        for user in $(systemctl --no-legend --quiet list-units 'user@*.service' | sed -n 's/.*user@\([0-9]*\)\.service.*/\1/p'); do
            systemctl --user --machine="$user@" stop ikeep.service >/dev/null 2>&1 || :
        done
    fi
    # Those that `ikeep connect` has started.
    for program in /proc/[0-9]*/exe; do
        # After an upgrade the old program's file is gone; containers have programs of their own.
        case $(readlink "$program") in
        /usr/bin/ikeep | "/usr/bin/ikeep (deleted)") ;;
        *) continue ;;
        esac
        [ "$(readlink "${program%/exe}/ns/mnt")" = "$(readlink /proc/1/ns/mnt)" ] || continue
        pid=${program#/proc/}
        kill "${pid%/exe}" || :
    done
    if [ -d /run/systemd/system ]; then
        systemctl stop ikeep-netd.socket ikeep-netd.service >/dev/null 2>&1 || :
    fi
    /usr/bin/ikeep-netd --restore || :
    systemctl --no-reload disable ikeep-netd.socket ikeep-netd-restore.service >/dev/null 2>&1 || :
    systemctl --no-reload --global disable ikeep.service >/dev/null 2>&1 || :
fi
