//! Metadata against recorded replies and faults. First of all the server itself: who plays the clouds must play them
//! rightly.

mod crawl;
mod faults;
mod ready;
mod recordings;
mod server;
mod service;
