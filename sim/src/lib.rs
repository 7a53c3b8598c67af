//! The simulation driver: virtual time and a faulty network.
