#!/bin/sh
# Before a removal, and not before an upgrade: dpkg says "remove" and rpm says 0.
set -e
if { [ "$1" = remove ] || [ "$1" = 0 ]; } && [ -d /run/systemd/system ]; then
	systemctl disable --now 'holdfast@*.socket' 'holdfast@*.service' >/dev/null 2>&1 || true # none may be enabled
	systemctl stop 'holdfast@*.socket' 'holdfast@*.service'
fi
