#!/bin/sh
# Before a removal, and not before an upgrade: dpkg says "remove" and rpm says 0. What was enabled is not any more, so that a package
# that is installed again starts nothing by itself; the template's name stands for all instances, a pattern would stand for none.
set -e
if { [ "$1" = remove ] || [ "$1" = 0 ]; } && command -v systemctl >/dev/null 2>&1; then
	systemctl disable holdfast@.socket holdfast@.service >/dev/null 2>&1 || true # none may be enabled
	if [ -d /run/systemd/system ]; then
		systemctl stop 'holdfast@*.socket' 'holdfast@*.service'
	fi
fi
