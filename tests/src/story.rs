//! What the stories of the simulation share: how one ends, and how a notice is read.

use sim::{Ims, Phone, checker};
use ue::{Ending, Notice, RequestFailure};

/// Lets quiet come, and holds every rule of [`checker`] against the run, so also that no machine logged an ERROR; these
/// phones are registered.
pub fn settled(mut ims: Ims, registered: &[&Phone]) {
    let broken = checker::settle(&mut ims, registered);
    assert!(broken.is_empty(), "{broken:#?}\n{}", ims.ladder());
}

/// The status that refused a registration, a call, a message or an OPTIONS; 0 when nothing was refused by a response.
pub fn refusal(notice: &Notice) -> u16 {
    match notice {
        Notice::RegistrationFailed(failure) => failure.status().map_or(0, |status| status.code()),
        Notice::Ended { ending: Ending::Refused { status, .. }, .. } => status.code(),
        Notice::MessageFailed { failure: RequestFailure::Refused(status), .. } => status.code(),
        Notice::OptionsAnswered { outcome: Err(RequestFailure::Refused(status)), .. } => status.code(),
        _ => 0,
    }
}

/// The value of the first header of this name; the name as it stands on the wire.
pub fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    let head = message.split("\r\n\r\n").next()?;
    head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
