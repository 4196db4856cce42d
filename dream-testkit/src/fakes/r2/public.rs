//! The public address: reading without a key, no listing, errors as web pages.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::answers::Problem;
use super::{Inner, operation, reading};
use crate::fakes::lock;
use crate::fakes::server::{FakeRequest, FakeResponse};

pub(super) async fn answer(fake: Arc<Inner>, request: FakeRequest) -> FakeResponse {
    let work = async |_: Option<String>| read(&fake, &request).unwrap_or_else(Problem::into_html);
    let answer = fake.faults.around(&*fake.options.clock, operation::PUBLIC, work).await;
    answer.with_header("date", &reading::http_date(request.at))
}

fn read(fake: &Inner, request: &FakeRequest) -> Result<FakeResponse, Problem> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized", "only reading is public"));
    }
    let key = percent_decode_str(request.path.trim_start_matches('/')).decode_utf8_lossy();
    let object = lock(&fake.objects).get(key.as_ref()).cloned();
    reading::give(&object.ok_or_else(Problem::no_such_key)?, request)
}
