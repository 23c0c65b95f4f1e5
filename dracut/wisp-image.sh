#!/bin/sh
# Sourced when the root is there and nobody has mounted it yet: an image may be written over its disk.
wisp write-root
