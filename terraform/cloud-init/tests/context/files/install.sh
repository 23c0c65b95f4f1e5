#!/bin/sh
echo "installs onto $1"
