//! From the model to the document, in the order of Annex E.

use super::{
    ApplicationServer, Condition, ConditionForm, DefaultHandling, IdentityType, ImsSubscription,
    InitialFilterCriteria, ProfilePart, PublicIdentity, ServicePointTrigger, ServiceProfile, TriggerPoint,
};
use quick_xml::escape::escape;
use std::fmt::Display;

/// Writes User-Data.
pub fn write(subscription: &ImsSubscription) -> String {
    let mut document = Document(String::with_capacity(2048));
    document.0.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    document.element("IMSSubscription", |d| {
        d.text("PrivateID", &subscription.private_id);
        for profile in &subscription.service_profiles {
            d.service_profile(profile);
        }
        if subscription.imsi.is_some() {
            d.element("Extension", |d| d.text_if("IMSI", subscription.imsi.as_deref()));
        }
    });
    document.0
}

struct Document(String);

impl Document {
    fn element(&mut self, name: &str, inside: impl FnOnce(&mut Document)) {
        self.0.extend(["<", name, ">"]);
        inside(self);
        self.0.extend(["</", name, ">"]);
    }

    fn text(&mut self, name: &str, text: &str) {
        // A carriage return that stood for itself would be read back as a line feed (XML 1.0 §2.11).
        self.element(name, |d| d.0.push_str(&escape(text).replace('\r', "&#13;")));
    }

    fn text_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn value(&mut self, name: &str, value: impl Display) {
        self.text(name, &value.to_string());
    }

    fn value_if(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    fn empty_if(&mut self, name: &str, is_present: bool) {
        if is_present {
            self.0.extend(["<", name, "/>"]);
        }
    }

    fn service_profile(&mut self, profile: &ServiceProfile) {
        self.element("ServiceProfile", |d| {
            for identity in &profile.public_identities {
                d.public_identity(identity);
            }
            if let Some(services) = &profile.core_network_services {
                d.element("CoreNetworkServicesAuthorization", |d| {
                    d.value_if("SubscribedMediaProfileId", services.subscribed_media_profile_id);
                    if !services.service_ids.is_empty() {
                        d.element("Extension", |d| {
                            d.element("ListOfServiceIds", |d| {
                                services.service_ids.iter().for_each(|id| d.text("ServiceId", id));
                            });
                        });
                    }
                });
            }
            for criteria in &profile.filter_criteria {
                d.filter_criteria(criteria);
            }
            if !profile.shared_ifc_set_ids.is_empty() {
                d.element("Extension", |d| {
                    profile.shared_ifc_set_ids.iter().for_each(|id| d.value("SharedIFCSetID", id));
                });
            }
        });
    }

    /// Each release of the schema put its elements one Extension deeper; an outer one is written for an inner one.
    fn public_identity(&mut self, identity: &PublicIdentity) {
        let has_fifth = identity.max_simultaneous_registrations.is_some();
        let has_third =
            has_fifth || identity.wildcarded_impu.is_some() || identity.service_priority_level.is_some();
        let has_second = has_third || identity.display_name.is_some() || identity.alias_group.is_some();
        let has_first = has_second
            || identity.wildcarded_psi.is_some()
            || identity.identity_type != IdentityType::DistinctImpu;
        self.element("PublicIdentity", |d| {
            d.value("BarringIndication", u8::from(identity.is_barred));
            d.text("Identity", &identity.identity);
            d.extension_if(has_first, |d| {
                d.value("IdentityType", identity.identity_type as u8);
                d.text_if("WildcardedPSI", identity.wildcarded_psi.as_deref());
                d.extension_if(has_second, |d| {
                    d.text_if("DisplayName", identity.display_name.as_deref());
                    d.text_if("AliasIdentityGroupID", identity.alias_group.as_deref());
                    d.extension_if(has_third, |d| {
                        d.text_if("WildcardedIMPU", identity.wildcarded_impu.as_deref());
                        d.value_if("ServicePriorityLevel", identity.service_priority_level);
                        d.extension_if(has_fifth, |d| {
                            d.extension_if(has_fifth, |d| {
                                d.value_if(
                                    "MaxNumOfAllowedSimultRegistrations",
                                    identity.max_simultaneous_registrations,
                                );
                            });
                        });
                    });
                });
            });
        });
    }

    fn extension_if(&mut self, is_present: bool, inside: impl FnOnce(&mut Document)) {
        if is_present {
            self.element("Extension", inside);
        }
    }

    fn filter_criteria(&mut self, criteria: &InitialFilterCriteria) {
        self.element("InitialFilterCriteria", |d| {
            d.value("Priority", criteria.priority);
            if let Some(trigger_point) = &criteria.trigger_point {
                d.trigger_point(trigger_point);
            }
            d.application_server(&criteria.application_server);
            d.value_if(
                "ProfilePartIndicator",
                criteria.profile_part.map(|part| u8::from(part == ProfilePart::Unregistered)),
            );
        });
    }

    fn trigger_point(&mut self, trigger_point: &TriggerPoint) {
        self.element("TriggerPoint", |d| {
            d.value("ConditionTypeCNF", u8::from(trigger_point.form == ConditionForm::Conjunctive));
            for trigger in &trigger_point.triggers {
                d.service_point_trigger(trigger);
            }
        });
    }

    fn service_point_trigger(&mut self, trigger: &ServicePointTrigger) {
        self.element("SPT", |d| {
            d.value("ConditionNegated", u8::from(trigger.is_negated));
            trigger.groups.iter().for_each(|group| d.value("Group", group));
            match &trigger.condition {
                Condition::RequestUri(expression) => d.text("RequestURI", expression),
                Condition::Method(method) => d.text("Method", method),
                Condition::SipHeader { header, content } => d.element("SIPHeader", |d| {
                    d.text("Header", header);
                    d.text_if("Content", content.as_deref());
                }),
                Condition::SessionCase(case) => d.value("SessionCase", *case as u8),
                Condition::SessionDescription { line, content } => d.element("SessionDescription", |d| {
                    d.text("Line", line);
                    d.text_if("Content", content.as_deref());
                }),
            }
            d.extension_if(!trigger.registration_types.is_empty(), |d| {
                trigger.registration_types.iter().for_each(|kind| d.value("RegistrationType", *kind as u8));
            });
        });
    }

    fn application_server(&mut self, server: &ApplicationServer) {
        self.element("ApplicationServer", |d| {
            d.text("ServerName", &server.server_name);
            d.value(
                "DefaultHandling",
                u8::from(server.default_handling == DefaultHandling::SessionTerminated),
            );
            d.text_if("ServiceInfo", server.service_info.as_deref());
            d.extension_if(server.includes_register_request || server.includes_register_response, |d| {
                d.empty_if("IncludeRegisterRequest", server.includes_register_request);
                d.empty_if("IncludeRegisterResponse", server.includes_register_response);
            });
        });
    }
}
