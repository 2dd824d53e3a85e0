# shellcheck shell=sh
# $1: 1 installed, 2 upgraded. What is turned on the presets say (90-ikeep.preset), at the first installation only.
systemd-sysusers ikeep.conf
if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset ikeep-netd.socket ikeep-netd-restore.service >/dev/null 2>&1 || :
    systemctl --no-reload --global preset ikeep.service >/dev/null 2>&1 || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    # It reads which devices are not its own.
    if systemctl --quiet is-active NetworkManager.service; then systemctl reload NetworkManager.service || :; fi
    if systemctl --quiet is-enabled ikeep-netd.socket; then systemctl start ikeep-netd.socket || :; fi
    # The new programs come into service; the tunnel stays, and agents come back by token.
    if [ "$1" -gt 1 ]; then systemctl try-restart ikeep-netd.service || :; fi
    for user in $(systemctl --no-legend --quiet list-units 'user@*.service' | sed -n 's/.*user@\([0-9]*\)\.service.*/\1/p'); do
        systemctl --user --machine="$user@" daemon-reload >/dev/null 2>&1 || :
        if [ "$1" -gt 1 ]; then systemctl --user --machine="$user@" try-restart ikeep.service >/dev/null 2>&1 || :; fi
    done
fi
