# shellcheck shell=sh
# $1: 0 removed. The group stays, as rpm leaves groups: a number that is given out anew might own files.
if [ "$1" -eq 0 ]; then
    rm -rf /var/lib/ikeep-netd /run/ikeep
    # cargo-generate-rpm lists files only: the folders belong to no package.
    rmdir /usr/share/doc/ikeep/docs /usr/share/doc/ikeep /usr/share/licenses/ikeep 2>/dev/null || :
    [ -e /usr/sbin/NetworkManager ] || rmdir /usr/lib/NetworkManager/conf.d /usr/lib/NetworkManager 2>/dev/null || :
    if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
fi
