//! The I-CSCF (TS 24.229 §5.3).
