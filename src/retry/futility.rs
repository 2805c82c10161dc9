//! The futility guard: a door that nobody has seen open is not knocked at by every caller.
