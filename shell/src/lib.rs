//! The production driver: sockets, clock, DNS, store, signals.
