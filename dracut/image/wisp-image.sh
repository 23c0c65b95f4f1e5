#!/bin/sh
# Sourced when the root is there and nobody has mounted it yet: an image may be written over its disk.
/usr/libexec/wisp/wisp write-root
