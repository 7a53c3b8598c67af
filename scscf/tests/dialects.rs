//! Profiles as the HSSs that are in use write them, each down to the servers that a request visits.
#![allow(clippy::unwrap_used, reason = "a profile that is not read fails its test")]

use cscf::user_data::{RegistrationType, SessionCase, parse};
use scscf::criteria::lint::{Severity, lint};
use scscf::criteria::{Criteria, Facts, SharedSets};
use sip_core::{Limits, Message};

/// In the manner of PyHSS: a template with comments and white space, empty Extension elements, criteria not sorted.
const PYHSS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- a template -->
<IMSSubscription>
    <PrivateID>001010000000001@ims.example</PrivateID>
    <ServiceProfile>
        <PublicIdentity>
            <Identity>sip:+49301000001@ims.example</Identity>
            <Extension>
                <IdentityType>0</IdentityType>
                <Extension><AliasIdentityGroupID>1</AliasIdentityGroupID></Extension>
            </Extension>
        </PublicIdentity>
        <PublicIdentity>
            <Identity>tel:+49301000001</Identity>
            <Extension><IdentityType>0</IdentityType></Extension>
        </PublicIdentity>
        <!-- calls -->
        <InitialFilterCriteria>
            <Priority>30</Priority>
            <TriggerPoint>
                <ConditionTypeCNF>1</ConditionTypeCNF>
                <SPT>
                    <ConditionNegated>0</ConditionNegated>
                    <Group>0</Group>
                    <Method>INVITE</Method>
                    <Extension></Extension>
                </SPT>
                <SPT>
                    <ConditionNegated>0</ConditionNegated>
                    <Group>1</Group>
                    <SessionCase>0</SessionCase>
                    <Extension></Extension>
                </SPT>
            </TriggerPoint>
            <ApplicationServer>
                <ServerName>sip:calls.ims.example:5060</ServerName>
                <DefaultHandling>0</DefaultHandling>
            </ApplicationServer>
        </InitialFilterCriteria>
        <!-- texts that no gateway sent -->
        <InitialFilterCriteria>
            <Priority>20</Priority>
            <TriggerPoint>
                <ConditionTypeCNF>1</ConditionTypeCNF>
                <SPT>
                    <ConditionNegated>0</ConditionNegated>
                    <Group>0</Group>
                    <Method>MESSAGE</Method>
                    <Extension></Extension>
                </SPT>
                <SPT>
                    <ConditionNegated>1</ConditionNegated>
                    <Group>1</Group>
                    <SIPHeader>
                        <Header>Server</Header>
                    </SIPHeader>
                </SPT>
            </TriggerPoint>
            <ApplicationServer>
                <ServerName>sip:texts.ims.example:5060</ServerName>
                <DefaultHandling>0</DefaultHandling>
            </ApplicationServer>
        </InitialFilterCriteria>
        <InitialFilterCriteria>
            <Priority>10</Priority>
            <TriggerPoint>
                <ConditionTypeCNF>0</ConditionTypeCNF>
                <SPT>
                    <ConditionNegated>0</ConditionNegated>
                    <Group>0</Group>
                    <Method>REGISTER</Method>
                    <Extension></Extension>
                </SPT>
            </TriggerPoint>
            <ApplicationServer>
                <ServerName>sip:texts.ims.example:5060</ServerName>
                <DefaultHandling>0</DefaultHandling>
                <Extension>
                    <IncludeRegisterRequest/>
                    <IncludeRegisterResponse/>
                </Extension>
            </ApplicationServer>
        </InitialFilterCriteria>
    </ServiceProfile>
</IMSSubscription>
"#;

/// In the manner of Open5GS: one line, groups from 1, a terminating zero.
const OPEN5GS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><IMSSubscription><PrivateID>001010000000001@ims.example\
    </PrivateID><ServiceProfile><PublicIdentity><BarringIndication>0</BarringIndication><Identity>sip:001010000000001@\
    ims.example</Identity><Extension><IdentityType>0</IdentityType></Extension></PublicIdentity><PublicIdentity>\
    <BarringIndication>0</BarringIndication><Identity>tel:+49301000001</Identity><Extension><IdentityType>0\
    </IdentityType><Extension><DisplayName>49301000001</DisplayName></Extension></Extension></PublicIdentity>\
    <InitialFilterCriteria><Priority>2</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF><SPT>\
    <ConditionNegated>0</ConditionNegated><Group>1</Group><Method>MESSAGE</Method><Extension></Extension></SPT><SPT>\
    <ConditionNegated>1</ConditionNegated><Group>2</Group><SIPHeader><Header>Server</Header></SIPHeader></SPT>\
    </TriggerPoint><ApplicationServer><ServerName>sip:texts.ims.example:7060;transport=tcp</ServerName>\
    <DefaultHandling>0</DefaultHandling></ApplicationServer></InitialFilterCriteria></ServiceProfile></IMSSubscription>\0";

/// In the manner of FHoSS: numbers for what is optional, Extension in Extension, the part of the profile always named.
const FHOSS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><IMSSubscription><PrivateID>alice@ims.example</PrivateID>\
    <ServiceProfile><PublicIdentity><BarringIndication>0</BarringIndication><Identity>sip:alice@ims.example</Identity>\
    <Extension><IdentityType>0</IdentityType><Extension></Extension></Extension></PublicIdentity>\
    <InitialFilterCriteria><Priority>0</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF>\
    <SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>PUBLISH</Method><Extension></Extension></SPT>\
    <SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>SUBSCRIBE</Method><Extension></Extension></SPT>\
    <SPT><ConditionNegated>0</ConditionNegated><Group>1</Group><SIPHeader><Header>Event</Header><Content>.*presence.*\
    </Content></SIPHeader><Extension></Extension></SPT></TriggerPoint><ApplicationServer>\
    <ServerName>sip:presence.ims.example:5065</ServerName><DefaultHandling>0</DefaultHandling></ApplicationServer>\
    <ProfilePartIndicator>0</ProfilePartIndicator></InitialFilterCriteria></ServiceProfile></IMSSubscription>";

/// By the schema that Kamailio checks against (releases 6 and 7): attributes of the schema, kinds of registration in an
/// Extension, a Service Information, shared sets, several SPTs in several groups.
const SCHEMA: &str = r#"<?xml version="1.0"?>
<IMSSubscription xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="CxDataType_Rel7.xsd">
<PrivateID>alice@ims.example</PrivateID>
<ServiceProfile>
<PublicIdentity><BarringIndication>false</BarringIndication><Identity>sip:alice@ims.example</Identity></PublicIdentity>
<CoreNetworkServicesAuthorization><SubscribedMediaProfileId>1</SubscribedMediaProfileId></CoreNetworkServicesAuthorization>
<InitialFilterCriteria><Priority>1</Priority>
<TriggerPoint><ConditionTypeCNF>false</ConditionTypeCNF>
<SPT><ConditionNegated>false</ConditionNegated><Group>0</Group><Group>1</Group><SessionCase>0</SessionCase></SPT>
<SPT><ConditionNegated>false</ConditionNegated><Group>0</Group><Method>INVITE</Method></SPT>
<SPT><ConditionNegated>false</ConditionNegated><Group>0</Group>
<SessionDescription><Line>m</Line><Content>^video </Content></SessionDescription></SPT>
<SPT><ConditionNegated>true</ConditionNegated><Group>1</Group><Method>INVITE</Method></SPT>
<SPT><ConditionNegated>false</ConditionNegated><Group>1</Group><RequestURI>^conference[0-9]*\.</RequestURI></SPT>
</TriggerPoint>
<ApplicationServer><ServerName>sip:media.ims.example</ServerName><DefaultHandling>SESSION</DefaultHandling></ApplicationServer>
</InitialFilterCriteria>
<InitialFilterCriteria><Priority>2</Priority>
<TriggerPoint><ConditionTypeCNF>false</ConditionTypeCNF>
<SPT><Group>0</Group><Method>REGISTER</Method>
<Extension><RegistrationType>0</RegistrationType><RegistrationType>2</RegistrationType></Extension></SPT>
</TriggerPoint>
<ApplicationServer><ServerName>sip:presence.ims.example</ServerName><ServiceInfo>&lt;a/&gt;</ServiceInfo></ApplicationServer>
</InitialFilterCriteria>
<Extension><SharedIFCSetID>0</SharedIFCSetID></Extension>
</ServiceProfile>
</IMSSubscription>"#;

const VIDEO: &str =
    "Content-Type: application/sdp\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 0\r\nm=video 2 RTP/AVP 31\r\n";

/// The servers that a request of alice visits.
fn visited(profile: &str, method: &str, uri: &str, more: &str) -> Vec<String> {
    let subscription = parse(profile.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let services = &subscription.service_profiles[0];
    let criteria =
        Criteria::compile(&services.filter_criteria, &services.shared_ifc_set_ids, &SharedSets::default());
    let criteria = criteria.unwrap_or_else(|refusal| panic!("{refusal}"));
    let more = if more.is_empty() { "\r\n" } else { more };
    let text = format!("{method} {uri} SIP/2.0\r\nTo: <{uri}>\r\nCSeq: 1 {method}\r\n{more}");
    let message = Message::parse(text.into_bytes(), &Limits::default()).unwrap();
    let facts = Facts {
        message: &message,
        case: SessionCase::OriginatingRegistered,
        is_registered: true,
        registration: (method == "REGISTER").then_some(RegistrationType::Initial),
    };
    let mut after = None;
    std::iter::from_fn(|| {
        let criterion = criteria.next(after, &facts)?;
        after = Some(criterion.place);
        Some(criterion.application_server.server_name.clone())
    })
    .collect()
}

#[test]
fn each_dialect_leads_to_its_servers() {
    let bob = "sip:bob@ims.example";
    let schema = SCHEMA.replace("SESSION<", "0<");
    for (profile, method, uri, more, expected) in [
        (PYHSS, "INVITE", bob, "", &["sip:calls.ims.example:5060"][..]),
        (PYHSS, "MESSAGE", bob, "", &["sip:texts.ims.example:5060"]),
        (PYHSS, "MESSAGE", bob, "Server: gateway\r\n\r\n", &[]),
        (PYHSS, "REGISTER", bob, "", &["sip:texts.ims.example:5060"]),
        (PYHSS, "OPTIONS", bob, "", &[]),
        (OPEN5GS, "MESSAGE", bob, "", &["sip:texts.ims.example:7060;transport=tcp"]),
        (OPEN5GS, "INVITE", bob, "", &[]),
        (FHOSS, "SUBSCRIBE", bob, "Event: presence.winfo\r\n\r\n", &["sip:presence.ims.example:5065"]),
        (FHOSS, "PUBLISH", bob, "o: presence\r\n\r\n", &["sip:presence.ims.example:5065"]),
        (FHOSS, "SUBSCRIBE", bob, "Event: reg\r\n\r\n", &[]),
        (&schema, "INVITE", bob, VIDEO, &["sip:media.ims.example"]),
        (&schema, "INVITE", bob, "", &[]),
        (&schema, "SUBSCRIBE", "sip:conference1.ims.example", "", &["sip:media.ims.example"]),
        (&schema, "REGISTER", "sip:ims.example", "", &["sip:presence.ims.example"]),
    ] {
        assert_eq!(visited(profile, method, uri, more), expected, "{method} {uri} {more}");
    }
    assert!(parse(SCHEMA.as_bytes()).is_err(), "a default handling is a number");
}

#[test]
fn nothing_is_wrong_with_them() {
    for profile in [PYHSS, OPEN5GS, FHOSS, &SCHEMA.replace("SESSION<", "0<")] {
        let subscription = parse(profile.as_bytes()).unwrap();
        let findings = lint(&subscription.service_profiles[0]);
        let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}
