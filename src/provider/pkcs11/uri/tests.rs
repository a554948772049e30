use super::*;

const WHOLE: &str = "pkcs11:token=My%20token;serial=0a%3B1;manufacturer=Snake%20Oil,%20Inc.;model=v1;slot-id=7;\
    slot-description=first;slot-manufacturer=oil;library-manufacturer=M;library-description=D;\
    library-version=2.6;object=orders;id=%01%ff%00;type=secret-key\
    ?module-path=/usr/lib/m.so&pin-source=file:/etc/my%2520pin&x-vendor=1&x-vendor=2";

fn parse(uri: &str) -> Pkcs11Uri {
    Pkcs11Uri::parse(uri).unwrap()
}

fn attribute_error(uri: &str) -> (String, &'static str) {
    match Pkcs11Uri::parse(uri).unwrap_err() {
        UriError::Attribute { name, reason } => (name, reason),
        other => panic!("{uri}: {other}"),
    }
}

#[test]
fn every_attribute() {
    let uri = parse(WHOLE);
    assert_eq!(
        uri.token_selector(),
        TokenSelector {
            label: Some("My token".to_owned()),
            serial: Some("0a;1".to_owned()),
            manufacturer: Some("Snake Oil, Inc.".to_owned()),
            model: Some("v1".to_owned()),
            slot: Some(7),
            slot_description: Some("first".to_owned()),
            slot_manufacturer: Some("oil".to_owned()),
        }
    );
    assert_eq!(
        uri.library_selector(),
        LibrarySelector {
            manufacturer: Some("M".to_owned()),
            description: Some("D".to_owned()),
            version: Some("2.6".to_owned()),
        }
    );
    assert_eq!(uri.object(), Some("orders"));
    assert_eq!(uri.id(), Some(&[1, 0xff, 0][..]));
    assert_eq!(uri.object_type(), Some("secret-key"));
    assert_eq!(uri.module().unwrap(), Some("/usr/lib/m.so".into()));
    let pin = uri.pin().unwrap().unwrap();
    assert_eq!(format!("{pin:?}"), "file(/etc/my pin)");
}

#[test]
fn nothing_need_be_said() {
    for uri in ["pkcs11:", "PKCS11:", "pkcs11:?", " pkcs11: "] {
        let uri = parse(uri);
        assert_eq!(uri.token_selector(), TokenSelector::default());
        assert_eq!(uri.module().unwrap(), None);
        assert!(uri.pin().unwrap().is_none());
    }
}

#[test]
fn what_is_no_such_uri() {
    for uri in ["", "pkcs11", "pkcs12:token=a", "token=a", "é"] {
        assert_eq!(Pkcs11Uri::parse(uri).unwrap_err(), UriError::Scheme);
    }
    let no_attribute = |part| UriError::NoAttribute { part };
    for (uri, part) in [
        ("pkcs11:1234", 1),
        ("pkcs11:token=a;1234", 2),
        ("pkcs11:token=a?1234", 2),
        ("pkcs11:=a", 1),
        ("pkcs11:to%20ken=a", 1),
    ] {
        assert_eq!(Pkcs11Uri::parse(uri).unwrap_err(), no_attribute(part));
    }
}

#[test]
fn errors_name_the_attribute_and_show_no_value() {
    for (uri, name, reason) in [
        ("pkcs11:token=a;token=b", "token", "twice"),
        ("pkcs11:x-rack=b", "x-rack", "not known"),
        ("pkcs11:pin-value=99", "pin-value", "not known"),
        ("pkcs11:token=a b", "token", "percent-encoded"),
        ("pkcs11:token=a/b", "token", "percent-encoded"),
        ("pkcs11:token=a#b", "token", "percent-encoded"),
        ("pkcs11:token=%4", "token", "two hexadecimal digits"),
        ("pkcs11:token=%zz", "token", "two hexadecimal digits"),
        ("pkcs11:token=%ff", "token", "UTF-8"),
        ("pkcs11:token=a%00", "token", "zero byte"),
        ("pkcs11:slot-id=x", "slot-id", "decimal"),
        ("pkcs11:slot-id=-1", "slot-id", "decimal"),
        ("pkcs11:?pin-value=99&pin-source=/a", "pin-value", "one of"),
        (
            "pkcs11:?module-path=/a&module-name=b",
            "module-name",
            "one of",
        ),
        ("pkcs11:?pin-value=99&pin-value=98", "pin-value", "twice"),
    ] {
        let (named, said) = attribute_error(uri);
        assert_eq!(named, name, "{uri}");
        assert!(said.contains(reason), "{uri}: {said}");
        assert!(!said.contains("99"), "{uri}: {said}");
    }
}

#[test]
fn sources_of_a_pin() {
    for (source, path) in [
        ("/etc/pin", "file(/etc/pin)"),
        ("file:/etc/pin", "file(/etc/pin)"),
        ("file:///etc/pin", "file(/etc/pin)"),
        ("file://localhost/etc/pin", "file(/etc/pin)"),
        ("/etc/a%20pin", "file(/etc/a pin)"),
    ] {
        let pin = parse(&format!("pkcs11:?pin-source={source}")).pin();
        assert_eq!(format!("{:?}", pin.unwrap().unwrap()), path);
    }
    for source in ["|/bin/echo", "pin", "file:pin", "https://host/pin", ""] {
        let error = parse(&format!("pkcs11:?pin-source={source}"))
            .pin()
            .unwrap_err();
        assert!(error.to_string().contains("pin-source"), "{error}");
    }
    let pin = parse("pkcs11:?pin-value=12%3434").pin().unwrap().unwrap();
    assert_eq!(format!("{pin:?}"), "value");
    assert!(parse("pkcs11:?pin-value=").pin().is_err());
}

#[test]
fn a_pin_is_not_shown() {
    let shown = format!("{:#?}", parse("pkcs11:token=a?pin-value=hunter2"));
    assert!(
        shown.contains("redacted") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn names_of_modules_are_not_paths() {
    for name in ["", "..%2Fevil", "/tmp/evil"] {
        let error = parse(&format!("pkcs11:?module-name={name}"))
            .module()
            .unwrap_err();
        assert!(error.to_string().contains("module-name"), "{error}");
    }
    let error = parse("pkcs11:?module-name=no-such-module")
        .module()
        .unwrap_err();
    assert!(matches!(error, Pkcs11Error::NoModuleOfName { .. }));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".*") {
        let _ = Pkcs11Uri::parse(&text);
        let _ = Pkcs11Uri::parse(&format!("pkcs11:{text}"));
    }

    #[test]
    fn any_id_is_read_as_it_was_encoded(id in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
        let encoded: String = id.iter().map(|byte| format!("%{byte:02x}")).collect();
        let uri = parse(&format!("pkcs11:id={encoded}"));
        proptest::prop_assert_eq!(uri.id(), Some(&id[..]));
    }
}
