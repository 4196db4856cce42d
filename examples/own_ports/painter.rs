//! An image API that paints in this process.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use dream_core::ports::{Failure, FailureKind, ImageApi, ImageRequest, JobState, Tenant, UpstreamJob};
use image::{ImageFormat, Rgb, RgbImage};

const SERVICE: &str = "painter";

/// Paints one colour for each prompt.
#[derive(Debug, Default)]
pub(crate) struct Painter {
    /// By idempotency key: the promise that matters most is that one key is one job.
    jobs: Mutex<HashMap<String, UpstreamJob>>,
}

impl Painter {
    fn jobs(&self) -> MutexGuard<'_, HashMap<String, UpstreamJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ImageApi for Painter {
    async fn submit(
        &self,
        _: &Tenant,
        idempotency_key: &str,
        request: &ImageRequest,
    ) -> Result<UpstreamJob, Failure> {
        let mut jobs = self.jobs();
        let number = jobs.len() + 1;
        let make = || UpstreamJob {
            id: number.to_string(),
            state: JobState::Succeeded,
            result_urls: vec![format!("https://painter.example/{}.png", request.prompt.len())],
            error: None,
        };
        Ok(jobs.entry(idempotency_key.to_owned()).or_insert_with(make).clone())
    }

    async fn job(&self, _: &Tenant, id: &str) -> Result<Option<UpstreamJob>, Failure> {
        Ok(self.jobs().values().find(|job| job.id == id).cloned())
    }

    async fn recent(&self, _: &Tenant) -> Result<Vec<UpstreamJob>, Failure> {
        Ok(self.jobs().values().take(100).cloned().collect())
    }

    async fn cancel(&self, _: &Tenant, id: &str) -> Result<(), Failure> {
        let code =
            if self.jobs().values().any(|job| job.id == id) { "INVALID_STATE" } else { "JOB_NOT_FOUND" };
        Err(Failure::new(SERVICE, FailureKind::Refused, "it was painted at once").with_code(code))
    }

    async fn download(&self, url: &str, max_bytes: u64) -> Result<(Bytes, String), Failure> {
        let colour = u8::try_from(url.len() % 256).unwrap_or_default();
        let mut png = Cursor::new(Vec::new());
        RgbImage::from_pixel(64, 64, Rgb([colour, 96, 160]))
            .write_to(&mut png, ImageFormat::Png)
            .map_err(|error| Failure::new(SERVICE, FailureKind::Refused, error.to_string()))?;
        let png = Bytes::from(png.into_inner());
        if png.len() as u64 > max_bytes {
            return Err(Failure::new(SERVICE, FailureKind::Refused, "the picture is too large"));
        }
        Ok((png, "image/png".to_owned()))
    }
}
