//! The S-CSCF (TS 24.229 §5.4).
