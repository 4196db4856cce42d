use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dream_core::kernel::Timestamp;
use dream_core::protocol::token::{AccessClaims, LEEWAY, TokenFault, TokenSigner};
use secrecy::SecretString;

use crate::{cases, now, text, vectors};

const SECRET: &str = "a secret that is made of 36 characters";
const NOW: Timestamp = Timestamp::from_secs(1_767_232_800);

fn signer() -> TokenSigner {
    TokenSigner::new(&SecretString::from(SECRET)).unwrap()
}

fn claims(exp: Timestamp) -> AccessClaims {
    AccessClaims { sub: "42".to_owned(), iat: NOW, exp, family: Some("f1".to_owned()) }
}

/// A token with this header and payload and a right signature.
fn forge(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const PAYLOAD: &str = r#"{"sub":"42","iat":1767232740,"exp":1767236400}"#;

#[test]
fn every_vector_is_accepted_or_refused_as_it_says() {
    let file = vectors!("jwt");
    let signer = TokenSigner::new(&SecretString::from(text(&file, "secret"))).unwrap();
    for (id, case) in cases(&file, "cases") {
        let found = signer.verify(text(case, "token"), now(&file, case));
        let expect = &case["expect"];
        if expect["accept"].as_bool().unwrap() {
            assert_eq!(found.as_ref().map(|claims| claims.sub.as_str()), Ok(text(expect, "sub")), "{id}");
        } else {
            let fault = if expect["reason"] == "expired" { TokenFault::Expired } else { TokenFault::Invalid };
            assert_eq!(found, Err(fault), "{id}");
        }
    }
}

#[test]
fn what_is_signed_is_read_back() {
    let claims = claims(NOW.plus(Duration::from_mins(1)));
    let token = signer().sign(&claims).unwrap();
    assert_eq!(signer().verify(&token, NOW), Ok(claims));
}

#[test]
fn a_token_ends_with_its_time_and_a_small_leeway() {
    let exp = NOW.plus(Duration::from_mins(1));
    let token = signer().sign(&claims(exp)).unwrap();
    let last = exp.plus(LEEWAY).minus(Duration::from_secs(1));
    assert!(signer().verify(&token, last).is_ok());
    assert_eq!(signer().verify(&token, exp.plus(LEEWAY)), Err(TokenFault::Expired));
}

#[test]
fn claims_of_another_type_are_refused() {
    for payload in [
        r#"{"sub":"","iat":1767232740,"exp":1767236400}"#,
        r#"{"sub":42,"iat":1767232740,"exp":1767236400}"#,
        r#"{"sub":null,"iat":1767232740,"exp":1767236400}"#,
        r#"{"sub":"42","iat":"1767232740","exp":1767236400}"#,
        r#"{"sub":"42","iat":1767232740,"exp":null}"#,
        r#"{"sub":"42","iat":1767232740,"exp":true}"#,
        r#"{"sub":"42","iat":1767232740,"exp":1767236400,"exp":9767236400}"#,
        r#"{"sub":"42","iat":1767232740,"exp":1767236400,"nbf":"1767232770"}"#,
        r#"{"sub":"42","iat":1767232740,"exp":1767236400,"nbf":null}"#,
        r#"{"sub":"42","iat":1767232740,"exp":1767236400,"fam":7}"#,
        r#"["42",1767232740,1767236400]"#,
    ] {
        assert_eq!(signer().verify(&forge(HEADER, payload), NOW), Err(TokenFault::Invalid), "{payload}");
    }
}

#[test]
fn fractions_and_audiences_of_others_do_not_disturb() {
    for payload in [
        PAYLOAD,
        r#"{"sub":"42","iat":1767232740.5,"exp":1767236400.25,"nbf":1767232799.5}"#,
        r#"{"sub":"42","iat":1767232740,"exp":1767236400,"aud":"x","iss":["y"],"jti":"z"}"#,
        r#"{"sub":"42","iat":1767232740,"exp":18446744073709551615}"#,
    ] {
        assert!(signer().verify(&forge(HEADER, payload), NOW).is_ok(), "{payload}");
    }
}

#[test]
fn a_critical_extension_refuses_the_token() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", "true"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_eq!(signer().verify(&forge(&header, PAYLOAD), NOW), Err(TokenFault::Invalid), "{crit}");
    }
}

#[test]
fn only_strict_base64url_is_read() {
    let token = forge(HEADER, PAYLOAD);
    assert!(signer().verify(&token, NOW).is_ok());
    for spoiled in [
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        token.replacen('.', "=.", 1),
        token.replace('-', "+").replace('_', "/") + "+",
        // The last character of a signature has two spare bits.
        spare_bits_set(&token),
    ] {
        assert_eq!(signer().verify(&spoiled, NOW), Err(TokenFault::Invalid), "{spoiled}");
    }
}

fn spare_bits_set(token: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let value = LETTERS.iter().position(|&letter| letter == last.as_bytes()[0]).unwrap();
    format!("{rest}{}", char::from(LETTERS[value | 1]))
}

#[test]
fn a_short_secret_is_refused() {
    assert!(TokenSigner::new(&SecretString::from("x".repeat(31))).is_err());
    assert!(TokenSigner::new(&SecretString::from("x".repeat(32))).is_ok());
}

#[test]
fn the_secret_is_not_shown() {
    assert_eq!(format!("{:?}", signer()), "TokenSigner");
}
