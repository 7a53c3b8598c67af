//! The I-CSCF driven by SIP text and HSS answers (TS 24.229 §5.3), one module per clause.

mod bench;
mod registration;
mod session;
