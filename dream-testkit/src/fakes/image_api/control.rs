//! The knobs of the fake image API over HTTP.
//!
//! | | |
//! |---|---|
//! | `GET jobs`, `GET submissions`, `GET deliveries` | what there is, what came, what was sent |
//! | `POST jobs/{id}/status` `{status, code?}` | moves a job by hand |
//! | `POST jobs/{id}/webhook` | sends a notice about the job |
//! | `POST webhook-url` `{url}` | where notices go |
//! | `POST webhook-plan` `{plan, ms?, next?}` | how ends are told, or just the next one |

use std::sync::Arc;

use serde::Deserialize;

use super::webhook::{self, WebhookPlan};
use super::{Inner, JobError, JobView, Status, routes};
use crate::fakes::control::{done, show, unknown, with};
use crate::fakes::server::{FakeRequest, FakeResponse};
use crate::fakes::{control, lock};

#[derive(Deserialize)]
struct Move {
    status: Status,
    code: Option<String>,
}

#[derive(Deserialize)]
struct WebhookUrl {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Plan {
    #[serde(flatten)]
    plan: WebhookPlan,
    #[serde(default)]
    next: bool,
}

pub(super) async fn answer(fake: &Arc<Inner>, request: &FakeRequest) -> FakeResponse {
    if let Some(answer) = control::answer(request, &fake.log, &fake.faults) {
        return answer;
    }
    let (method, path) = request.route();
    match (method, path.get(1..).unwrap_or_default()) {
        ("GET", ["jobs"]) => {
            let state = lock(&fake.state);
            show(&state.jobs.iter().map(|job| fake.view(job)).collect::<Vec<JobView>>())
        }
        ("GET", ["submissions"]) => show(&lock(&fake.state).submissions),
        ("GET", ["deliveries"]) => show(&lock(&fake.state).deliveries),
        ("POST", ["jobs", id, "status"]) => with(request, |asked: Move| {
            let error = asked.code.as_deref().map(JobError::new);
            if routes::set_status(fake, id, asked.status, error) { done() } else { unknown("no such job") }
        }),
        ("POST", ["jobs", id, "webhook"]) => send(fake, id).await,
        ("POST", ["webhook-url"]) => with(request, |asked: WebhookUrl| {
            lock(&fake.state).webhook_url = asked.url;
            done()
        }),
        ("POST", ["webhook-plan"]) => with(request, |asked: Plan| {
            let mut state = lock(&fake.state);
            if asked.next {
                state.planned.push_back(asked.plan);
            } else {
                state.plan = asked.plan;
            }
            done()
        }),
        _ => unknown("no such knob"),
    }
}

async fn send(fake: &Arc<Inner>, id: &str) -> FakeResponse {
    let Some(job) = lock(&fake.state).job(id).cloned() else { return unknown("no such job") };
    let event = webhook::event(fake, &job, &job.at(fake.now()));
    webhook::send(fake, event, false).await;
    done()
}
