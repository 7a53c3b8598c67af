//! The P-CSCF driven by SIP text (TS 24.229 §5.2), one module per part of the clause.

mod access;
mod bench;
mod dialog;
mod emergency;
mod flows;
mod granted;
mod hostile;
mod originating;
mod reg_event;
mod registration;
mod route_set;
mod securing;
mod terminating;
