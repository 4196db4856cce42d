//! Pictures: recognised by what they are, checked before they are decoded, and written anew without metadata.
//!
//! What [`clean`] returns holds pixels and how to show them, and nothing else of the file that came in: no place, no
//! name of a camera, no second file after the first. It is at most [`MAX_BYTES`] large, whatever came in, and keeps the
//! format, the size in pixels and the transparency of the picture wherever that bound allows it.
//!
//! Nothing is decoded before the header was held against the limits, and nothing is decoded on an async thread:
//! pictures wait in turns between their [`Owner`]s.

mod animation;
mod container;
mod decode;
mod encode;
mod jpeg_scan;
mod polyglot;
mod pool;
mod text;

use bytes::Bytes;
use image::ImageFormat;

use crate::error::{Code, Error, Facts, PictureFault, Result};

use container::Layout;
pub use pool::{Owner, work_in_place};
pub(crate) use text::{from_base64, from_data_url};

/// Largest file that is taken, and largest that is written, in bytes.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What it is.
    pub kind: PictureKind,
    /// The file.
    pub bytes: Bytes,
}

/// A picture that was written anew, and a small copy of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureWithThumbnail {
    /// The picture in its full size.
    pub picture: Picture,
    /// At most 512 pixels on its longer side.
    pub thumbnail: Picture,
}

/// Recognises a picture that is to be stored as it came: by its content, complete, within the limits, and without a
/// page, a script, a PDF or an archive in its metadata. What follows its end is cut off. Decodes no pixels: its time
/// and memory do not depend on what the header promises.
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
/// // A file that breaks off, and one that is a page.
/// assert_eq!(media::recognise(png.slice(..png.len() - 4)).unwrap_err().code(), Code::ImageInvalid);
/// assert_eq!(media::recognise("<svg onload=alert(1)>".into()).unwrap_err().code(), Code::ImageInvalid);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `IMAGE_INVALID`, with [`Facts::Picture`] where the reason is one that its sender can do something about.
pub fn recognise(bytes: Bytes) -> Result<Picture> {
    let (picture, layout) = inspect(bytes)?;
    if polyglot::is_in_metadata(&picture.bytes, &layout) {
        return Err(invalid("its metadata holds a page, a script, a PDF or an archive"));
    }
    Ok(Picture { kind: picture.kind, bytes: picture.bytes.slice(..layout.end) })
}

/// The picture written anew: turned upright and without metadata. A GIF keeps its frames.
///
/// A picture keeps its format, unless that would exceed [`MAX_BYTES`]: PNG then becomes JPEG, or WebP where something
/// is see-through. WebP without loss stays so while it fits.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` beyond 10 MiB; `IMAGE_INVALID` for what is no picture, beyond a limit, damaged, or an animation
/// other than GIF; `UNAVAILABLE` while too many wait for their turn.
pub async fn clean(owner: Owner, bytes: Bytes) -> Result<Picture> {
    work(owner, bytes, |picture, layout| anew(&picture, &layout, None)).await
}

/// As [`clean`], with a small copy beside it.
///
/// # Errors
/// As [`clean`].
pub async fn clean_with_thumbnail(owner: Owner, bytes: Bytes) -> Result<PictureWithThumbnail> {
    work(owner, bytes, |picture, layout| {
        refuse_animation(&picture, &layout)?;
        let drawing = decode::decode(&picture, &layout)?;
        let thumbnail = drawing.thumbnail()?;
        Ok(PictureWithThumbnail { picture: anew(&picture, &layout, Some(drawing))?, thumbnail })
    })
    .await
}

/// A small copy of the picture: at most 512 pixels on its longer side. Of an animation it shows the first frame.
///
/// # Errors
/// As [`clean`].
pub async fn thumbnail(owner: Owner, bytes: Bytes) -> Result<Picture> {
    work(owner, bytes, |picture, layout| decode::decode(&picture, &layout)?.thumbnail()).await
}

fn anew(picture: &Picture, layout: &Layout, drawing: Option<encode::Drawing>) -> Result<Picture> {
    refuse_animation(picture, layout)?;
    match (picture.kind, drawing) {
        (PictureKind::Gif, _) => animation::anew(&picture.bytes),
        (_, Some(drawing)) => drawing.full(),
        (_, None) => decode::decode(picture, layout)?.full(),
    }
}

/// Only GIF keeps its frames. Of another animation one frame would be left, which nobody asked for.
fn refuse_animation(picture: &Picture, layout: &Layout) -> Result<()> {
    if picture.kind != PictureKind::Gif && layout.frames > 1 {
        return Err(refused(PictureFault::Animated, format!("{} frames", layout.frames)));
    }
    Ok(())
}

async fn work<T: Send + 'static>(
    owner: Owner,
    bytes: Bytes,
    then: impl FnOnce(Picture, Layout) -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    pool::run(owner, move || {
        let (picture, layout) = inspect(bytes)?;
        if polyglot::is_followed_by_page(&picture.bytes, &layout) {
            return Err(invalid("a page or script follows the picture"));
        }
        then(picture, layout)
    })
    .await
}

/// Recognises the picture and checks what can be checked without decoding a pixel.
fn inspect(bytes: Bytes) -> Result<(Picture, Layout)> {
    let kind = image::guess_format(&bytes).ok().and_then(PictureKind::of);
    let kind = kind.ok_or_else(|| unknown(&bytes))?;
    decode::check_header(kind, &bytes)?;
    if kind == PictureKind::Gif {
        animation::check(&bytes)?;
    }
    let breaks_off = || refused(PictureFault::Damaged, "the file breaks off");
    let layout = container::read(kind, &bytes).ok_or_else(breaks_off)?;
    Ok((Picture { kind, bytes }, layout))
}

/// What is none of the formats that are taken. Phones of Apple write HEIC unless told otherwise, so it has a text of its
/// own: ISO/IEC 14496-12, 4.3 (the box that names the brands) and 23008-12, annex B (the brands).
fn unknown(bytes: &[u8]) -> Error {
    const BRANDS: [&[u8]; 8] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"];
    let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(256);
    let is_media = bytes.get(4..8) == Some(b"ftyp");
    let brands = bytes.get(8..bytes.len().min(length)).unwrap_or_default();
    let mut brands = brands.chunks_exact(4).enumerate().filter(|(at, _)| *at != 1).map(|(_, brand)| brand);
    let is_avif = brands.clone().any(|brand| brand == b"avif" || brand == b"avis");
    if is_media && !is_avif && brands.any(|brand| BRANDS.contains(&brand)) {
        return refused(PictureFault::Heic, "HEIC");
    }
    refused(PictureFault::Format, "not one of the formats that are taken")
}

pub(crate) fn too_large() -> Error {
    Error::new(Code::PayloadTooLarge).with_facts(Facts::TooLarge { limit_bytes: MAX_BYTES as u64 })
}

pub(crate) fn invalid(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::ImageInvalid).with_source(source)
}

fn refused(fault: PictureFault, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    invalid(source).with_facts(Facts::Picture(fault))
}
