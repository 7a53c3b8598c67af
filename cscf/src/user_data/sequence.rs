//! The sequences of Annex E: which element stands where, and how often.

use super::UserDataError;
use super::element::Element;

/// How often an element may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occurs {
    Once,
    AtMostOnce,
    Any,
    AtLeastOnce,
}

use Occurs::{Any, AtLeastOnce, AtMostOnce, Once};

/// An element, its depth in Extension elements, and the children that may stand there, in order.
type Sequence = (&'static str, usize, &'static [(&'static str, Occurs)]);

/// An Extension that is not listed here may hold anything.
const SEQUENCES: &[Sequence] = &[
    (
        "IMSSubscription",
        0,
        &[("PrivateID", Once), ("ServiceProfile", AtLeastOnce), ("Extension", AtMostOnce)],
    ),
    ("IMSSubscription", 1, &[("IMSI", AtMostOnce), ("Extension", AtMostOnce)]),
    (
        "ServiceProfile",
        0,
        &[
            ("PublicIdentity", AtLeastOnce),
            ("CoreNetworkServicesAuthorization", AtMostOnce),
            ("InitialFilterCriteria", Any),
            ("Extension", AtMostOnce),
        ],
    ),
    ("ServiceProfile", 1, &[("SharedIFCSetID", Any), ("Extension", AtMostOnce)]),
    (
        "PublicIdentity",
        0,
        &[("BarringIndication", AtMostOnce), ("Identity", Once), ("Extension", AtMostOnce)],
    ),
    (
        "PublicIdentity",
        1,
        &[("IdentityType", AtMostOnce), ("WildcardedPSI", AtMostOnce), ("Extension", AtMostOnce)],
    ),
    (
        "PublicIdentity",
        2,
        &[("DisplayName", AtMostOnce), ("AliasIdentityGroupID", AtMostOnce), ("Extension", AtMostOnce)],
    ),
    (
        "PublicIdentity",
        3,
        &[
            ("WildcardedIMPU", AtMostOnce),
            ("ServiceLevelTraceInfo", AtMostOnce),
            ("ServicePriorityLevel", AtMostOnce),
            ("Extension", AtMostOnce),
        ],
    ),
    ("PublicIdentity", 4, &[("ExtendedPriority", Any), ("Extension", AtMostOnce)]),
    ("PublicIdentity", 5, &[("MaxNumOfAllowedSimultRegistrations", AtMostOnce), ("Extension", AtMostOnce)]),
    (
        "CoreNetworkServicesAuthorization",
        0,
        &[("SubscribedMediaProfileId", AtMostOnce), ("Extension", AtMostOnce)],
    ),
    ("CoreNetworkServicesAuthorization", 1, &[("ListOfServiceIds", AtMostOnce), ("Extension", AtMostOnce)]),
    ("ListOfServiceIds", 0, &[("ServiceId", Any), ("Extension", AtMostOnce)]),
    (
        "InitialFilterCriteria",
        0,
        &[
            ("Priority", Once),
            ("TriggerPoint", AtMostOnce),
            ("ApplicationServer", Once),
            ("ProfilePartIndicator", AtMostOnce),
            ("Extension", AtMostOnce),
        ],
    ),
    ("TriggerPoint", 0, &[("ConditionTypeCNF", Once), ("SPT", AtLeastOnce), ("Extension", AtMostOnce)]),
    (
        // The five conditions are a choice; the reader takes exactly one of them.
        "SPT",
        0,
        &[
            ("ConditionNegated", AtMostOnce),
            ("Group", AtLeastOnce),
            ("RequestURI", AtMostOnce),
            ("Method", AtMostOnce),
            ("SIPHeader", AtMostOnce),
            ("SessionCase", AtMostOnce),
            ("SessionDescription", AtMostOnce),
            ("Extension", AtMostOnce),
        ],
    ),
    ("SPT", 1, &[("RegistrationType", Any), ("Extension", AtMostOnce)]),
    ("SIPHeader", 0, &[("Header", Once), ("Content", AtMostOnce), ("Extension", AtMostOnce)]),
    ("SessionDescription", 0, &[("Line", Once), ("Content", AtMostOnce), ("Extension", AtMostOnce)]),
    (
        "ApplicationServer",
        0,
        &[
            ("ServerName", Once),
            ("DefaultHandling", AtMostOnce),
            ("ServiceInfo", AtMostOnce),
            ("Extension", AtMostOnce),
        ],
    ),
    (
        "ApplicationServer",
        1,
        &[
            ("IncludeRegisterRequest", AtMostOnce),
            ("IncludeRegisterResponse", AtMostOnce),
            ("Extension", AtMostOnce),
        ],
    ),
];

/// Checks the children of an element, and theirs, against the sequences.
pub fn check(element: &Element<'_>) -> Result<(), UserDataError> {
    check_level(element, &element.name, 0)
}

fn check_level(element: &Element<'_>, owner: &str, depth: usize) -> Result<(), UserDataError> {
    let listed = SEQUENCES.iter().find(|(name, at, _)| (*name, *at) == (owner, depth));
    if let Some((_, _, sequence)) = listed {
        check_order(element, sequence)?;
    }
    for child in &element.children {
        match &*child.name {
            "Extension" => check_level(child, owner, depth + 1)?,
            name => check_level(child, name, 0)?,
        }
    }
    Ok(())
}

fn check_order(element: &Element<'_>, sequence: &[(&str, Occurs)]) -> Result<(), UserDataError> {
    let mut children = element.children.iter().peekable();
    for (name, occurs) in sequence {
        let mut count = 0;
        while children.next_if(|child| child.name == *name).is_some() {
            count += 1;
        }
        let is_met = match occurs {
            Once => count == 1,
            AtMostOnce => count <= 1,
            Any => true,
            AtLeastOnce => count >= 1,
        };
        if !is_met {
            let wanted = match occurs {
                Once => "exactly once",
                AtMostOnce => "at most once",
                Any => "any number of times",
                AtLeastOnce => "at least once",
            };
            return Err(
                element.fault(format_args!("{name} must stand here {wanted}, and stands {count} times"))
            );
        }
    }
    match children.next() {
        Some(child) => Err(child.fault(format_args!("not at this place in {}", element.name))),
        None => Ok(()),
    }
}
