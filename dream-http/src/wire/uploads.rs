//! Uploads.

use dream_core::uploads::Upload;
use serde::Serialize;
use utoipa::ToSchema;

use super::time::At;

/// A picture that was uploaded, as it is kept.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::uploads::UploadedImage;
///
/// # let me = world.alice().await.session().await;
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
/// # let bytes = bytes::Bytes::from(png.into_inner());
/// let upload = me.upload_picture(bytes, "me.png").await?;
/// let json = serde_json::to_value(UploadedImage::from(upload))?;
/// assert_eq!((&json["originalname"], &json["mimetype"]), (&"me.png".into(), &"image/png".into()));
/// assert_ne!(json["filename"], "me.png", "it is kept under a name of ours");
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// use dream_core::kernel::Timestamp;
/// use dream_core::media::PictureKind;
/// use dream_core::uploads::Upload;
/// use dream_http::wire::uploads::KeptUpload;
///
/// # let key = "0198c0ffee007000800000000000000a.jpg";
/// let upload = Upload {
///     key: key.parse().unwrap(),
///     url: format!("https://img.example/{key}"),
///     original_name: "me.jpg".to_owned(),
///     kind: PictureKind::Jpeg,
///     size: 48_213,
///     created_at: Timestamp::from_secs(1_769_600_000),
/// };
/// let json = serde_json::to_value(KeptUpload::from(upload)).unwrap();
/// assert_eq!((&json["filename"], &json["createdAt"]), (&key.into(), &"2026-01-28T11:33:20.000Z".into()));
/// ```
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
