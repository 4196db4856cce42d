//! Every row of the table, tried with every wrong credential.

use dream_http::gate::Guard;
use dream_testkit::on_every_backend;
use dream_testkit::world::ADMIN_KEY;
use reqwest::Method;

use crate::site::{Answer, Site};

/// Rows that a bad token does not keep out, each with its reason. This list may only get shorter.
const EXCEPTIONS: &[&str] = &[];

/// A path of the row that leads to it.
pub(crate) fn a_path_of(pattern: &str) -> String {
    let parts: Vec<&str> =
        pattern.split('/').map(|part| if part.starts_with('{') { "1234567" } else { part }).collect();
    parts.join("/")
}

on_every_backend!(no_row_opens_to_a_wrong_credential, |backend| async move {
    let (site, _shop) = Site::with_shop(&backend).await;
    let alice = site.world.alice().await;
    let good = alice.tokens().access;
    let (head, rest) = good.split_once('.').unwrap();
    let forged = format!("{head}.{}A", &rest[..rest.len() - 1]);
    let bob = site.world.user("bob").await;
    let stale = bob.tokens().access;
    bob.session().await.logout().await.unwrap();

    for row in site.app.table().rows() {
        let path = a_path_of(row.path());
        let name = format!("{} {}", row.method(), row.path());
        let ask = |header: Option<(&'static str, String)>| {
            let method = Method::from_bytes(row.method().as_str().as_bytes()).unwrap();
            let mut request = site.request(method, &path);
            if row.is_write() {
                request = request.json(&serde_json::json!({}));
            }
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            async { Answer::of(request.send().await.unwrap()).await }
        };
        let bearer = |token: &str| Some(("authorization", format!("Bearer {token}")));
        let key = |key: &str| Some(("x-admin-key", key.to_owned()));
        let wrong_tokens = [bearer("nonsense"), bearer(&forged), bearer(&stale), bearer(ADMIN_KEY)];
        let wrong_keys = [key("nonsense"), key(""), key(&good)];
        let wrong: Vec<_> = match row.guard() {
            Guard::Open => continue,
            Guard::Signed => vec![None, bearer(&good), key(ADMIN_KEY)],
            Guard::OptionalUser => wrong_tokens.to_vec(),
            Guard::User => [None, key(ADMIN_KEY)].into_iter().chain(wrong_tokens).collect(),
            Guard::Admin => [None, bearer(&good)].into_iter().chain(wrong_keys).collect(),
            Guard::UserOrAdmin => [None].into_iter().chain(wrong_tokens).chain(wrong_keys).collect(),
        };
        for credential in wrong {
            let shown = format!("{name} with {credential:?}");
            let answer = ask(credential).await;
            if !EXCEPTIONS.contains(&name.as_str()) {
                assert_eq!(answer.status, 401, "{shown}: {}", answer.json);
            }
        }
    }
    site.close().await;
});

on_every_backend!(a_foreign_thing_answers_as_one_that_does_not_exist, |backend| async move {
    let site = Site::on(dream_testkit::world::TestDream::on(&backend)).await;
    let alice = site.world.alice().await;
    let job = alice.generates("a cat").await.job_id.to_string();
    let bob = site.user("bob").await;
    for path in [format!("/v1/jobs/{job}"), format!("/v1/proxy/jobs/{job}")] {
        let (foreign, unknown) = (bob.get(&path).await, bob.get(&path.replace(&job, "nothing")).await);
        foreign.refused(404, "JOB_NOT_FOUND");
        assert_eq!(foreign.json["message"], unknown.json["message"]);
        assert_eq!(crate::site::members(&foreign.json), crate::site::members(&unknown.json));
        bob.delete(&path).await.refused(404, "JOB_NOT_FOUND");
    }
    site.close().await;
});
