//! What holds for any bytes that a stranger may send: one property a file, whose `holds` panics where it does not.
//!
//! A module of the test beside it, and the library of `tests/fuzz`, whose targets look for bytes that break a property. It
//! stands out here because a package leaves out whatever has a `Cargo.toml` of its own.

pub mod classify;
pub mod config;
pub mod filter;
pub mod framing;
pub mod head;
pub mod hints;

mod message;
mod reference;
