//! Mishaps that a service of this kind is prone to, over HTTP.

use dream_http::gate::Guard;
use dream_testkit::fakes::image_api::operation;
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Client, Site};

on_every_backend!(an_id_that_means_another_path_reaches_nothing, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    for id in
        ["..%2f..%2fhealth", "%2e%2e%2f%2e%2e%2fhealth", "..%5c..%5chealth", "x%2f..%2f..%2fhealth", "%3fa=b"]
    {
        for place in ["/v1/jobs", "/v1/proxy/jobs"] {
            let path = format!("{place}/{id}");
            alice.get(&path).await.refused(404, "JOB_NOT_FOUND");
            alice.delete(&path).await.refused(404, "JOB_NOT_FOUND");
        }
    }
    assert!(site.world.image_api().requests().is_empty(), "the operator's key was used for it");
    site.close().await;
});

on_every_backend!(an_image_api_that_fails_is_told_as_such_and_never_as_our_defect, |backend| async move {
    let site = Site::open(&backend).await;
    let alice = site.user("alice").await;
    let faults = site.world.image_api().faults();
    faults.always(operation::SUBMIT, Fault::status(500, r#"{"error":"PROVIDER_ERROR","message":"x"}"#));
    // Asking for a generation does not wait for the image API, so its troubles are none of the caller's.
    let accepted = alice.post("/v1/jobs", &json!({"prompt": "a lighthouse"})).await.ok(202);
    faults.clear();
    site.world.work().await;
    let path = format!("/v1/jobs/{}", accepted["jobId"].as_str().unwrap());
    for (fault, status, code) in [
        (Fault::status(500, "{}"), 502, "UPSTREAM_ERROR"),
        (Fault::status(503, r#"{"error":"SERVICE_OVERLOAD","message":"x"}"#), 502, "UPSTREAM_ERROR"),
        (Fault::html(502), 502, "UPSTREAM_ERROR"),
    ] {
        faults.always("*", fault.clone());
        let answer = alice.delete(&path).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{fault:?}");
        faults.clear();
    }
    site.close().await;
});

on_every_backend!(
    lists_need_neither_page_nor_limit_and_what_is_unknown_is_said_to_be,
    |backend| async move {
        let site = Site::open(&backend).await;
        let alice = site.user("alice").await;
        for row in site.app.table().rows() {
            let list = row.method() == Method::GET.as_str()
                && !row.path().contains('{')
                && row.guard() == Guard::User;
            if list && row.path() != "/v1/favorites/check" {
                let answer = alice.get(row.path()).await;
                assert_eq!(answer.status, 200, "{}: {}", row.path(), answer.json);
            }
        }
        let answer = alice.get("/v1/jobs/cm000000000000000000000000").await;
        assert_eq!((answer.status, answer.json["statusCode"].as_u64()), (404, Some(404)));
        site.close().await;
    }
);

/// Ids that no client of good will sends.
const ODD_IDS: [&str; 9] = [
    "0",
    "-1",
    "2147483648",
    "9223372036854775808",
    "99999999999999999999999999",
    "%00",
    "a%00b",
    "%F0%9F%92%A9",
    "%ED%A0%80",
];

const ODD_QUERIES: [&str; 10] = [
    "limit=-1",
    "limit=0",
    "limit=2147483648",
    "page=0&limit=99999999999999999999",
    "page=2147483648",
    "cursor=%00",
    "cursor=AAAA",
    "status=NOPE&type=NOPE&kind=NOPE&sort=NOPE",
    "wait=99999999999999999999",
    "search=%00&tag=%00&category=%00",
];

fn odd_bodies() -> Vec<Value> {
    let texts = ["\u{0}", "a\u{0}b", "\u{202e}\u{feff}", &"字".repeat(5000), ""];
    let numbers = [json!(-1), json!(0), json!(2_147_483_648_u64), json!(u64::MAX), json!(1e300), json!(0.5)];
    let values: Vec<Value> =
        texts.iter().map(|text| json!(text)).chain(numbers).chain([json!([]), json!({})]).collect();
    let members = [
        "prompt",
        "mode",
        "resolution",
        "sampleCount",
        "templateId",
        "templateIds",
        "planId",
        "amount",
        "reason",
        "code",
        "nickName",
        "avatarUrl",
        "vipLevel",
        "days",
        "pointsBalance",
        "type",
        "resourceId",
        "name",
        "title",
        "jobId",
    ];
    let mut bodies: Vec<Value> = values
        .iter()
        .map(|value| {
            members
                .iter()
                .map(|member| ((*member).to_owned(), value.clone()))
                .collect::<serde_json::Map<_, _>>()
        })
        .map(Value::Object)
        .collect();
    bodies.extend([json!(null), json!([]), json!("x"), json!({})]);
    bodies
}

/// Every request leaves a trace, so that whoever reads a failure knows which one it was.
async fn never_a_500(client: &Client<'_>, method: &Method, path: &str, body: Option<&Value>) {
    let mut request = client.prepare(method.clone(), path);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = Answer::of(request.send().await.unwrap()).await;
    let shown: String = body.map(Value::to_string).unwrap_or_default().chars().take(200).collect();
    assert!(answer.status < 500, "{method} {path} {shown}: {} {}", answer.status, answer.json);
}

on_every_backend!(no_row_answers_odd_input_with_a_500, |backend| async move {
    let (site, _shop) = Site::with_shop(&backend).await;
    let bodies = odd_bodies();
    for (number, row) in site.app.table().rows().iter().enumerate() {
        // Readiness is 503 while something is down, and says so; it takes no input.
        if row.path() == "/health/ready" {
            continue;
        }
        // Some rows end the login or the account, so each has a user of its own.
        let client = match row.guard() {
            Guard::Admin | Guard::UserOrAdmin => site.admin(),
            Guard::Open | Guard::Signed => site.nobody(),
            Guard::User | Guard::OptionalUser => site.user(&format!("u{number}")).await,
        };
        let method = Method::from_bytes(row.method().as_str().as_bytes()).unwrap();
        let at = |id: &str| -> String {
            let words = row.path().split('/').map(|word| if word.starts_with('{') { id } else { word });
            words.collect::<Vec<_>>().join("/")
        };
        let ids: &[&str] = if row.path().contains('{') { &ODD_IDS } else { &["-"] };
        for id in ids {
            never_a_500(&client, &method, &at(id), row.is_write().then(|| json!({})).as_ref()).await;
        }
        for query in ODD_QUERIES {
            never_a_500(&client, &method, &format!("{}?{query}", at("7")), None).await;
        }
        if row.is_write() && method != Method::DELETE {
            for body in &bodies {
                never_a_500(&client, &method, &at("7"), Some(body)).await;
            }
        }
    }
    site.close().await;
});
