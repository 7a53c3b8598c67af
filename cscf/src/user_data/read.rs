//! From the document to the model.

use super::element::Element;
use super::{
    ApplicationServer, Condition, ConditionForm, CoreNetworkServices, DefaultHandling, IdentityType,
    ImsSubscription, InitialFilterCriteria, ProfilePart, PublicIdentity, RegistrationType,
    ServicePointTrigger, ServiceProfile, SessionCase, TriggerPoint, UserDataError, sequence,
};
use std::collections::BTreeSet;

/// Reads User-Data as HSSs send it, leniently: order, unknown elements and Extension nesting do not matter.
pub fn parse(xml: &[u8]) -> Result<ImsSubscription, UserDataError> {
    subscription(&Element::read(xml)?)
}

/// Reads User-Data and asks for everything that Annex E asks: order, counts, unique priorities, identities that are URIs.
pub fn validate(xml: &[u8]) -> Result<ImsSubscription, UserDataError> {
    let root = Element::read(xml)?;
    sequence::check(&root)?;
    for profile in root.all("ServiceProfile") {
        let mut priorities = BTreeSet::new();
        for criteria in profile.all("InitialFilterCriteria") {
            if !priorities.insert(number(child(criteria, "Priority")?)?) {
                return Err(criteria.fault("another one has the same Priority"));
            }
        }
        for identity in profile.all("PublicIdentity") {
            let identity = child(identity, "Identity")?;
            if !is_uri(&identity.text) {
                return Err(identity.fault("neither a SIP nor a tel URI"));
            }
        }
    }
    subscription(&root)
}

/// Reads filter criteria alone: those that stand directly in the root, whatever its name, or in the profiles of
/// User-Data. By priority, as in a profile.
pub fn criteria(xml: &[u8]) -> Result<Vec<InitialFilterCriteria>, UserDataError> {
    let root = Element::read(xml)?;
    let profiles = root.all("ServiceProfile");
    let written = profiles.chain([&root]).flat_map(|element| element.all("InitialFilterCriteria"));
    let mut criteria = written.map(filter_criteria).collect::<Result<Vec<_>, _>>()?;
    if criteria.is_empty() {
        return Err(root.fault("has no InitialFilterCriteria"));
    }
    criteria.sort_by_key(|criterion| criterion.priority);
    Ok(criteria)
}

fn subscription(root: &Element<'_>) -> Result<ImsSubscription, UserDataError> {
    if root.name != "IMSSubscription" {
        return Err(root.fault("the root must be IMSSubscription"));
    }
    let service_profiles = root.all("ServiceProfile").map(service_profile).collect::<Result<Vec<_>, _>>()?;
    if service_profiles.is_empty() {
        return Err(root.fault("has no ServiceProfile"));
    }
    Ok(ImsSubscription {
        private_id: child(root, "PrivateID")?.text.to_string(),
        service_profiles,
        imsi: text_if(root, "IMSI"),
    })
}

fn service_profile(element: &Element<'_>) -> Result<ServiceProfile, UserDataError> {
    let public_identities =
        element.all("PublicIdentity").map(public_identity).collect::<Result<Vec<_>, UserDataError>>()?;
    if public_identities.is_empty() {
        return Err(element.fault("has no PublicIdentity"));
    }
    let mut filter_criteria =
        element.all("InitialFilterCriteria").map(filter_criteria).collect::<Result<Vec<_>, _>>()?;
    filter_criteria.sort_by_key(|criteria| criteria.priority);
    Ok(ServiceProfile {
        public_identities,
        core_network_services: element
            .one("CoreNetworkServicesAuthorization")
            .map(core_network_services)
            .transpose()?,
        filter_criteria,
        shared_ifc_set_ids: element
            .all_extended("SharedIFCSetID")
            .into_iter()
            .map(number)
            .collect::<Result<_, _>>()?,
    })
}

fn public_identity(element: &Element<'_>) -> Result<PublicIdentity, UserDataError> {
    let identity = child(element, "Identity")?;
    if identity.text.is_empty() {
        return Err(identity.fault("is empty"));
    }
    let identity_type = match number_if(element, "IdentityType")? {
        None | Some(0) => IdentityType::DistinctImpu,
        Some(1) => IdentityType::DistinctPsi,
        Some(2) => IdentityType::WildcardedPsi,
        Some(3) => IdentityType::NonDistinctImpu,
        Some(4) => IdentityType::WildcardedImpu,
        Some(other) => return Err(element.fault(format_args!("IdentityType {other} is not defined"))),
    };
    Ok(PublicIdentity {
        identity: identity.text.to_string(),
        is_barred: flag_if(element, "BarringIndication")?,
        identity_type,
        wildcarded_psi: text_if(element, "WildcardedPSI"),
        wildcarded_impu: text_if(element, "WildcardedIMPU"),
        display_name: text_if(element, "DisplayName"),
        alias_group: text_if(element, "AliasIdentityGroupID"),
        service_priority_level: number_if(element, "ServicePriorityLevel")?,
        max_simultaneous_registrations: number_if(element, "MaxNumOfAllowedSimultRegistrations")?,
    })
}

fn core_network_services(element: &Element<'_>) -> Result<CoreNetworkServices, UserDataError> {
    let service_ids = element
        .all_extended("ListOfServiceIds")
        .into_iter()
        .flat_map(|list| list.all("ServiceId").map(|id| id.text.to_string()))
        .collect();
    Ok(CoreNetworkServices {
        subscribed_media_profile_id: number_if(element, "SubscribedMediaProfileId")?,
        service_ids,
    })
}

fn filter_criteria(element: &Element<'_>) -> Result<InitialFilterCriteria, UserDataError> {
    let profile_part = match number_if(element, "ProfilePartIndicator")? {
        None => None,
        Some(0) => Some(ProfilePart::Registered),
        Some(1) => Some(ProfilePart::Unregistered),
        Some(other) => return Err(element.fault(format_args!("ProfilePartIndicator {other} is not defined"))),
    };
    Ok(InitialFilterCriteria {
        priority: number(child(element, "Priority")?)?,
        trigger_point: element.one("TriggerPoint").map(trigger_point).transpose()?,
        application_server: application_server(child(element, "ApplicationServer")?)?,
        profile_part,
    })
}

fn trigger_point(element: &Element<'_>) -> Result<TriggerPoint, UserDataError> {
    let form = match flag(child(element, "ConditionTypeCNF")?)? {
        true => ConditionForm::Conjunctive,
        false => ConditionForm::Disjunctive,
    };
    let triggers = element.all("SPT").map(service_point_trigger).collect::<Result<Vec<_>, _>>()?;
    if triggers.is_empty() {
        return Err(element.fault("has no SPT"));
    }
    Ok(TriggerPoint { form, triggers })
}

fn service_point_trigger(element: &Element<'_>) -> Result<ServicePointTrigger, UserDataError> {
    let groups = element.all("Group").map(number).collect::<Result<Vec<_>, _>>()?;
    if groups.is_empty() {
        return Err(element.fault("is in no Group"));
    }
    let mut conditions = Vec::new();
    for child in &element.children {
        conditions.extend(condition(child)?);
    }
    let Ok([condition]) = <[Condition; 1]>::try_from(conditions) else {
        return Err(element.fault("must have exactly one condition"));
    };
    let registration_types = element
        .all_extended("RegistrationType")
        .into_iter()
        .map(|kind| match number(kind)? {
            0 => Ok(RegistrationType::Initial),
            1 => Ok(RegistrationType::ReRegistration),
            2 => Ok(RegistrationType::DeRegistration),
            other => Err(kind.fault(format_args!("{other} is not defined"))),
        })
        .collect::<Result<_, _>>()?;
    Ok(ServicePointTrigger {
        is_negated: flag_if(element, "ConditionNegated")?,
        groups,
        condition,
        registration_types,
    })
}

/// The condition that this child of an SPT is; `None` when it is something else.
fn condition(element: &Element<'_>) -> Result<Option<Condition>, UserDataError> {
    Ok(Some(match &*element.name {
        "RequestURI" => Condition::RequestUri(element.text.to_string()),
        "Method" => Condition::Method(element.text.to_string()),
        "SIPHeader" => Condition::SipHeader {
            header: child(element, "Header")?.text.to_string(),
            content: text_if(element, "Content"),
        },
        "SessionCase" => Condition::SessionCase(match number(element)? {
            0 => SessionCase::OriginatingRegistered,
            1 => SessionCase::TerminatingRegistered,
            2 => SessionCase::TerminatingUnregistered,
            3 => SessionCase::OriginatingUnregistered,
            4 => SessionCase::OriginatingCdiv,
            other => return Err(element.fault(format_args!("{other} is not defined"))),
        }),
        "SessionDescription" => Condition::SessionDescription {
            line: child(element, "Line")?.text.to_string(),
            content: text_if(element, "Content"),
        },
        _ => return Ok(None),
    }))
}

fn application_server(element: &Element<'_>) -> Result<ApplicationServer, UserDataError> {
    let server_name = child(element, "ServerName")?;
    if server_name.text.is_empty() {
        return Err(server_name.fault("is empty"));
    }
    let default_handling = match number_if(element, "DefaultHandling")? {
        None | Some(0) => DefaultHandling::SessionContinued,
        Some(1) => DefaultHandling::SessionTerminated,
        Some(other) => return Err(element.fault(format_args!("DefaultHandling {other} is not defined"))),
    };
    Ok(ApplicationServer {
        server_name: server_name.text.to_string(),
        default_handling,
        service_info: text_if(element, "ServiceInfo"),
        includes_register_request: element.one_extended("IncludeRegisterRequest").is_some(),
        includes_register_response: element.one_extended("IncludeRegisterResponse").is_some(),
    })
}

fn child<'a, 'x>(element: &'a Element<'x>, name: &str) -> Result<&'a Element<'x>, UserDataError> {
    element.one(name).ok_or_else(|| element.fault(format_args!("has no {name}")))
}

/// The text of an optional element; an empty one counts as absent.
fn text_if(element: &Element<'_>, name: &str) -> Option<String> {
    element.one_extended(name).map(|found| found.text.to_string()).filter(|text| !text.is_empty())
}

fn number(element: &Element<'_>) -> Result<u32, UserDataError> {
    element.text.parse().map_err(|_| element.fault("not a number from 0 to 4294967295"))
}

fn number_if(element: &Element<'_>, name: &str) -> Result<Option<u32>, UserDataError> {
    element.one_extended(name).filter(|found| !found.text.is_empty()).map(number).transpose()
}

fn flag(element: &Element<'_>) -> Result<bool, UserDataError> {
    match &*element.text {
        "0" | "false" => Ok(false),
        "1" | "true" => Ok(true),
        _ => Err(element.fault("neither 0 nor 1")),
    }
}

fn flag_if(element: &Element<'_>, name: &str) -> Result<bool, UserDataError> {
    element.one(name).filter(|found| !found.text.is_empty()).map_or(Ok(false), flag)
}

fn is_uri(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    let rest = text.get(scheme.len() + 1..).unwrap_or_default();
    ["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !rest.is_empty()
}
