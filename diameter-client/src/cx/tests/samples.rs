//! One full message of each command, for tests: every AVP that the type can carry is in it.

use crate::cx::*;
use crate::dictionary::VENDOR_3GPP;
use crate::wire::RawAvp;

pub(crate) const HEADER: Header = Header {
    flags: FLAG_REQUEST | FLAG_PROXIABLE,
    command: 0,
    application: APPLICATION_CX,
    hop_by_hop: 0x0102_0304,
    end_to_end: 0x0506_0708,
};

pub(crate) fn envelope() -> Envelope {
    Envelope {
        session_id: "scscf.ims.example;1700000000;42;trace".into(),
        origin_host: "scscf.ims.example".into(),
        origin_realm: "ims.example".into(),
        destination_host: Some("hss.ims.example".into()),
        destination_realm: Some("ims.example".into()),
        route_records: vec!["dra.ims.example".into()],
        proxy_infos: vec![proxy_info()],
    }
}

/// Proxy-Info with Proxy-Host and Proxy-State.
fn proxy_info() -> RawAvp {
    let mut inside = Writer::fragment();
    inside.text(&avp::PROXY_HOST, "dra.ims.example");
    inside.octets(&avp::PROXY_STATE, b"state");
    RawAvp { code: 284, vendor: 0, flags: 0x40, data: inside.into_avps() }
}

fn features() -> Vec<SupportedFeatures> {
    vec![SupportedFeatures::cx(SIFC | ALIAS_IND | IMS_RESTORATION_IND)]
}

fn alice() -> String {
    "alice@ims.example".into()
}

fn sip_alice() -> String {
    "sip:alice@ims.example".into()
}

fn scscf() -> String {
    "sip:scscf.ims.example:6060".into()
}

fn capabilities() -> ServerCapabilities {
    ServerCapabilities { mandatory: vec![1, 2], optional: vec![3], server_names: vec![scscf()] }
}

fn charging() -> ChargingInformation {
    let uri = |name: &str| Some(format!("aaa://{name}.ims.example:3868"));
    ChargingInformation {
        primary_ecf: uri("ecf-1"),
        secondary_ecf: uri("ecf-2"),
        primary_ccf: uri("ccf-1"),
        secondary_ccf: uri("ccf-2"),
    }
}

pub(crate) fn vector() -> AuthDataItem {
    AuthDataItem {
        item_number: Some(1),
        scheme: Some(AuthScheme::DigestAkaV1Md5),
        authenticate: Some(vec![0x11; 32]),
        authorization: Some(vec![0x22; 8]),
        ck: Some(vec![0x33; 16]),
        ik: Some(vec![0x44; 16]),
        ..AuthDataItem::default()
    }
}

fn digest() -> AuthDataItem {
    AuthDataItem {
        item_number: Some(2),
        scheme: Some(AuthScheme::SipDigest),
        context: Some(b"context".to_vec()),
        digest: Some(DigestAuthenticate {
            realm: "ims.example".into(),
            qop: Some("auth".into()),
            algorithm: Some("MD5".into()),
            ha1: "939e7578ed9e3c518a452acee763bce9".into(),
        }),
        framed_ip_address: Some(vec![192, 0, 2, 1]),
        framed_ipv6_prefix: Some([vec![0, 64], vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0]].concat()),
        framed_interface_id: Some(vec![1; 8]),
        line_identifiers: vec![b"line-1".to_vec()],
        ..AuthDataItem::default()
    }
}

fn restoration() -> ScscfRestorationInfo {
    let subscription = SubscriptionInfo {
        call_id: b"call-1".to_vec(),
        from: b"<sip:alice@ims.example>;tag=1".to_vec(),
        to: b"<sip:alice@ims.example>;tag=2".to_vec(),
        record_route: b"<sip:pcscf.ims.example;lr>".to_vec(),
        contact: b"<sip:192.0.2.1:5060>".to_vec(),
    };
    ScscfRestorationInfo {
        user_name: alice(),
        registrations: vec![RestorationInfo {
            path: b"<sip:pcscf.ims.example;lr>".to_vec(),
            contact: b"<sip:alice@192.0.2.1>".to_vec(),
            initial_cseq: Some(1),
            call_id: Some(b"call-0".to_vec()),
            subscription: Some(subscription.clone()),
            pcscf_subscription: Some(subscription),
        }],
        registration_time_out: Some(0xe8f0_0000),
        scheme: Some(AuthScheme::DigestAkaV1Md5),
    }
}

pub(crate) fn requests() -> Vec<CxRequest> {
    let (supported_features, unknown) = (features(), vec![stranger()]);
    vec![
        CxRequest::Uar(Uar {
            user_name: alice(),
            public_identity: sip_alice(),
            visited_network: b"ims.example".to_vec(),
            authorization_type: UserAuthorizationType::RegistrationAndCapabilities,
            uar_flags: Some(UAR_EMERGENCY),
            supported_features: supported_features.clone(),
            unknown: unknown.clone(),
        }),
        CxRequest::Sar(Sar {
            server_name: scscf(),
            assignment_type: ServerAssignmentType::Registration,
            user_data_already_available: UserDataAlreadyAvailable::NotAvailable,
            user_name: Some(alice()),
            public_identities: vec![sip_alice()],
            wildcarded_public_identity: Some("sip:!.*!@ims.example".into()),
            restoration_info: Some(restoration()),
            is_multiple_registration: Some(true),
            session_priority: Some(4),
            sar_flags: Some(1),
            supported_features: supported_features.clone(),
            unknown: unknown.clone(),
        }),
        CxRequest::Lir(Lir {
            public_identity: sip_alice(),
            is_originating: true,
            authorization_type: Some(UserAuthorizationType::RegistrationAndCapabilities),
            session_priority: Some(0),
            supported_features: supported_features.clone(),
            unknown: unknown.clone(),
        }),
        CxRequest::Mar(Mar {
            user_name: alice(),
            public_identity: sip_alice(),
            auth_data_item: AuthDataItem {
                scheme: Some(AuthScheme::Unknown),
                authorization: Some(vec![0x55; 30]),
                ..AuthDataItem::default()
            },
            number_auth_items: 1,
            server_name: scscf(),
            supported_features: supported_features.clone(),
            unknown: unknown.clone(),
        }),
        CxRequest::Rtr(Rtr {
            user_name: alice(),
            reason: DeregistrationReason { code: ReasonCode::ServerChange, info: Some("maintenance".into()) },
            public_identities: vec![sip_alice(), "tel:+15550001".into()],
            associated_identities: vec![alice(), "alice-2@ims.example".into()],
            rtr_flags: Some(1),
            supported_features: supported_features.clone(),
            unknown: unknown.clone(),
        }),
        CxRequest::Ppr(Ppr {
            user_name: alice(),
            user_data: Some(b"<IMSSubscription/>".to_vec()),
            charging_information: Some(charging()),
            auth_data_item: Some(digest()),
            supported_features,
            unknown,
        }),
    ]
}

/// An AVP that nobody knows, and that may be ignored.
fn stranger() -> RawAvp {
    RawAvp { code: 3999, vendor: VENDOR_3GPP, flags: 0x80, data: vec![1, 2, 3] }
}

pub(crate) fn answers() -> Vec<CxAnswer> {
    let details =
        AnswerDetails { supported_features: features(), unknown: vec![stranger()], ..Default::default() };
    vec![
        CxAnswer::Uaa(Uaa {
            result: CxResult::FIRST_REGISTRATION,
            server_name: Some(scscf()),
            server_capabilities: Some(capabilities()),
            details: details.clone(),
        }),
        CxAnswer::Saa(Saa {
            result: CxResult::SUCCESS,
            user_name: Some(alice()),
            user_data: Some(b"<IMSSubscription/>".to_vec()),
            charging_information: Some(charging()),
            associated_identities: vec![alice(), "alice-2@ims.example".into()],
            is_loose_route_required: Some(false),
            restoration_infos: vec![restoration()],
            associated_registered_identities: vec![alice()],
            server_name: Some(scscf()),
            wildcarded_public_identity: Some("sip:!.*!@ims.example".into()),
            is_privileged_sender: Some(true),
            details: details.clone(),
        }),
        CxAnswer::Lia(Lia {
            result: CxResult::UNREGISTERED_SERVICE,
            server_name: Some(scscf()),
            server_capabilities: Some(capabilities()),
            wildcarded_public_identity: Some("sip:!.*!@ims.example".into()),
            lia_flags: Some(1),
            details: details.clone(),
        }),
        CxAnswer::Maa(Maa {
            result: CxResult::SUCCESS,
            user_name: Some(alice()),
            public_identity: Some(sip_alice()),
            number_auth_items: Some(2),
            auth_data_items: vec![vector(), digest()],
            details: details.clone(),
        }),
        CxAnswer::Rta(Rta {
            result: CxResult::LIMITED_SUCCESS,
            associated_identities: vec![alice()],
            emergency_identities: vec![EmergencyIdentity {
                user_name: alice(),
                public_identity: sip_alice(),
            }],
            details: details.clone(),
        }),
        CxAnswer::Ppa(Ppa {
            result: CxResult::AVP_UNSUPPORTED,
            details: AnswerDetails {
                failed_avps: vec![stranger()],
                error_message: Some("AVP 3999 is mandatory and not understood".into()),
                redirect_hosts: vec!["aaa://hss.ims.example".into()],
                ..details
            },
        }),
    ]
}

/// Every message by name, as bytes.
pub(crate) fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let envelope = envelope();
    let mut all = Vec::new();
    for (request, answer) in requests().iter().zip(answers()) {
        all.push((request.name(), request.encode(&envelope, HEADER.hop_by_hop, HEADER.end_to_end)));
        let header = Header { command: request.command(), ..HEADER };
        let back = envelope.answer("hss.ims.example", "ims.example");
        all.push((answer.name(), answer.encode(&header, &back)));
    }
    all
}
