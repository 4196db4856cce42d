use dream_core::ports::JobState;
use dream_core::protocol::webhook::{JobEvent, SIGNATURE_HEADER, WebhookFault, WebhookVerifier};
use secrecy::SecretString;

use crate::{cases, text, vectors};

fn verifier() -> WebhookVerifier {
    WebhookVerifier::new(&SecretString::from("webhook secret")).unwrap()
}

fn open(body: &str) -> Result<JobEvent, WebhookFault> {
    verifier().open(Some(verifier().sign(body.as_bytes()).as_bytes()), body.as_bytes())
}

#[test]
fn every_vector_is_accepted_or_refused_as_it_says() {
    let file = vectors!("image-webhook");
    let verifier = WebhookVerifier::new(&SecretString::from(text(&file, "secret"))).unwrap();
    for (id, case) in cases(&file, "cases") {
        let header = case["headers"][SIGNATURE_HEADER].as_str().map(str::as_bytes);
        let found = verifier.open(header, text(case, "body").as_bytes());
        let expect = &case["expect"];
        if expect["accept"].as_bool().unwrap() {
            let event = found.unwrap();
            assert_eq!(event.job.id, text(&expect["job"], "jobId"), "{id}");
            assert_eq!(event.job.state.as_str(), text(&expect["job"], "status"), "{id}");
            let code = event.job.error.map(|error| error.code);
            assert_eq!(code.as_deref(), expect["job"]["errorCode"].as_str(), "{id}");
        } else {
            assert_eq!(found, Err(WebhookFault::Signature), "{id}");
        }
    }
}

#[test]
fn the_error_may_be_a_text_and_lists_may_be_missing() {
    let event = |error: &str| {
        open(&format!(
            r#"{{"eventId":"e","jobId":"j","status":"FAILED","error":{error},"timestamp":1737893785000}}"#
        ))
        .unwrap()
        .job
    };
    let error = |text: &str| event(text).error.map(|error| (error.code, error.message));
    let pair = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
    assert_eq!(event("null").state, JobState::Failed);
    assert_eq!(error("null"), None);
    assert_eq!(error(r#""TIMEOUT""#), pair("TIMEOUT", "TIMEOUT"));
    assert_eq!(error(r#""it broke""#), pair("UNKNOWN_ERROR", "it broke"));
    assert_eq!(error(r#"{"code":"TIMEOUT"}"#), pair("TIMEOUT", ""));
    assert_eq!(error(r#"{"message":"m"}"#), pair("UNKNOWN_ERROR", "m"));
}

#[test]
fn a_signed_body_that_is_no_event_is_refused() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"eventId":"","jobId":"j","status":"FAILED","timestamp":1}"#,
        r#"{"eventId":"e","jobId":"j","status":"cancelled","timestamp":1}"#,
        r#"{"eventId":"e","jobId":7,"status":"FAILED","timestamp":1}"#,
    ] {
        assert_eq!(open(body), Err(WebhookFault::Body), "{body}");
    }
}

#[test]
fn an_empty_secret_is_refused() {
    assert!(WebhookVerifier::new(&SecretString::from("")).is_err());
}
