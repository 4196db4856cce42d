//! Pictures: recognised by what they are, checked before they are decoded, and written anew without metadata.

use std::io::Cursor;
use std::sync::LazyLock;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;

use crate::error::{Code, Error, Facts, Result};

/// Largest file that is taken, in bytes.
pub const MAX_BYTES: usize = 10 * 1024 * 1024;
/// Most pixels that are decoded.
pub const MAX_PIXELS: u64 = 40_000_000;
/// Longest side of a thumbnail, in pixels.
pub const THUMBNAIL_SIDE: u32 = 512;

/// Decoding takes a core and a lot of memory, so only so many pictures are worked on at once.
static AT_WORK: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)));

/// What a picture is.
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
    /// Its MIME type.
    pub const fn mime(self) -> &'static str {
        match self {
            PictureKind::Jpeg => "image/jpeg",
            PictureKind::Png => "image/png",
            PictureKind::Gif => "image/gif",
            PictureKind::Webp => "image/webp",
        }
    }

    /// The ending of its name, without the dot.
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
}

/// A picture and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What it is.
    pub kind: PictureKind,
    /// The file.
    pub bytes: Bytes,
}

/// Says what the bytes are, by their content, and that they are a picture within the limits. Decodes no pixels.
///
/// # Errors
/// `IMAGE_INVALID`.
pub fn recognise(bytes: Bytes) -> Result<Picture> {
    let (kind, _) = open(&bytes)?;
    Ok(Picture { kind, bytes })
}

/// The picture written anew: turned upright, without metadata, its first frame if it has many.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` beyond 10 MiB; `IMAGE_INVALID` for what is no picture, or one beyond 40 megapixels.
pub async fn clean(bytes: Bytes) -> Result<Picture> {
    work(bytes, |picture, kind| encode(&picture, kind)).await
}

/// A small copy of the picture: at most 512 pixels on its longer side.
///
/// # Errors
/// As [`clean`].
pub async fn thumbnail(bytes: Bytes) -> Result<Picture> {
    work(bytes, |picture, kind| {
        let small = if picture.width().max(picture.height()) > THUMBNAIL_SIDE {
            picture.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        } else {
            picture
        };
        encode(&small, kind)
    })
    .await
}

async fn work(
    bytes: Bytes,
    then: impl FnOnce(DynamicImage, PictureKind) -> Result<Picture> + Send + 'static,
) -> Result<Picture> {
    if bytes.len() > MAX_BYTES {
        return Err(
            Error::new(Code::PayloadTooLarge).with_facts(Facts::TooLarge { limit_bytes: MAX_BYTES as u64 })
        );
    }
    let _place = AT_WORK.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || {
        let (kind, picture) = decode(&bytes)?;
        then(picture, kind)
    })
    .await
    .map_err(Error::internal)?
}

fn invalid(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::ImageInvalid).with_source(source)
}

/// The decoder behind the header, if what the header promises is within the limits.
fn open(bytes: &Bytes) -> Result<(PictureKind, Box<dyn ImageDecoder + '_>)> {
    let format = image::guess_format(bytes).map_err(invalid)?;
    let kind = PictureKind::of(format).ok_or_else(|| invalid("not one of the formats that are taken"))?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes.as_ref()), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(512 * 1024 * 1024);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(invalid)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(invalid(format!("{width} × {height} pixels")));
    }
    Ok((kind, Box::new(decoder)))
}

fn decode(bytes: &Bytes) -> Result<(PictureKind, DynamicImage)> {
    let (kind, mut decoder) = open(bytes)?;
    let orientation = decoder.orientation().map_err(invalid)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(invalid)?;
    picture.apply_orientation(orientation);
    Ok((kind, picture))
}

/// JPEG stays JPEG. Everything else becomes PNG if it is see-through, JPEG if it is a photo in WebP.
fn encode(picture: &DynamicImage, from: PictureKind) -> Result<Picture> {
    let as_jpeg = from == PictureKind::Jpeg || (from == PictureKind::Webp && !picture.color().has_alpha());
    let mut out = Cursor::new(Vec::new());
    let kind = if as_jpeg {
        let encoder = JpegEncoder::new_with_quality(&mut out, 90);
        picture.to_rgb8().write_with_encoder(encoder).map_err(Error::internal)?;
        PictureKind::Jpeg
    } else {
        picture.write_to(&mut out, ImageFormat::Png).map_err(Error::internal)?;
        PictureKind::Png
    };
    Ok(Picture { kind, bytes: out.into_inner().into() })
}
