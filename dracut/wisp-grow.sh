#!/bin/sh
# Sourced when the root is mounted, and not left before switch_root.
wisp grow-root "$NEWROOT"
