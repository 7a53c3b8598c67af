//! What is found in a profile, and what is not.

use super::*;
use cscf::user_data::parse;

/// The findings of a profile with these criteria.
fn findings(criteria: &str) -> Vec<String> {
    let document = format!(
        "<IMSSubscription><PrivateID>a</PrivateID><ServiceProfile><PublicIdentity><Identity>sip:a@h</Identity>\
         </PublicIdentity>{criteria}</ServiceProfile></IMSSubscription>"
    );
    let subscription = parse(document.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{document}"));
    lint(&subscription.service_profiles[0]).iter().map(ToString::to_string).collect()
}

/// A criterion of priority 5 with these triggers.
fn criterion(cnf: u8, triggers: &str) -> String {
    format!(
        "<InitialFilterCriteria><Priority>5</Priority><TriggerPoint><ConditionTypeCNF>{cnf}</ConditionTypeCNF>{triggers}\
         </TriggerPoint><ApplicationServer><ServerName>sip:as.h</ServerName></ApplicationServer></InitialFilterCriteria>"
    )
}

fn spt(group: u32, condition: &str) -> String {
    format!("<SPT><Group>{group}</Group>{condition}</SPT>")
}

fn header(name: &str, content: &str) -> String {
    spt(0, &format!("<SIPHeader><Header>{name}</Header><Content>{content}</Content></SIPHeader>"))
}

fn uri(expression: &str) -> String {
    spt(0, &format!("<RequestURI>{expression}</RequestURI>"))
}

const INVITE: &str = "<Method>INVITE</Method>";
const ORIGINATING: &str = "<SessionCase>0</SessionCase>";

#[test]
fn a_sound_profile_has_no_findings() {
    for triggers in [
        spt(0, INVITE) + &spt(0, ORIGINATING),
        header("P-Asserted-Identity", "^&lt;tel:\\+49"),
        header("X-Own-Field", "yes"),
        header("P-.*", "[0-9]{3}"),
        header("Accept-Contact", "icsi-ref=.*mmtel"),
        uri("^conference\\."),
        spt(0, "<SessionDescription><Line>m</Line><Content>^video</Content></SessionDescription>"),
        spt(0, "<Method>REGISTER</Method><Extension><RegistrationType>0</RegistrationType></Extension>"),
        header("To", "a*b"),
        header("To", "[+]49|\\+44"),
    ] {
        assert_eq!(findings(&criterion(0, &triggers)), [""; 0], "{triggers}");
    }
    assert_eq!(findings(""), [""; 0]);
}

#[test]
fn each_mistake_is_found_with_where_and_what_to_do() {
    let at = "criterion 1 (priority 5)";
    for (triggers, expected) in [
        (
            spt(0, "<Method>invite</Method>"),
            format!(
                "error: {at}, trigger 1: methods are spelt in capitals, and invite is another one; INVITE"
            ),
        ),
        (
            spt(0, "<Method>INVITEE</Method>"),
            format!("warning: {at}, trigger 1: INVITEE is no method of SIP; did you mean INVITE?"),
        ),
        (
            spt(0, "<Method>BYE</Method>"),
            format!(
                "error: {at}, trigger 1: BYE is no initial request, and criteria are asked for those alone; use the \
                 method that opens the dialog"
            ),
        ),
        (
            header("P-Aserted-Identity", "a"),
            format!(
                "warning: {at}, trigger 1: P-Aserted-Identity is no header field of SIP; did you mean \
                 P-Asserted-Identity?"
            ),
        ),
        (
            header("P-Asserted", "a"),
            format!(
                "warning: {at}, trigger 1: P-Asserted is only part of a name, such as P-Asserted-Identity, and \
                 without an operator means itself; write P-Asserted-Identity, or P-Asserted.* for all that have it in \
                 their name"
            ),
        ),
        (
            header("To", ".*"),
            format!(
                "warning: {at}, trigger 1: \".*\" matches everything; leave it out, or say what should be matched"
            ),
        ),
        (
            header("To", "*@example.net"),
            format!(
                "error: {at}, trigger 1: the profile is refused: Content \"*@example.net\": nothing stands before the \
                 repetition (at character 1); this looks like a glob: in an expression, any characters are .* and any \
                 one is ."
            ),
        ),
        (
            header("To", "+49"),
            format!(
                "error: {at}, trigger 1: the profile is refused: Content \"+49\": nothing stands before the repetition \
                 (at character 1); a plus stands for itself as \\+"
            ),
        ),
        (
            header("To", "sip:*"),
            format!(
                "warning: {at}, trigger 1: Content \"sip:*\": the * repeats one character; this looks like a glob: in \
                 an expression, any characters are .* and any one is ."
            ),
        ),
        (
            header("To", "tel:+49"),
            format!(
                "warning: {at}, trigger 1: Content \"tel:+49\": the + repeats what stands before it; a plus stands for \
                 itself as \\+"
            ),
        ),
        (
            header("To", "\\d+"),
            format!(
                "warning: {at}, trigger 1: Content \"\\\\d+\": \\d is the letter d; POSIX has no such classes; write \
                 [0-9]"
            ),
        ),
        (
            header("To", "[\\d]"),
            format!(
                "warning: {at}, trigger 1: Content \"[\\\\d]\": a backslash in brackets stands for itself; leave it \
                 out: nothing has to be escaped there"
            ),
        ),
        (
            header("To", "a$b"),
            format!(
                "error: {at}, trigger 1: Content \"a$b\" matches no text; ^ is the start of the value and $ its end, \
                 wherever they stand"
            ),
        ),
        (
            uri("sip:.*@example.net"),
            format!(
                "error: {at}, trigger 1: RequestURI \"sip:.*@example.net\": \"sip:\" is never there: of a SIP URI the \
                 host and port are matched, of a tel URI the number; match the host alone, or a header field such as To"
            ),
        ),
        (
            spt(0, "<SessionDescription><Line>m=video</Line></SessionDescription>"),
            format!(
                "error: {at}, trigger 1: Line \"m=video\" matches no line; it is the letter before =, as in \
                 <Line>m</Line>; what stands behind goes into Content"
            ),
        ),
        (
            spt(0, "<Method>INVITE</Method><Extension><RegistrationType>0</RegistrationType></Extension>"),
            format!(
                "error: {at}, trigger 1: has a RegistrationType without the method REGISTER; move it to the trigger with \
                 <Method>REGISTER</Method>, or take it away"
            ),
        ),
    ] {
        assert_eq!(findings(&criterion(0, &triggers)), [expected]);
    }
}

#[test]
fn what_never_matches_is_found() {
    let message = "<Method>MESSAGE</Method>";
    let negated = |group: u32, condition: &str| {
        format!("<SPT><ConditionNegated>1</ConditionNegated><Group>{group}</Group>{condition}</SPT>")
    };
    for (cnf, triggers, expected) in [
        (0, spt(0, INVITE) + &spt(0, message), Some("group 0 never holds: it asks for two methods at once")),
        (0, spt(0, INVITE) + &spt(1, message), None),
        (1, spt(0, INVITE) + &spt(0, message), None),
        (
            1,
            spt(0, INVITE) + &spt(0, ORIGINATING),
            Some("all triggers are in one group, of which one is enough"),
        ),
        (1, spt(0, INVITE) + &spt(1, ORIGINATING), None),
        (1, spt(0, INVITE) + &spt(1, message), Some("no request matches: the groups ask for methods")),
        (
            0,
            spt(3, ORIGINATING) + &spt(3, "<SessionCase>1</SessionCase>"),
            Some("group 3 never holds: it asks for two session cases at once"),
        ),
        (
            0,
            spt(0, "<SIPHeader><Header>X-A</Header></SIPHeader>")
                + &negated(0, "<SIPHeader><Header>X-A</Header></SIPHeader>"),
            Some("group 0 never holds: it asks for a condition and its opposite"),
        ),
        (
            0,
            negated(0, "<SIPHeader><Header>X-A</Header></SIPHeader>")
                + &spt(0, "<SIPHeader><Header>x-a</Header><Content>b</Content></SIPHeader>"),
            Some("group 0 never holds: it asks for the content of a header field that must be absent"),
        ),
        (0, negated(0, INVITE) + &spt(0, message), None),
        (
            0,
            negated(0, INVITE) + &spt(0, INVITE),
            Some("group 0 never holds: it asks for two methods at once"),
        ),
    ] {
        let found = findings(&criterion(cnf, &triggers));
        match expected {
            None => assert_eq!(found, [""; 0], "{triggers}"),
            Some(expected) => assert!(found.len() == 1 && found[0].contains(expected), "{found:#?}"),
        }
    }
    let part = |part: u8, case: u8| {
        let triggers = spt(0, &format!("<SessionCase>{case}</SessionCase>"));
        let part = format!("<ProfilePartIndicator>{part}</ProfilePartIndicator></InitialFilterCriteria>");
        findings(&criterion(0, &triggers).replace("</InitialFilterCriteria>", &part)).len()
    };
    let counts: Vec<usize> = (0..5).flat_map(|case| [part(0, case), part(1, case)]).collect();
    assert_eq!(counts, [0, 1, 0, 1, 1, 0, 1, 0, 0, 0]);
}

#[test]
fn servers_and_priorities_are_looked_at_too() {
    let register = criterion(0, &spt(0, "<Method>REGISTER</Method>"));
    for (criteria, expected) in [
        (register.replace("sip:as.h", "as.h"), "the ServerName is no SIP URI"),
        (register.replace("sip:as.h", "tel:+49"), "the ServerName is no SIP URI"),
        (register.replace("sip:as.h", "sip:as.h&gt;;x=&lt;"), "the ServerName is no SIP URI"),
        (
            register
                .replace("</ApplicationServer>", "<DefaultHandling>1</DefaultHandling></ApplicationServer>"),
            "SESSION_TERMINATED for a REGISTER",
        ),
        (
            criterion(0, &spt(0, INVITE))
                .replace("</ApplicationServer>", "<ServiceInfo>x</ServiceInfo></ApplicationServer>"),
            "ServiceInfo goes into third-party REGISTERs",
        ),
        (
            criterion(0, &spt(0, INVITE)).replace(
                "</ApplicationServer>",
                "<Extension><IncludeRegisterRequest/></Extension></ApplicationServer>",
            ),
            "IncludeRegisterRequest goes into third-party REGISTERs",
        ),
        (register.clone() + &register, "criterion 1 has the same priority"),
        (
            "<InitialFilterCriteria><Priority>1</Priority><ApplicationServer><ServerName>sip:as</ServerName>\
             </ApplicationServer></InitialFilterCriteria>"
                .to_owned(),
            "has no TriggerPoint",
        ),
        (
            criterion(0, &spt(0, INVITE).repeat(1025)),
            "the profile is refused: InitialFilterCriteria 1 (Priority 5): a profile may have 1024 triggers",
        ),
    ] {
        let found = findings(&criteria);
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:#?}");
    }
    let with_info =
        register.replace("</ApplicationServer>", "<ServiceInfo>x</ServiceInfo></ApplicationServer>");
    assert_eq!(findings(&with_info), [""; 0]);
}
