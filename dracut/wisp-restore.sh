#!/bin/sh
# Sourced twice a second while the root is awaited and no other device is on its way: power may have gone while wisp
# wrote the table of its disk.
wisp grow-root "$NEWROOT"
