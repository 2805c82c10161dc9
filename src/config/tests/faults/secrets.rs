//! Faults of `[sign]`, and of whatever else may hold a secret: it is never repeated.

use super::super::Flags;
use super::*;

#[cfg(not(feature = "sigv4"))]
#[test]
fn signing_is_refused_by_a_build_without_it() {
    let expected =
        ["`sign.region` is not supported: this redrive was built without the feature `sigv4`"];
    check("[sign]\nregion = \"eu-west-1\"", "3:1", "region", &expected);
    let env = [
        ("REDRIVE_UPSTREAM", "https://api.test"),
        ("REDRIVE_SIGN__REGION", "eu-west-1"),
    ];

    let told = load("", &env, Flags::default()).unwrap_err().to_string();

    assert!(told.contains(expected[0]), "{told}");
}

#[cfg(feature = "sigv4")]
#[test]
fn what_is_no_region_or_service_is_refused() {
    for (key, place) in [("region", "3:10"), ("service", "3:11")] {
        for odd in ["eu west 1", "EU-WEST-1", "eu-west-1/x"] {
            let text = format!("[sign]\n{key} = {odd:?}");
            let expected = [&*format!("`sign.{key}` cannot be `{odd}`")];
            check(&text, place, &format!("{odd:?}"), &expected);
        }
    }
}

#[test]
fn a_secret_is_refused_in_a_file_and_not_repeated() {
    let error = load(
        "upstream = \"https://api.test\"\n[sign]\napi_key = \"hunter2\"",
        &[],
        with_file(),
    );

    let told = error.unwrap_err().to_string();
    assert!(told.contains("redrive.toml:3:11: `sign.api_key` is a secret"));
    assert!(told.contains("set REDRIVE_SIGN__API_KEY"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn what_is_no_api_key_is_refused_and_not_repeated() {
    let secret = "hunter2 and more";
    let env = [
        ("REDRIVE_UPSTREAM", "https://api.test"),
        ("REDRIVE_SIGN__API_KEY", secret),
    ];

    let told = load("", &env, Flags::default()).unwrap_err().to_string();

    assert!(told.contains("`sign.api_key` holds what may be a secret"));
    assert!(told.contains("byte 8 is no visible ASCII"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn there_is_one_api_key() {
    let env = [
        ("REDRIVE_UPSTREAM", "https://api.test"),
        ("REDRIVE_SIGN__API_KEY", "hunter2"),
        ("REDRIVE_SIGN__API_KEY_FILE", "/k"),
    ];

    let told = load("", &env, Flags::default()).unwrap_err().to_string();

    assert!(told.contains("`sign.api_key` are both set"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    let error = load(
        "upstream = \"https://me:hunter2@api.example\"",
        &[],
        with_file(),
    )
    .unwrap_err();

    let text = error.to_string();
    assert!(text.contains("without user and password"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn nor_is_a_key_in_a_query_or_in_the_place_of_its_file() {
    let pem = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
    for (variable, value) in [
        ("REDRIVE_UPSTREAM", "https://api.example/?key=hunter2"),
        ("REDRIVE_TLS__LISTEN__KEY", pem),
        ("REDRIVE_TLS__UPSTREAM__CLIENT_KEY", pem),
    ] {
        let env = [("REDRIVE_UPSTREAM", UPSTREAM), (variable, value)];

        let text = load("", &env, Flags::default()).unwrap_err().to_string();

        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("holds what may be a secret"), "{text}");
    }
}
