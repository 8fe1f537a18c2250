#!/bin/sh
# After a removal. What was stored stays, and with it the user that it belongs to: /var/lib/holdfast is for people to delete.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
