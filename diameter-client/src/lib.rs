//! Diameter base protocol (RFC 6733) and the Cx application (TS 29.228, TS 29.229).
