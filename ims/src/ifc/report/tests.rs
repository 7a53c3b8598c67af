//! Reports as they are read.

use super::*;
use cscf::user_data::{self, SessionCase};
use scscf::criteria::{Criteria, SharedSets, explain, in_order, lint};
use sip_core::{Limits, Message};

const PROFILE: &str = "<x><InitialFilterCriteria><Priority>1</Priority><TriggerPoint><ConditionTypeCNF>0</ConditionTypeCNF>
<SPT><Group>0</Group><Method>MESSAGE</Method></SPT><SPT><Group>0</Group><SessionCase>0</SessionCase></SPT>
<SPT><Group>1</Group><Method>INVITE</Method></SPT>
<SPT><ConditionNegated>1</ConditionNegated><Group>1</Group><SIPHeader><Header>X-Loop</Header></SIPHeader></SPT>
</TriggerPoint><ApplicationServer><ServerName>sip:one.example</ServerName><DefaultHandling>1</DefaultHandling></ApplicationServer>
</InitialFilterCriteria><InitialFilterCriteria><Priority>2</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF>
<SPT><Group>0</Group><RequestURI>^conference</RequestURI></SPT>
</TriggerPoint><ApplicationServer><ServerName>sip:two.example</ServerName></ApplicationServer>
<ProfilePartIndicator>1</ProfilePartIndicator></InitialFilterCriteria>
<InitialFilterCriteria><Priority>3</Priority><ApplicationServer><ServerName>sip:three.example</ServerName></ApplicationServer>
</InitialFilterCriteria></x>";

fn report(read: impl Fn(&Report<'_>) -> String) -> String {
    let written = user_data::criteria(PROFILE.as_bytes()).unwrap();
    let criteria = Criteria::compile(&written, &[], &SharedSets::default()).unwrap();
    let text = "INVITE sip:bob@example.net SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n";
    let message = Message::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
    let facts = Facts {
        message: &message,
        case: SessionCase::OriginatingRegistered,
        is_registered: true,
        registration: None,
    };
    let explained = explain(&criteria, &in_order(&written, &[], &[]), &facts);
    read(&Report { profile: "profile.xml", facts: &facts, explained })
}

#[test]
fn a_person_reads_who_is_visited_and_why() {
    let expected = "\
INVITE sip:bob@example.net, originating, by profile.xml
visits sip:one.example, then sip:three.example, as long as each sends it back as it is

matches: sip:one.example (priority 1, profile, ends the session when it does not answer)
  no   all of group 0
       no   the method is MESSAGE
       yes  the session case is originating
  yes  or all of group 1
       yes  the method is INVITE
       yes  not: there is a X-Loop

does not match: sip:two.example (priority 2, profile, left out when it does not answer)
  no   the user is unregistered
  no   any of group 0
       no   the host of the Request-URI matches \"^conference\"

matches: sip:three.example (priority 3, profile, left out when it does not answer)
  yes  every request
";
    assert_eq!(report(|report| report.text()), expected);
}

#[test]
fn a_program_reads_the_same() {
    let report: Value = serde_json::from_str(&report(|report| report.json())).unwrap();
    assert_eq!(report["visits"], json!(["sip:one.example", "sip:three.example"]));
    assert_eq!(report["criteria"][0]["groups"][1]["triggers"][1]["holds"], true);
    assert_eq!(report["criteria"][1]["profile_part_holds"], false);
}

#[test]
fn findings_have_a_line_for_what_and_one_for_what_to_do() {
    let filter_criteria = user_data::criteria(PROFILE.as_bytes()).unwrap();
    let profile = user_data::ServiceProfile { filter_criteria, ..Default::default() };
    let findings = lint::lint(&profile);
    let text = findings_text("profile.xml", 3, &findings);
    assert_eq!(
        text,
        "warning: criterion 3 (priority 3): has no TriggerPoint: every initial request goes there, REGISTER and \
         SUBSCRIBE too\n    say which, by Method and SessionCase\n"
    );
    let json: Value = serde_json::from_str(&findings_json(&findings)).unwrap();
    assert_eq!((&json[0]["severity"], &json[0]["priority"]), (&json!("warning"), &json!(3)));
    assert_eq!(findings_text("a.xml", 2, &[]), "a.xml: 2 criteria, nothing to say about them\n");
}
