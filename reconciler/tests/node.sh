#!/bin/sh
# Boots a node with a real systemd in a mount namespace of its own, and again after each reboot, until it is switched off.
#
# Usage: unshare -m --propagation private tests/node.sh ROOT FOLDER
#
# ROOT is a Debian tree, which stays as it is; what the node writes goes to FOLDER/up. FOLDER/leader holds the id of the
# node's first process, new with each boot. So is its network namespace: rules must not outlive a reboot.
set -eu
root=$1 folder=$2 name=$(basename "$2" | tr -dc a-zA-Z0-9)
mkdir -p "$folder/tmpfs" /run/systemd/nspawn
mount -t tmpfs tmpfs "$folder/tmpfs"
mkdir "$folder/tmpfs/up" "$folder/tmpfs/work" "$folder/tmpfs/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/tmpfs/up,workdir=$folder/tmpfs/work" "$folder/tmpfs/root"
# systemd-nspawn moves mounts through this folder, which must not be on a disk.
mount -t tmpfs tmpfs /run/systemd/nspawn
rm -f "$folder/tmpfs/root/etc/hostname"
cp -a "$folder/files/." "$folder/tmpfs/root/"
# As after an installation.
systemd-sysusers --root="$folder/tmpfs/root" chainmail.conf
systemctl --quiet --root="$folder/tmpfs/root" enable chainmail.target chainmail-boot.service chainmail-apply.service
# Nodes in one control group would share its children.
for hierarchy in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    if [ -d "$hierarchy" ]; then mkdir -p "$hierarchy/cm-$name"; echo $$ > "$hierarchy/cm-$name/cgroup.procs"; fi
done
while :; do
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --directory="$folder/tmpfs/root" --machine="$name" \
        --hostname=worker-1 --boot --register=no --keep-unit --console=pipe --private-network --link-journal=no \
        </dev/null >>"$folder/console" 2>&1 &
    nspawn=$!
    leader=
    while kill -0 $nspawn 2>/dev/null && [ -z "$leader" ]; do
        leader=$(pgrep -P $nspawn -x systemd || true)
        [ -n "$leader" ] || sleep 0.05
    done
    echo "$leader" > "$folder/leader.new"
    mv "$folder/leader.new" "$folder/leader"
    status=0
    wait $nspawn || status=$?
    rm -f "$folder/leader"
    # 133 asks for a reboot where nobody else is there to do it: systemd-nspawn(1), --keep-unit.
    [ $status -eq 133 ] || exit $status
done
