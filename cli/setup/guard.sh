#!/bin/sh
# Runs a command that installs Debian packages while every service start is refused, by the policy-rc.d interface
# (invoke-rc.d(8), deb-systemd-invoke(1p)): exit status 101 of /usr/sbin/policy-rc.d forbids the action.
#
#   unshare --mount sh guard.sh TARGET POLICY COMMAND...
#
# The policy is mounted over TARGET in a mount namespace of the command's own. So nobody else on the machine sees it,
# a policy-rc.d of the administrator stays as it is, and the kernel takes the mount away with the last process of
# the command, however that ended. Where there was no TARGET, an empty mount point is needed; it is not executable,
# so that one left behind by SIGKILL has no effect, and the next run removes it.
set -u
target=$(readlink -f "$1")
policy=$2
shift 2
marker='# Mount point made by the set-up of margay. It has no effect and may be removed.'

trap : HUP INT TERM

status=125
[ -e "$target" ] || printf '%s\n' "$marker" > "$target"
if mount --bind "$policy" "$target"; then
  "$target" margay start > /dev/null 2>&1
  if [ $? -eq 101 ]; then
    "$@"
    status=$?
  else
    echo "$policy can not be executed from where it lies (a file system mounted noexec?)" >&2
  fi
  umount "$target"
fi
if [ -f "$target" ] && [ "$(cat "$target")" = "$marker" ]; then rm -f "$target"; fi
exit $status
