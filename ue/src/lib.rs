//! The UE: the other end of TS 24.229 §5.1, a pure state machine.
