//! Small read-only volumes: a few named files out of FAT, ISO 9660 and UDF. Pure.
#![forbid(unsafe_code)]
