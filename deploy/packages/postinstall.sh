#!/bin/sh
# After an installation or an upgrade. Replicas go on running the program that they were started with: they are restarted
# one by one, by whoever knows that the others are ready.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers holdfast.conf
elif ! getent passwd holdfast >/dev/null 2>&1; then
	useradd --system --user-group --home-dir /var/lib/holdfast --no-create-home --shell /usr/sbin/nologin holdfast
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
