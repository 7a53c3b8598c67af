//! Filter criteria as a person writes them for a lab: `MESSAGE=sip:ipsmgw.example.net PUBLISH=sip:presence.example.net`.

use cscf::identity::Impu;
use cscf::user_data::{
    ApplicationServer, Condition, InitialFilterCriteria, ServicePointTrigger, TriggerPoint,
};

/// Reads criteria, each a method and the application server that gets its requests, in the order of their priority.
pub fn read(text: &str) -> Result<Vec<InitialFilterCriteria>, String> {
    let words = text.split_whitespace().enumerate();
    words.map(|(priority, word)| one(priority as u32, word)).collect()
}

fn one(priority: u32, word: &str) -> Result<InitialFilterCriteria, String> {
    let (method, server) = word.split_once('=').ok_or_else(|| format!("{word} is not METHOD=URI"))?;
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("{method:?} is no method"));
    }
    if Impu::parse(server.as_bytes()).is_none_or(|uri| uri.is_tel()) {
        return Err(format!("{server} is no SIP URI"));
    }
    let trigger = ServicePointTrigger {
        is_negated: false,
        groups: vec![0],
        condition: Condition::Method(method.to_owned()),
        registration_types: Vec::new(),
    };
    Ok(InitialFilterCriteria {
        priority,
        trigger_point: Some(TriggerPoint { triggers: vec![trigger], ..TriggerPoint::default() }),
        application_server: ApplicationServer {
            server_name: server.to_owned(),
            ..ApplicationServer::default()
        },
        profile_part: None,
    })
}

/// Writes criteria as [`read`] reads them; `None` for those that it has no words for.
pub fn write(criteria: &[InitialFilterCriteria]) -> Option<String> {
    let words: Option<Vec<String>> = criteria
        .iter()
        .map(|criteria| {
            let [trigger] = &criteria.trigger_point.as_ref()?.triggers[..] else { return None };
            let Condition::Method(method) = &trigger.condition else { return None };
            Some(format!("{method}={}", criteria.application_server.server_name))
        })
        .collect();
    let text = words?.join(" ");
    (read(&text).as_deref() == Ok(criteria)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        let text = "MESSAGE=sip:ipsmgw.example.net;lr PUBLISH=sip:presence.example.net:5065";
        let criteria = read(text).unwrap();
        assert_eq!(criteria.iter().map(|one| one.priority).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(criteria[1].application_server.server_name, "sip:presence.example.net:5065");
        assert_eq!(write(&criteria).as_deref(), Some(text));
        assert_eq!((read("").unwrap(), write(&[]).as_deref()), (Vec::new(), Some("")));
    }

    #[test]
    fn what_says_more_than_a_method_has_no_words() {
        let mut criteria = read("MESSAGE=sip:as.example.net").unwrap();
        criteria[0].trigger_point.as_mut().unwrap().triggers[0].is_negated = true;
        assert_eq!(write(&criteria), None);
        criteria[0].trigger_point = None;
        assert_eq!(write(&criteria), None);
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, why) in [
            ("MESSAGE", "MESSAGE is not METHOD=URI"),
            ("message=sip:as", "\"message\" is no method"),
            ("MESSAGE=as.example.net", "as.example.net is no SIP URI"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()));
        }
    }
}
