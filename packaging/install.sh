#!/bin/sh
# Installs what lies beside this file, or takes it away again.
#   sudo ./install.sh                          to /usr/local
#   sudo ./install.sh --prefix /opt/ikeep
#   ./install.sh --destdir DIR                 below DIR, touching nothing that runs
#   sudo ./install.sh --uninstall [..]         with the same --prefix and --destdir
set -eu
umask 022

prefix=/usr/local destdir='' uninstall=''
usage() {
    sed -n 's/^#\( \|$\)//p' "$0" | sed '1,/^$/!d' >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case "$1" in
    --prefix) prefix=${2:?"--prefix needs a folder"} && shift ;;
    --destdir) destdir=${2:?"--destdir needs a folder"} && shift ;;
    --uninstall) uninstall=yes ;;
    *) usage ;;
    esac
    shift
done
case "$prefix" in
/*) ;;
*) echo "install.sh: --prefix has to begin with a slash" >&2 && exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)

# Each file with its mode; folders that only ikeep has.
files="bin/ikeep 755
bin/ikeep-netd 755
lib/systemd/system/ikeep-netd.service 644
lib/systemd/system/ikeep-netd.socket 644
lib/systemd/system/ikeep-netd-restore.service 644
lib/systemd/user/ikeep.service 644
lib/sysusers.d/ikeep.conf 644
share/bash-completion/completions/ikeep 644
share/zsh/site-functions/_ikeep 644
share/fish/vendor_completions.d/ikeep.fish 644
$(cd "$here" && for page in share/man/man*/*; do echo "$page 644"; done)
$(cd "$here" && find share/doc/ikeep -type f | while read -r text; do echo "$text 644"; done)"
# Where programs look for it whatever the prefix is.
autostart=/etc/xdg/autostart/ikeep.desktop
unmanaged=/etc/NetworkManager/conf.d/90-ikeep.conf

# Whether this is the machine that runs, and not a picture of one.
live() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }
has_network_manager() { [ -e "$destdir/usr/sbin/NetworkManager" ]; }

if [ -n "$uninstall" ]; then
    if live; then
        systemctl --global disable ikeep.service >/dev/null 2>&1 || true
        for user in $(systemctl --no-legend --quiet list-units 'user@*.service' | sed -n 's/.*user@\([0-9]*\)\.service.*/\1/p'); do
            systemctl --user --machine="$user@" stop ikeep.service >/dev/null 2>&1 || true
        done
        systemctl disable --now ikeep-netd.socket ikeep-netd-restore.service >/dev/null 2>&1 || true
        systemctl stop ikeep-netd.service >/dev/null 2>&1 || true
    fi
    if [ -z "$destdir" ] && [ -x "$prefix/bin/ikeep-netd" ]; then "$prefix/bin/ikeep-netd" --restore || true; fi
    echo "$files" | while read -r file _; do
        rm -f "$destdir$prefix/$file"
    done
    # The others may have been there before, empty.
    rmdir "$destdir$prefix/share/doc/ikeep/docs" "$destdir$prefix/share/doc/ikeep" 2>/dev/null || true
    rm -f "$destdir$autostart" "$destdir$unmanaged"
    # Where NetworkManager is, they are its own.
    has_network_manager || rmdir "$destdir/etc/NetworkManager/conf.d" "$destdir/etc/NetworkManager" 2>/dev/null || true
    if [ -z "$destdir" ]; then rm -rf /var/lib/ikeep-netd /run/ikeep; fi
    if live; then systemctl daemon-reload; fi
    exit 0
fi

echo "$files" | while read -r file mode; do
    mkdir -p "$destdir$prefix/$(dirname "$file")"
    # Beside the old one first: a program that runs cannot be written to.
    sed_or_copy="$destdir$prefix/$file.new"
    case "$file" in
    lib/systemd/*) sed "s#/usr/bin/#$prefix/bin/#" "$here/$file" >"$sed_or_copy" ;;
    *) cp "$here/$file" "$sed_or_copy" ;;
    esac
    chmod "$mode" "$sed_or_copy"
    mv "$sed_or_copy" "$destdir$prefix/$file"
done
mkdir -p "$destdir$(dirname "$autostart")" "$destdir$(dirname "$unmanaged")"
sed "s#^\(TryExec\|Exec\)=ikeep#\1=$prefix/bin/ikeep#" "$here/share/autostart/ikeep.desktop" >"$destdir$autostart"
cp "$here/share/networkmanager/90-ikeep.conf" "$destdir$unmanaged"
chmod 644 "$destdir$autostart" "$destdir$unmanaged"
[ -z "$destdir" ] || exit 0

if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers "$prefix/lib/sysusers.d/ikeep.conf"
elif ! getent group ikeep >/dev/null; then
    groupadd --system ikeep
fi
if live; then
    case "$prefix" in
    /usr | /usr/local) ;;
    # Where systemd does not look by itself.
    *)
        systemctl link "$prefix"/lib/systemd/system/ikeep-netd*
        systemctl --global link "$prefix/lib/systemd/user/ikeep.service"
        ;;
    esac
    systemctl daemon-reload
    systemctl enable --now ikeep-netd.socket
    systemctl enable ikeep-netd-restore.service
    systemctl try-restart ikeep-netd.service
    if systemctl --quiet is-active NetworkManager.service; then systemctl reload NetworkManager.service; fi
fi
echo "ikeep is installed. Its agent starts with \`ikeep connect\`; from login on, for you: systemctl --user enable --now ikeep"
