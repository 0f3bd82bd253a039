use super::*;

/// The example of RFC 7638 section 3.1.
const RFC_7638: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

/// The examples of RFC 8037 appendix A.
const RFC_8037: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    for (jwk, id, thumbprint) in [
        (RFC_7638, "2011-04-29", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (
            RFC_8037,
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ] {
        let keys = KeySet::read(jwk.as_bytes(), None).unwrap();
        let named = keys.get(id).unwrap();
        assert_eq!(named.key.thumbprint(), thumbprint);
        let again = named.key.to_jwk(&named.id).to_string();
        assert!(KeySet::read(again.as_bytes(), None).unwrap() == keys, "{again}");
    }
}

#[test]
fn the_token_of_rfc_8037_is_verified_and_a_changed_one_is_not() {
    let keys = KeySet::read(RFC_8037.as_bytes(), None).unwrap();
    let key = &keys.iter().next().unwrap().key;
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = decode(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    )
    .unwrap();
    assert!(key.verifies(message, &signature));
    assert!(!key.verifies(&message[1..], &signature));
    assert!(!key.verifies(message, &signature[1..]));
}

#[test]
fn keys_that_cannot_be_used_are_ignored_or_refused() {
    let ignored = r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#;
    let set = format!(r#"{{"keys":[{ignored},{RFC_8037}]}}"#);
    assert_eq!(KeySet::read(set.as_bytes(), None).unwrap().iter().count(), 1);
    let twice = format!(r#"{{"keys":[{RFC_8037},{RFC_8037}]}}"#);
    let private = RFC_8037.replace("\"x\"", "\"d\":\"hunter2\",\"x\"");
    let symmetric = r#"{"kty":"oct","k":"hunter2"}"#;
    let small = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
    for refused in [ignored, &twice, &private, symmetric, small, "{", "{}", "[]", "", "hunter2"] {
        let error = KeySet::read(refused.as_bytes(), None).err().expect(refused);
        assert_eq!(error.kind().name(), "pem_invalid");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    assert!(KeySet::read(set.as_bytes(), Some("named")).unwrap().get("named").is_some());
}
