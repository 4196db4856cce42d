//! Uploads.

use dream_core::uploads::Upload;
use serde::Serialize;
use utoipa::ToSchema;

use super::time::At;

/// A picture that was uploaded, as it is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadedImage {
    /// Where anybody can read it.
    url: String,
    /// Its name with us.
    #[schema(example = "0198c0ffee007000800000000000000a.jpg")]
    filename: String,
    /// The name that the client gave it.
    originalname: String,
    /// In bytes, as it is kept.
    size: i64,
    /// What it is, by its content.
    #[schema(value_type = String, example = "image/jpeg")]
    mimetype: &'static str,
}

impl From<Upload> for UploadedImage {
    fn from(upload: Upload) -> Self {
        Self {
            url: upload.url,
            filename: upload.key.to_string(),
            originalname: upload.original_name,
            size: upload.size,
            mimetype: upload.kind.mime(),
        }
    }
}

/// A picture that was uploaded at some time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptUpload {
    #[serde(flatten)]
    image: UploadedImage,
    created_at: At,
}

impl From<Upload> for KeptUpload {
    fn from(upload: Upload) -> Self {
        Self { created_at: upload.created_at.into(), image: upload.into() }
    }
}
