//! The knobs of the fake R2 over HTTP: beside the common ones `GET objects`, what there is.

use serde::Serialize;

use super::Inner;
use crate::fakes::control::{self, show, unknown};
use crate::fakes::lock;
use crate::fakes::server::{FakeRequest, FakeResponse};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    key: String,
    size: usize,
    content_type: String,
    modified: String,
}

pub(super) fn answer(fake: &Inner, request: &FakeRequest) -> FakeResponse {
    if let Some(answer) = control::answer(request, &fake.log, &fake.faults) {
        return answer;
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_control/objects") => {
            let objects = lock(&fake.objects);
            let shown = objects.iter().map(|(key, object)| Shown {
                key: key.clone(),
                size: object.bytes.len(),
                content_type: object.content_type().to_owned(),
                modified: object.modified.to_string(),
            });
            show(&shown.collect::<Vec<_>>())
        }
        _ => unknown("no such knob"),
    }
}
