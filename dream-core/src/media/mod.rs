//! Pictures: recognised by what they are, checked before they are decoded, and written anew without metadata.
//!
//! What comes out of here holds pixels and how to show them, and nothing else of the file that came in: no place, no
//! name of a camera, no second file behind the first.

mod animation;
mod at_work;
mod decode;
mod foreign;
mod text;
mod whole;

use bytes::Bytes;
use image::ImageFormat;

use crate::error::{Code, Error, Facts, Result};

pub use at_work::work_in_place;
pub(crate) use text::{from_base64, from_data_url};

/// Largest file that is taken, in bytes.
pub const MAX_BYTES: usize = 10 * 1024 * 1024;
/// Most pixels that are decoded.
pub const MAX_PIXELS: u64 = 40_000_000;
/// Longest side of a thumbnail, in pixels.
pub const THUMBNAIL_SIDE: u32 = 512;
/// Most frames of an animation.
pub const MAX_FRAMES: usize = 300;
/// Most pixels of all frames of an animation together.
pub const MAX_ANIMATION_PIXELS: u64 = 100_000_000;

/// What a picture is.
///
/// ```
/// use dream_core::media::PictureKind;
///
/// assert_eq!(PictureKind::parse("image/webp"), Some(PictureKind::Webp));
/// assert_eq!((PictureKind::Jpeg.mime(), PictureKind::Jpeg.extension()), ("image/jpeg", "jpg"));
/// assert_eq!(PictureKind::parse("image/svg+xml"), None, "it can hold scripts");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureKind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
}

impl PictureKind {
    /// Every kind.
    pub const ALL: [PictureKind; 4] =
        [PictureKind::Jpeg, PictureKind::Png, PictureKind::Gif, PictureKind::Webp];
    /// The MIME type of every kind.
    pub const NAMES: &'static [&'static str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

    /// Its MIME type.
    ///
    /// ```
    /// use dream_core::media::PictureKind;
    ///
    /// // For `Content-Type`.
    /// assert_eq!(PictureKind::ALL.map(PictureKind::mime), PictureKind::NAMES);
    /// ```
    pub const fn mime(self) -> &'static str {
        match self {
            PictureKind::Jpeg => "image/jpeg",
            PictureKind::Png => "image/png",
            PictureKind::Gif => "image/gif",
            PictureKind::Webp => "image/webp",
        }
    }

    /// The kind of this MIME type.
    ///
    /// ```
    /// use dream_core::media::PictureKind;
    ///
    /// // What a client says about its upload. What the bytes are is another question, for `recognise`.
    /// assert_eq!(PictureKind::parse("image/png"), Some(PictureKind::Png));
    /// assert_eq!(PictureKind::parse("application/pdf"), None);
    /// ```
    pub fn parse(mime: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.mime() == mime)
    }

    /// The ending of its name, without the dot.
    ///
    /// ```
    /// use dream_core::media::PictureKind;
    ///
    /// let name = |number: i64, kind: PictureKind| format!("{number}.{}", kind.extension());
    /// assert_eq!(name(4711, PictureKind::Jpeg), "4711.jpg");
    /// ```
    pub const fn extension(self) -> &'static str {
        match self {
            PictureKind::Jpeg => "jpg",
            PictureKind::Png => "png",
            PictureKind::Gif => "gif",
            PictureKind::Webp => "webp",
        }
    }

    fn of(format: ImageFormat) -> Option<Self> {
        match format {
            ImageFormat::Jpeg => Some(PictureKind::Jpeg),
            ImageFormat::Png => Some(PictureKind::Png),
            ImageFormat::Gif => Some(PictureKind::Gif),
            ImageFormat::WebP => Some(PictureKind::Webp),
            _ => None,
        }
    }

    const fn format(self) -> ImageFormat {
        match self {
            PictureKind::Jpeg => ImageFormat::Jpeg,
            PictureKind::Png => ImageFormat::Png,
            PictureKind::Gif => ImageFormat::Gif,
            PictureKind::Webp => ImageFormat::WebP,
        }
    }
}

/// A picture and what it is.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::media::{self, Picture, PictureKind};
///
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
/// # let bytes = bytes::Bytes::from(png.into_inner());
/// let Picture { kind, bytes } = media::recognise(bytes)?;
/// assert_eq!(kind, PictureKind::Png);
/// println!("{} bytes of {}", bytes.len(), kind.mime());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What it is.
    pub kind: PictureKind,
    /// The file.
    pub bytes: Bytes,
}

/// A picture that was written anew, and a small copy of it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::media::{self, PictureKind};
///
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(1024, 768).write_to(&mut png, image::ImageFormat::Png)?;
/// # let bytes = bytes::Bytes::from(png.into_inner());
/// let both = media::clean_with_thumbnail(bytes).await?;
/// assert_eq!((both.picture.kind, both.thumbnail.kind), (PictureKind::Png, PictureKind::Jpeg));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureWithThumbnail {
    /// The picture in its full size.
    pub picture: Picture,
    /// At most 512 pixels on its longer side.
    pub thumbnail: Picture,
}

/// Says what the bytes are, by their content, and that they are a whole picture within the limits and nothing else at
/// the same time. Decodes no pixels: its time and memory do not depend on what the header promises.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::Code;
/// use dream_core::media;
///
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
/// # let png = bytes::Bytes::from(png.into_inner());
/// assert_eq!(media::recognise(png.clone())?.kind.mime(), "image/png", "whatever its name says");
/// // A file that breaks off, and one that is a page as well.
/// assert_eq!(media::recognise(png.slice(..png.len() - 4)).unwrap_err().code(), Code::ImageInvalid);
/// assert_eq!(media::recognise("<svg onload=alert(1)>".into()).unwrap_err().code(), Code::ImageInvalid);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `IMAGE_INVALID`.
pub fn recognise(bytes: Bytes) -> Result<Picture> {
    let format = image::guess_format(&bytes).map_err(invalid)?;
    let kind = PictureKind::of(format).ok_or_else(|| invalid("not one of the formats that are taken"))?;
    decode::check_header(kind, &bytes)?;
    if kind == PictureKind::Gif {
        animation::check(&bytes)?;
    }
    if !whole::is_whole(kind, &bytes) {
        return Err(invalid("the file breaks off"));
    }
    match foreign::found_in(&bytes) {
        Some(what) => Err(invalid(format!("there is {what} in it"))),
        None => Ok(Picture { kind, bytes }),
    }
}

/// The picture written anew: turned upright and without metadata. A GIF keeps its frames; of other animations the
/// first picture is kept. WebP becomes JPEG, or PNG where it is see-through.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::Code;
/// use dream_core::media;
///
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
/// # let png = bytes::Bytes::from(png.into_inner());
/// // Pixels, and nothing of what a camera or an editor wrote beside them.
/// let picture = media::clean(png).await?;
/// assert_eq!(picture.kind.mime(), "image/png");
///
/// let large = media::clean(vec![0; media::MAX_BYTES + 1].into()).await.unwrap_err();
/// assert_eq!(large.code(), Code::PayloadTooLarge);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` beyond 10 MiB; `IMAGE_INVALID` for what is no picture or beyond a limit; `UNAVAILABLE` while
/// too many wait for their turn.
pub async fn clean(bytes: Bytes) -> Result<Picture> {
    work(bytes, |picture| anew(&picture, None)).await
}

/// As [`clean`], with a small copy beside it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::media::{self, THUMBNAIL_SIDE};
///
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(1024, 512).write_to(&mut png, image::ImageFormat::Png)?;
/// # let png = bytes::Bytes::from(png.into_inner());
/// let both = media::clean_with_thumbnail(png).await?;
/// let small = image::load_from_memory(&both.thumbnail.bytes)?;
/// assert_eq!((small.width(), small.height()), (THUMBNAIL_SIDE, 256), "pixels; its shape stays");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`clean`].
pub async fn clean_with_thumbnail(bytes: Bytes) -> Result<PictureWithThumbnail> {
    work(bytes, |picture| {
        let decoded = decode::decode(&picture)?;
        let anew = anew(&picture, Some(&decoded))?;
        Ok(PictureWithThumbnail { picture: anew, thumbnail: decoded.thumbnail()? })
    })
    .await
}

/// A small copy of the picture: at most 512 pixels on its longer side.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::media;
///
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(1024, 512).write_to(&mut png, image::ImageFormat::Png)?;
/// # let png = bytes::Bytes::from(png.into_inner());
/// let small = media::thumbnail(png).await?;
/// assert_eq!(small.kind, media::PictureKind::Jpeg);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`clean`].
pub async fn thumbnail(bytes: Bytes) -> Result<Picture> {
    work(bytes, |picture| decode::decode(&picture)?.thumbnail()).await
}

fn anew(picture: &Picture, decoded: Option<&decode::Decoded>) -> Result<Picture> {
    match (picture.kind, decoded) {
        (PictureKind::Gif, _) => animation::anew(&picture.bytes),
        (_, Some(decoded)) => decoded.full(),
        (_, None) => decode::decode(picture)?.full(),
    }
}

async fn work<T: Send + 'static>(
    bytes: Bytes,
    then: impl FnOnce(Picture) -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    at_work::run(move || then(recognise(bytes)?)).await
}

pub(crate) fn too_large() -> Error {
    Error::new(Code::PayloadTooLarge).with_facts(Facts::TooLarge { limit_bytes: MAX_BYTES as u64 })
}

pub(crate) fn invalid(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::ImageInvalid).with_source(source)
}
