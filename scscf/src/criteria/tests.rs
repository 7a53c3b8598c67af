//! Criteria against requests.

use super::*;
use cscf::user_data::{Condition, ConditionForm, ServicePointTrigger, TriggerPoint};
use sip_core::parse::Limits;

fn message(method: &str) -> Message {
    let text = format!(
        "{method} sip:bob@home1.net SIP/2.0\r\nTo: <sip:bob@home1.net>\r\nX-Foo: one\r\nCSeq: 1 {method}\r\n\r\n"
    );
    Message::parse(text.into_bytes(), &Limits::default()).unwrap()
}

fn facts(message: &Message) -> Facts<'_> {
    Facts { message, case: SessionCase::OriginatingRegistered, is_registered: true, registration: None }
}

fn method(method: &str) -> Condition {
    Condition::Method(method.into())
}

fn header(header: &str) -> Condition {
    Condition::SipHeader { header: header.into(), content: None }
}

/// A trigger that stands in these groups.
fn spt(groups: &[u32], condition: Condition) -> ServicePointTrigger {
    ServicePointTrigger {
        is_negated: false,
        groups: groups.into(),
        condition,
        registration_types: Vec::new(),
    }
}

fn not(trigger: ServicePointTrigger) -> ServicePointTrigger {
    ServicePointTrigger { is_negated: true, ..trigger }
}

fn criterion(priority: u32, server: &str, triggers: Vec<ServicePointTrigger>) -> InitialFilterCriteria {
    InitialFilterCriteria {
        priority,
        trigger_point: (!triggers.is_empty()).then(|| TriggerPoint { triggers, ..Default::default() }),
        application_server: ApplicationServer { server_name: server.into(), ..Default::default() },
        profile_part: None,
    }
}

fn compile(criteria: &[InitialFilterCriteria]) -> Criteria {
    Criteria::compile(criteria, &[], &SharedSets::default()).unwrap()
}

/// The application servers that a request visits.
fn visited(criteria: &Criteria, facts: &Facts<'_>) -> Vec<String> {
    let mut after = None;
    std::iter::from_fn(|| {
        let next = criteria.next(after, facts)?;
        after = Some(next.place);
        Some(next.application_server.server_name.clone())
    })
    .collect()
}

#[test]
fn servers_are_visited_in_the_order_of_priority_and_equal_ones_each_in_turn() {
    let criteria = compile(&[
        criterion(3, "sip:c", Vec::new()),
        criterion(1, "sip:a", vec![spt(&[0], method("INVITE"))]),
        criterion(2, "sip:never", vec![spt(&[0], method("MESSAGE"))]),
        criterion(3, "sip:d", vec![spt(&[0], header("X-Foo"))]),
    ]);
    let invite = message("INVITE");
    assert_eq!(visited(&criteria, &facts(&invite)), ["sip:a", "sip:c", "sip:d"]);
    assert_eq!(visited(&criteria, &facts(&message("OPTIONS"))), ["sip:c", "sip:d"]);
    assert!(criteria.next(Some(Place(999)), &facts(&invite)).is_none());
    assert!(compile(&[]).is_empty() && compile(&[]).next(None, &facts(&invite)).is_none());
}

/// TS 29.228 §B.2.2: CNF is AND of groups with OR inside, DNF is OR of groups with AND inside.
#[test]
fn groups_are_joined_by_the_form() {
    // A, B, C hold or not by negation of what is always so.
    let spts = |holds: [bool; 3], groups: [&[u32]; 3]| -> Vec<ServicePointTrigger> {
        holds
            .into_iter()
            .zip(groups)
            .map(|(holds, groups)| {
                let trigger = spt(groups, header("To"));
                if holds { trigger } else { not(trigger) }
            })
            .collect()
    };
    let invite = message("INVITE");
    for bits in 0..8u8 {
        let [a, b, c] = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
        for (groups, disjunctive, conjunctive) in [
            ([&[0][..], &[0], &[1]], (a && b) || c, (a || b) && c),
            ([&[0], &[1], &[2]], a || b || c, a && b && c),
            ([&[5], &[5], &[5]], a && b && c, a || b || c),
            // In several groups.
            ([&[0, 1], &[0], &[1]], a && (b || c), a || (b && c)),
            ([&[0, 0], &[0], &[7]], (a && b) || c, (a || b) && c),
        ] {
            for (form, expected) in
                [(ConditionForm::Disjunctive, disjunctive), (ConditionForm::Conjunctive, conjunctive)]
            {
                let mut one = criterion(0, "sip:a", spts([a, b, c], groups));
                one.trigger_point.as_mut().unwrap().form = form;
                let matched = compile(&[one]).next(None, &facts(&invite)).is_some();
                assert_eq!(matched, expected, "{form:?} {groups:?} {a} {b} {c}");
            }
        }
    }
}

/// What is asked first by method and case must not change what matches.
#[test]
fn methods_and_cases_stand_in_groups_like_other_triggers() {
    use SessionCase::{OriginatingRegistered as Orig, TerminatingRegistered as Term};
    let case = Condition::SessionCase;
    for (form, triggers, expected) in [
        // INVITE or MESSAGE, when originating.
        (
            ConditionForm::Conjunctive,
            vec![spt(&[0], method("INVITE")), spt(&[0], method("MESSAGE")), spt(&[1], case(Orig))],
            ["INVITE Orig", "MESSAGE Orig"].as_slice(),
        ),
        (
            ConditionForm::Disjunctive,
            vec![spt(&[0, 1], case(Term)), spt(&[0], method("INVITE")), spt(&[1], method("X-NEW"))],
            &["INVITE Term", "X-NEW Term"],
        ),
        (
            ConditionForm::Disjunctive,
            vec![not(spt(&[0], method("INVITE")))],
            &["MESSAGE Orig", "MESSAGE Term", "X-NEW Orig", "X-NEW Term", "X-OLD Orig", "X-OLD Term"],
        ),
        (
            ConditionForm::Disjunctive,
            vec![not(spt(&[0], method("X-NEW"))), not(spt(&[0], case(Orig)))],
            &["INVITE Term", "MESSAGE Term", "X-OLD Term"],
        ),
        // Methods are spelt in capitals or are others.
        (ConditionForm::Disjunctive, vec![spt(&[0], method("invite"))], &[]),
        (ConditionForm::Disjunctive, vec![spt(&[0], method("INVITE")), spt(&[0], method("MESSAGE"))], &[]),
        (
            ConditionForm::Conjunctive,
            vec![spt(&[0], method("INVITE")), spt(&[0], header("X-Foo"))],
            &[
                "INVITE Orig",
                "INVITE Term",
                "MESSAGE Orig",
                "MESSAGE Term",
                "X-NEW Orig",
                "X-NEW Term",
                "X-OLD Orig",
                "X-OLD Term",
            ],
        ),
    ] {
        let mut one = criterion(0, "sip:a", triggers.clone());
        one.trigger_point.as_mut().unwrap().form = form;
        let criteria = compile(&[one]);
        let mut matched = Vec::new();
        for method in ["INVITE", "MESSAGE", "X-NEW", "X-OLD"] {
            for (name, case) in [("Orig", Orig), ("Term", Term)] {
                let message = message(method);
                if criteria.next(None, &Facts { case, ..facts(&message) }).is_some() {
                    matched.push(format!("{method} {name}"));
                }
            }
        }
        assert_eq!(matched, expected, "{form:?} {triggers:?}");
    }
}

#[test]
fn a_profile_part_holds_for_users_in_its_state() {
    let part =
        |profile_part, server| InitialFilterCriteria { profile_part, ..criterion(0, server, Vec::new()) };
    let criteria = compile(&[
        part(None, "sip:both"),
        part(Some(ProfilePart::Registered), "sip:registered"),
        part(Some(ProfilePart::Unregistered), "sip:unregistered"),
    ]);
    let invite = message("INVITE");
    assert_eq!(visited(&criteria, &facts(&invite)), ["sip:both", "sip:registered"]);
    let unregistered = Facts { is_registered: false, ..facts(&invite) };
    assert_eq!(visited(&criteria, &unregistered), ["sip:both", "sip:unregistered"]);
}

#[test]
fn the_kind_of_registration_counts_with_register_alone() {
    use RegistrationType::{DeRegistration, Initial, ReRegistration};
    let kinds = |method_name: &str, kinds: &[RegistrationType]| {
        let trigger =
            ServicePointTrigger { registration_types: kinds.into(), ..spt(&[0], method(method_name)) };
        compile(&[criterion(0, "sip:a", vec![trigger])])
    };
    let register = message("REGISTER");
    let matches = |criteria: &Criteria, registration| {
        criteria.next(None, &Facts { registration, ..facts(&register) }).is_some()
    };
    let each = [Some(Initial), Some(ReRegistration), Some(DeRegistration), None];
    for (wanted, expected) in [
        (&[][..], [true, true, true, true]),
        (&[Initial], [true, false, false, false]),
        (&[Initial, DeRegistration], [true, false, true, false]),
        (&[ReRegistration], [false, true, false, false]),
    ] {
        let criteria = kinds("REGISTER", wanted);
        assert_eq!(each.map(|registration| matches(&criteria, registration)), expected, "{wanted:?}");
    }
    let invite = kinds("INVITE", &[Initial]);
    assert!(invite.next(None, &facts(&message("INVITE"))).is_some(), "it says nothing of an INVITE");
    // All but an initial one.
    let trigger = ServicePointTrigger { registration_types: vec![Initial], ..spt(&[0], method("REGISTER")) };
    let negated = compile(&[criterion(0, "sip:a", vec![not(trigger)])]);
    assert_eq!(each.map(|registration| matches(&negated, registration)), [false, true, true, true]);
}

#[test]
fn the_request_uri_counts_by_its_host_without_case() {
    let uri =
        |expression: &str| criterion(0, "sip:a", vec![spt(&[0], Condition::RequestUri(expression.into()))]);
    for (expression, expected) in [
        ("home1.net", true),
        ("HOME1\\.NET", true),
        ("^home[0-9]\\.net$", true),
        ("bob", false),
        ("sip:", false),
    ] {
        let invite = message("INVITE");
        let matched = compile(&[uri(expression)]).next(None, &facts(&invite)).is_some();
        assert_eq!(matched, expected, "{expression}");
    }
}

/// TS 29.228 §B.2.1, SharedIFCSetID.
#[test]
fn shared_sets_are_merged_by_priority_and_users_without_criteria_have_those_of_the_configuration() {
    let (one, two) = ([criterion(2, "sip:one", Vec::new())], [criterion(1, "sip:two", Vec::new())]);
    let fallback = [criterion(0, "sip:fallback", Vec::new())];
    let sets = SharedSets::compile([(1, &one[..]), (2, &two[..])], &fallback).unwrap();
    let own = [criterion(2, "sip:own", Vec::new()), criterion(9, "sip:last", Vec::new())];
    let invite = message("INVITE");
    let visited = |own: &[InitialFilterCriteria], ids: &[u32]| {
        visited(&Criteria::compile(own, ids, &sets).unwrap(), &facts(&invite))
    };
    assert_eq!(visited(&own, &[1, 2, 1]), ["sip:two", "sip:own", "sip:one", "sip:last"]);
    assert_eq!(visited(&own, &[]), ["sip:own", "sip:last"]);
    assert_eq!(visited(&[], &[2]), ["sip:two"]);
    assert_eq!(visited(&[], &[]), ["sip:fallback"]);
    assert_eq!(visited(&[], &[7]), ["sip:fallback"], "a number that nobody knows brings nothing");
    assert_eq!(sets.unknown(&[1, 7, 2, 8]).collect::<Vec<_>>(), [7, 8]);
    let origins: Vec<_> =
        Criteria::compile(&own, &[1], &sets).unwrap().iter().map(|criterion| criterion.origin).collect();
    assert_eq!(origins, [Origin::Profile, Origin::Shared(1), Origin::Profile]);
}

#[test]
fn a_profile_that_asks_for_too_much_is_refused_with_where_and_why() {
    let many = |count: usize, triggers: usize| -> Vec<InitialFilterCriteria> {
        (0..count)
            .map(|priority| criterion(priority as u32, "sip:a", vec![spt(&[0], method("INVITE")); triggers]))
            .collect()
    };
    let deep = criterion(4, "sip:a", vec![spt(&[0], method("INVITE")), spt(&[0], header("(x"))]);
    let content = Condition::SipHeader { header: "To".into(), content: Some("a{999}".into()) };
    let line = Condition::SessionDescription { line: "[".into(), content: None };
    let groups: Vec<u32> = (0..33).collect();
    for (criteria, expected) in [
        (many(257, 0), "InitialFilterCriteria 257 (Priority 256): a profile may have 256 criteria"),
        (many(2, 513), "InitialFilterCriteria 2 (Priority 1): a profile may have 1024 triggers"),
        (
            vec![criterion(1, "sip:a", Vec::new()), deep],
            "InitialFilterCriteria 2 (Priority 4): SPT 2, Header: the parenthesis is not closed (at character 1)",
        ),
        (
            vec![criterion(1, "sip:a", vec![spt(&[0], content)])],
            "InitialFilterCriteria 1 (Priority 1): SPT 1, Content: the bounds of an interval must rise, and not \
             beyond 255 (at character 2)",
        ),
        (
            vec![criterion(1, "sip:a", vec![spt(&[0], line)])],
            "InitialFilterCriteria 1 (Priority 1): SPT 1, Line: the bracket is not closed (at character 1)",
        ),
        (
            vec![criterion(1, "sip:a", vec![spt(&groups, method("INVITE"))])],
            "InitialFilterCriteria 1 (Priority 1): a trigger may be in 32 groups",
        ),
    ] {
        let refusal = Criteria::compile(&criteria, &[], &SharedSets::default()).unwrap_err();
        assert_eq!(refusal.to_string(), expected);
    }
    assert!(Criteria::compile(&many(256, 4), &[], &SharedSets::default()).is_ok());
    let refusal = Criteria::compile(&[], &[1; 65], &SharedSets::default()).unwrap_err();
    assert_eq!(refusal.to_string(), "a profile may name 64 shared sets");
}
