//! The production driver: sockets, clock, DNS, store, signals.
//!
//! [`Driver::spawn`](driver::Driver::spawn) runs one [`Machine`](cscf::station::Machine) on a thread of its own and moves
//! bytes between it and the world; [`process`] is what the four server processes share. What a message means is known
//! only above: nothing here reads SIP or Diameter.

pub mod clock;
pub mod colocated;
pub mod control;
mod datagram;
pub mod dns;
pub mod driver;
pub mod ipsec;
pub mod logging;
pub mod metrics;
pub mod open_files;
pub mod process;
pub mod reload;
mod sctp;
pub mod sockets;
mod spare;
pub mod store;
mod stream;
pub mod tls;

pub use clock::{Clock, system_entropy};
pub use control::{Control, ControlSocket};
pub use driver::{Driver, Handle, Security, Setup};
pub use ipsec::{SecurityBackEnd, SecurityError};
pub use metrics::{Metrics, MetricsError};
pub use reload::Reload;
pub use sockets::{BindError, Binding, Sockets, Speaks};
pub use store::{Acknowledge, Backend, Store, StoreError};
pub use tls::{Tls, TlsFileError};
