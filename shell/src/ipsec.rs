//! Where security associations live (TS 33.203 §7): in the kernel, or in this process.
//!
//! With [`Xfrm`] the kernel does ESP, and ordinary sockets that are bound to the protected ports speak through it. With
//! [`Userspace`] this process does it on a raw socket, which works where the kernel has no ESP or may not be told.

mod netlink;
pub mod userspace;
pub mod xfrm;

pub use userspace::Userspace;
pub use xfrm::Xfrm;

use ipsec::{NotInstalled, Refusal, SaSet, Usage};
use std::net::SocketAddr;
use std::{fmt, io};

/// Who does ESP.
pub enum SecurityBackEnd {
    /// The kernel. Needs CAP_NET_ADMIN.
    Xfrm(Xfrm),
    /// This process. Needs CAP_NET_RAW.
    Userspace(Box<Userspace>),
}

impl SecurityBackEnd {
    /// Installs the four associations of a set, and what sends traffic through them; or nothing of it.
    pub fn install(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        match self {
            SecurityBackEnd::Xfrm(xfrm) => xfrm.install(set),
            SecurityBackEnd::Userspace(userspace) => userspace.install(set),
        }
    }

    /// Lets nothing pass in clear at protected ports of ours (TS 33.203 §7.1). Our own ESP binds no port that could take it.
    pub fn guard(&mut self, protected: &[SocketAddr]) -> Result<(), SecurityError> {
        match self {
            SecurityBackEnd::Xfrm(xfrm) => xfrm.guard(protected),
            SecurityBackEnd::Userspace(_) => Ok(()),
        }
    }

    /// Takes them away. It is no error if some of it has gone already.
    pub fn remove(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        match self {
            SecurityBackEnd::Xfrm(xfrm) => xfrm.remove(set),
            SecurityBackEnd::Userspace(userspace) => {
                userspace.remove(set);
                Ok(())
            }
        }
    }

    /// What there is, with counters: at the start, what an earlier process left in the kernel.
    pub fn list(&mut self) -> Result<Vec<Usage>, SecurityError> {
        match self {
            SecurityBackEnd::Xfrm(xfrm) => xfrm.list(),
            SecurityBackEnd::Userspace(userspace) => Ok(userspace.list()),
        }
    }

    /// How many packets were refused for a reason, since this process or, in the kernel, this network namespace started.
    ///
    /// Nothing for a reason that the kernel does not count, or if it counts none (`CONFIG_XFRM_STATISTICS`).
    pub fn refused(&self, reason: Refusal) -> Option<u64> {
        match self {
            SecurityBackEnd::Xfrm(xfrm) => xfrm.refused(reason),
            SecurityBackEnd::Userspace(userspace) => Some(userspace.refused(reason)),
        }
    }

    /// Takes away associations of [`list`](SecurityBackEnd::list) that no store remembers, with what sends traffic through
    /// them.
    pub fn discard(&mut self, leftovers: &[Usage]) -> Result<(), SecurityError> {
        match self {
            SecurityBackEnd::Xfrm(xfrm) => xfrm.discard(leftovers),
            SecurityBackEnd::Userspace(userspace) => {
                leftovers.iter().for_each(|leftover| userspace.discard(leftover));
                Ok(())
            }
        }
    }
}

/// Why a back end did not do what it was asked. Names no key.
#[derive(Debug)]
pub struct SecurityError {
    /// What was to be done.
    pub step: &'static str,
    /// Why it was not.
    pub cause: Cause,
}

/// Why.
#[derive(Debug)]
pub enum Cause {
    /// The system refused, or could not be asked.
    System(io::Error),
    /// The set clashes with another one, or cannot be done here.
    Set(NotInstalled),
}

impl SecurityError {
    fn system(step: &'static str) -> impl FnOnce(io::Error) -> SecurityError {
        move |error| SecurityError { step, cause: Cause::System(error) }
    }

    fn set(step: &'static str) -> impl FnOnce(NotInstalled) -> SecurityError {
        move |error| SecurityError { step, cause: Cause::Set(error) }
    }
}

impl fmt::Display for SecurityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step)?;
        match &self.cause {
            Cause::System(error) => {
                write!(f, "{error}")?;
                f.write_str(match error.raw_os_error() {
                    Some(libc::EPERM | libc::EACCES) => {
                        "; it takes CAP_NET_ADMIN for the kernel's ESP, CAP_NET_RAW for our own"
                    }
                    Some(libc::EPROTONOSUPPORT | libc::ENOSYS) => {
                        "; the kernel lacks ESP or the algorithm: load it with `modprobe -a esp4 esp6 authenc`, or use our own"
                    }
                    Some(libc::EEXIST) => "; another set has the SPI or the ports",
                    _ => "",
                })
            }
            Cause::Set(NotInstalled::SpiInUse) => f.write_str("another set has the SPI"),
            Cause::Set(NotInstalled::SelectorInUse) => f.write_str("another set has the ports"),
            Cause::Set(NotInstalled::Algorithms) => f.write_str("the algorithms do not go together"),
            Cause::Set(NotInstalled::Encapsulation) => f.write_str(
                "the kernel is told of transport mode only; our own ESP does tunnels in UDP as well",
            ),
        }
    }
}

impl std::error::Error for SecurityError {}
