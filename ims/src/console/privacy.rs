//! What `recorder.privacy` shortens beside messages: identities, as the recorder shortens them in these. The names by which
//! the configuration calls subscribers stay, since phones are told apart by them.

use ::console::api::{Contact, Phone, Subscriber};
use recorder::{hide_text, hide_word};

/// In what is known of a subscriber.
pub fn of_subscriber(subscriber: &mut Subscriber) {
    subscriber.imsi.iter_mut().for_each(hide_word);
    subscriber.private_identities.iter_mut().for_each(hide_impi);
    subscriber.identities.iter_mut().for_each(|identity| hide_text(&mut identity.uri));
    hide_text(&mut subscriber.state);
}

/// In a contact.
pub fn of_contact(contact: &mut Contact) {
    hide_text(&mut contact.identity);
    hide_impi(&mut contact.private_identity);
    hide_text(&mut contact.uri);
}

/// In what a phone says.
pub fn of_phone(phone: &mut Phone) {
    hide_word(&mut phone.number);
    phone.said.iter_mut().for_each(hide_text);
}

/// A private identity has no scheme.
fn hide_impi(impi: &mut String) {
    let realm = impi.split_once('@').map(|(_, realm)| realm.to_owned());
    if let Some(realm) = realm {
        impi.truncate(impi.len() - realm.len() - 1);
        hide_word(impi);
        impi.push('@');
        impi.push_str(&realm);
    } else {
        hide_word(impi);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_identity_keeps_its_realm_alone() {
        for (impi, shown) in [("alice.home@home1.net", "a****.**me@home1.net"), ("alice", "a****"), ("", "")]
        {
            let mut impi = impi.to_owned();
            hide_impi(&mut impi);
            assert_eq!(impi, shown);
        }
    }
}
