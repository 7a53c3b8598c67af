//! The P-CSCF (TS 24.229 §5.2).
