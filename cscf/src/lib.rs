//! What TS 24.229 asks of every CSCF: node, role, turn, transport, trust, charging, identity.
