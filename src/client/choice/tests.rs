use super::*;
use crate::profile::Profile;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// A profile's rules.
fn rules(inside: &str) -> CertificateMatch {
    let text = format!(
        "<AnyConnectProfile xmlns=\"http://schemas.xmlsoap.org/encoding/\"><ClientInitialization><CertificateMatch>{inside}\
         </CertificateMatch></ClientInitialization><ServerList><HostEntry><HostName>a</HostName><HostAddress>a.example.com\
         </HostAddress></HostEntry></ServerList></AnyConnectProfile>"
    );
    let (profile, _) = Profile::parse(text.as_bytes()).unwrap();
    profile.client.certificate_match
}

fn certificate() -> Facts {
    let part = |name, value: &str| (name, value.to_owned());
    Facts {
        name: "Anna".into(),
        subject: vec![part("CN", "Anna"), part("OU", "Sales"), part("OU", "Vienna"), part("ST", "Wien")],
        issuer: vec![part("CN", "Acme Users CA"), part("O", "Acme")],
        key_usage: Some(0b101),
        extended_key_usage: Some(vec!["1.3.6.1.5.5.7.3.2".into(), "1.2.3.4".into()]),
        not_before: UnixTime::from_secs(NOW.as_secs() - 10),
        not_after: UnixTime::from_secs(NOW.as_secs() + 10),
    }
}

#[track_caller]
fn check(inside: &str, certificate: &Facts, wanted: Result<(), Misfit>) {
    assert_eq!(fits(certificate, &rules(inside), NOW), wanted, "{inside}");
}

#[test]
fn honours_certificate_key_usage() {
    let lacks = |name: &str| Err(Misfit::KeyUsage(name.into()));
    let keys = |names: &[&str]| {
        let keys: String = names.iter().map(|name| format!("<MatchKey>{name}</MatchKey>")).collect();
        format!("<KeyUsage>{keys}</KeyUsage>")
    };
    let anna = certificate();
    check(&keys(&["Digital_Signature"]), &anna, Ok(()));
    check(&keys(&["Digital_Signature", "Key_Encipherment"]), &anna, Ok(()));
    check(&keys(&["Digital_Signature", "Non_Repudiation"]), &anna, lacks("Non_Repudiation"));
    check(&keys(&["Decipher_Only"]), &anna, lacks("Decipher_Only"));
    check(&keys(&["Singing"]), &anna, Err(Misfit::Unknown("the key usage Singing".into())));
    let without = Facts { key_usage: None, ..anna };
    check("", &without, Ok(()));
    check(&keys(&["Digital_Signature"]), &without, lacks("at all"));
    check("<MatchOnlyCertsWithKU>true</MatchOnlyCertsWithKU>", &without, lacks("at all"));
    let lenient =
        "<MatchOnlyCertsWithKU>false</MatchOnlyCertsWithKU>".to_owned() + &keys(&["Digital_Signature"]);
    check(&lenient, &without, Ok(()));
}

#[test]
fn honours_certificate_extended_key_usage() {
    let lacks = |name: &str| Err(Misfit::ExtendedKeyUsage(name.into()));
    let named = |name: &str| {
        format!("<ExtendedKeyUsage><ExtendedMatchKey>{name}</ExtendedMatchKey></ExtendedKeyUsage>")
    };
    let custom = |oid: &str| {
        format!("<ExtendedKeyUsage><CustomExtendedMatchKey>{oid}</CustomExtendedMatchKey></ExtendedKeyUsage>")
    };
    let anna = certificate();
    check(&named("ClientAuth"), &anna, Ok(()));
    check(&named("ServerAuth"), &anna, lacks("ServerAuth"));
    check(&named("Flying"), &anna, Err(Misfit::Unknown("the extended key usage Flying".into())));
    check(&custom("1.2.3.4"), &anna, Ok(()));
    check(&custom("1.2.3.5"), &anna, lacks("1.2.3.5"));
    let any = Facts { extended_key_usage: Some(vec![ANY.into()]), ..anna.clone() };
    check(&named("IPSecUser"), &any, Ok(()));
    let without = Facts { extended_key_usage: None, ..anna };
    check("", &without, Ok(()));
    check(&named("ClientAuth"), &without, lacks("at all"));
    check("<MatchOnlyCertsWithEKU>true</MatchOnlyCertsWithEKU>", &without, lacks("at all"));
    let lenient = "<MatchOnlyCertsWithEKU>false</MatchOnlyCertsWithEKU>".to_owned() + &named("ClientAuth");
    check(&lenient, &without, Ok(()));
}

#[test]
fn honours_certificate_distinguished_name() {
    let rule = |attributes: &str, name: &str, pattern: &str| {
        format!(
            "<DistinguishedName><DistinguishedNameDefinition {attributes}><Name>{name}</Name><Pattern>{pattern}</Pattern>\
             </DistinguishedNameDefinition></DistinguishedName>"
        )
    };
    let wildcard = "Wildcard=\"Enabled\"";
    for (attributes, name, pattern, does) in [
        ("", "CN", "Anna", true),
        ("", "CN", "anna", false),
        ("MatchCase=\"Disabled\"", "CN", "anna", true),
        ("", "CN", "Ann", false),
        (wildcard, "CN", "nn", true),
        (wildcard, "CN", "NN", false),
        ("Wildcard=\"Enabled\" MatchCase=\"Disabled\"", "CN", "NN", true),
        ("", "OU", "Vienna", true),
        ("", "OU", "Graz", false),
        ("Operator=\"NotEqual\"", "OU", "Vienna", false),
        ("Operator=\"NotEqual\"", "OU", "Graz", true),
        ("", "SP", "Wien", true),
        ("", "ISSUER-O", "Acme", true),
        ("", "O", "Acme", false),
        ("Wildcard=\"Enabled\"", "ISSUER-CN", "Users", true),
        ("", "DC", "example", false),
    ] {
        let found = fits(&certificate(), &rules(&rule(attributes, name, pattern)), NOW);
        assert_eq!(found.is_ok(), does, "{attributes} {name} {pattern}: {found:?}");
    }
    let misfit = fits(&certificate(), &rules(&rule("", "OU", "Graz")), NOW).unwrap_err();
    assert_eq!(misfit.to_string(), "its names do not match OU = 'Graz'");
}

#[test]
fn the_first_that_does_is_chosen_and_each_of_the_others_has_its_reason() {
    let anna = certificate();
    let old = Facts { not_after: UnixTime::from_secs(NOW.as_secs() - 1), ..anna.clone() };
    let young = Facts { not_before: UnixTime::from_secs(NOW.as_secs() + 1), ..anna.clone() };
    let weak = Facts { key_usage: Some(0), ..anna.clone() };
    let rules = rules("<KeyUsage><MatchKey>Digital_Signature</MatchKey></KeyUsage>");
    let all = [old.clone(), young.clone(), weak.clone(), anna.clone(), anna];
    assert_eq!(choose(&all, &rules, NOW), Ok(3));
    let reasons = choose(&all[..3], &rules, NOW).unwrap_err();
    let lacks = Misfit::KeyUsage("Digital_Signature".into());
    assert_eq!(reasons, [Misfit::Expired, Misfit::NotYetValid, lacks]);
    assert_eq!(choose(&[], &rules, NOW), Err(Vec::new()));
}
