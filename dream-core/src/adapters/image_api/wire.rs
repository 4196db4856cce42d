//! The JSON of the image API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answers::no_sense;
use super::is_job_id;
use crate::ports::{Failure, ImageRequest, JobError, JobState, UpstreamJob};
use crate::protocol::{ErrorWire, results};

/// What goes out. Absent options are left out, since not every model knows them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubmitWire<'a> {
    prompt: &'a str,
    mode: &'a str,
    sample_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    negative_prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aspect_ratio: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_image_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(flatten)]
    params: Map<String, Value>,
}

/// The fields above as [`plain`] writes them. Their names are closed to `params` also where they are left out: what
/// was charged for must be what is made.
const NAMED: &[&str] = &[
    "prompt",
    "mode",
    "samplecount",
    "negativeprompt",
    "resolution",
    "aspectratio",
    "inputimageurl",
    "inputimage",
    "model",
];

impl<'a> SubmitWire<'a> {
    pub(super) fn new(request: &'a ImageRequest) -> Self {
        let free = request.params.iter().filter(|(name, _)| !NAMED.contains(&plain(name).as_str()));
        Self {
            prompt: &request.prompt,
            mode: request.mode,
            sample_count: request.sample_count,
            negative_prompt: request.negative_prompt.as_deref(),
            resolution: request.resolution,
            aspect_ratio: request.aspect_ratio,
            input_image_url: request.input_image_url.as_deref(),
            input_image: request.input_image.as_deref(),
            model: request.model.as_deref(),
            params: free.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// The name without case and separators, so that `aspect_ratio` is found to be `aspectRatio`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The answer to a submission.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedWire {
    job_id: Option<String>,
    status: Option<String>,
}

impl CreatedWire {
    pub(super) fn into_job(self) -> Result<UpstreamJob, Failure> {
        let id =
            self.job_id.filter(|id| is_job_id(id)).ok_or_else(|| no_sense("accepted without a jobId"))?;
        // The state only informs here: a first look will tell.
        let state = self.status.as_deref().and_then(JobState::parse).unwrap_or(JobState::Queued);
        Ok(UpstreamJob { id, state, result_urls: Vec::new(), error: None })
    }
}

/// One job, in the words of the detail or of the list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobWire {
    #[serde(alias = "id")]
    job_id: String,
    status: String,
    #[serde(default, deserialize_with = "results")]
    result_urls: Vec<String>,
    error: Option<ErrorWire>,
    error_code: Option<String>,
    error_message: Option<String>,
}

impl JobWire {
    pub(super) fn into_job(self) -> Result<UpstreamJob, Failure> {
        let state = JobState::parse(&self.status)
            .ok_or_else(|| no_sense(format!("a job in the unknown state {:?}", self.status)))?;
        let told_apart = || {
            let is_there = self.error_code.is_some() || self.error_message.is_some();
            is_there.then(|| JobError {
                code: self.error_code.unwrap_or_else(|| "UNKNOWN_ERROR".to_owned()),
                message: self.error_message.unwrap_or_default(),
            })
        };
        Ok(UpstreamJob {
            id: self.job_id,
            state,
            result_urls: self.result_urls,
            error: self.error.map(JobError::from).or_else(told_apart),
        })
    }
}

/// A page of jobs. Each is read for itself, so that one in an unknown state does not hide the others.
#[derive(Deserialize)]
pub(super) struct ListWire {
    items: Vec<Value>,
}

impl ListWire {
    pub(super) fn into_jobs(self) -> Vec<UpstreamJob> {
        let jobs = self.items.into_iter().filter_map(|item| serde_json::from_value::<JobWire>(item).ok());
        jobs.filter_map(|job| job.into_job().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::SubmitWire;
    use crate::ports::ImageRequest;

    fn request(params: &serde_json::Value) -> ImageRequest {
        ImageRequest {
            prompt: "a cat".to_owned(),
            negative_prompt: None,
            mode: "draft",
            resolution: None,
            aspect_ratio: Some("1:1"),
            sample_count: 2,
            input_image_url: None,
            input_image: None,
            model: None,
            params: params.as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn absent_options_are_left_out() {
        let found = serde_json::to_value(SubmitWire::new(&request(&json!({})))).unwrap();
        let expected = json!({"prompt": "a cat", "mode": "draft", "sampleCount": 2, "aspectRatio": "1:1"});
        assert_eq!(found, expected);
    }

    #[test]
    fn params_replace_no_field_under_any_spelling() {
        let params = json!({
            "prompt": "x", "resolution": "4K", "aspect_ratio": "x", "SampleCount": 10, "input-image": "x",
            "seed": 7, "style": {"mode": "free"},
        });
        let found = serde_json::to_value(SubmitWire::new(&request(&params))).unwrap();
        let expected = json!({
            "prompt": "a cat", "mode": "draft", "sampleCount": 2, "aspectRatio": "1:1",
            "seed": 7, "style": {"mode": "free"},
        });
        assert_eq!(found, expected);
    }
}
