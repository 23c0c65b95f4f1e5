//! Volumes made by the tools that clouds and people make them with, read back and held against what went in.
//!
//! Everything works on files, as an ordinary user.

mod damage;
#[cfg(feature = "full")]
mod ext;
mod fat;
mod iso9660;
mod media;
mod seed;
mod udf;
