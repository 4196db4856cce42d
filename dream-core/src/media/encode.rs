//! From pixels to a file, within a bound.
//!
//! A picture keeps its format: JPEG, PNG and WebP, the latter with or without loss as it came. No file that is written
//! here exceeds [`MAX_BYTES`], what a client may upload: writing stops there, and the next way of coding is tried. PNG
//! first compresses harder, and then becomes JPEG, or WebP where something is see-through; the others lower their
//! quality. Where nothing suffices the picture is refused.

use std::borrow::Cow;
use std::io::{self, Write};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageEncoder};

use super::{MAX_BYTES, Picture, PictureFault, PictureKind, THUMBNAIL_SIDE, refused};
use crate::error::{Error, Result};

/// Qualities of JPEG and WebP, best first.
const QUALITIES: [u8; 4] = [90, 75, 50, 25];
/// Longest side that WebP can express (RFC 9649, 2.7), in pixels.
const MAX_WEBP_SIDE: u32 = 16_383;
/// Up to so many pixels WebP is compressed thoroughly. Larger pictures would take a core for many seconds.
const THOROUGH_PIXELS: u64 = 4_000_000;

/// Upright pixels, and what is needed to show them as they were meant.
pub(super) struct Drawing {
    pub(super) pixels: DynamicImage,
    pub(super) profile: Option<Vec<u8>>,
    pub(super) from: PictureKind,
    /// Whether the file that they came from was WebP without loss.
    pub(super) lossless: bool,
}

/// A way to code pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Png(CompressionType),
    Jpeg(u8),
    Webp(u8),
    LosslessWebp,
}

impl Drawing {
    /// In its full size.
    pub(super) fn full(&self) -> Result<Picture> {
        self.within(MAX_BYTES)
    }

    /// In its full size, and with at most so many bytes.
    fn within(&self, limit: usize) -> Result<Picture> {
        let mut ways = Vec::new();
        match self.from {
            PictureKind::Jpeg => ways.extend(QUALITIES.map(Coding::Jpeg)),
            PictureKind::Webp => {
                if self.lossless {
                    ways.push(Coding::LosslessWebp);
                }
                ways.extend(QUALITIES.map(Coding::Webp));
            }
            PictureKind::Png | PictureKind::Gif => {
                ways.extend([CompressionType::Fast, CompressionType::Default].map(Coding::Png));
                let lossy = if is_opaque(&self.pixels) { Coding::Jpeg } else { Coding::Webp };
                ways.extend(QUALITIES.map(lossy));
            }
        }
        self.encode(&self.pixels, &ways, limit)
    }

    /// A small copy: JPEG unless something of it is see-through.
    pub(super) fn thumbnail(&self) -> Result<Picture> {
        let large = self.pixels.width().max(self.pixels.height()) > THUMBNAIL_SIDE;
        let small = large.then(|| self.pixels.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE));
        let small = small.as_ref().unwrap_or(&self.pixels);
        let way = if small.color().has_alpha() {
            Coding::Png(CompressionType::Fast)
        } else {
            Coding::Jpeg(QUALITIES[0])
        };
        self.encode(small, &[way], MAX_BYTES)
    }

    /// The first of these ways that stays within the bound.
    fn encode(&self, pixels: &DynamicImage, ways: &[Coding], limit: usize) -> Result<Picture> {
        for way in ways {
            if let Some(picture) = self.write(pixels, *way, limit)? {
                return Ok(picture);
            }
        }
        let size = format!("{} × {} pixels take more than may be stored", pixels.width(), pixels.height());
        Err(refused(PictureFault::TooLargeToStore, size))
    }

    /// The picture in this coding; `None` if it exceeds the bound, or cannot be expressed.
    fn write(&self, pixels: &DynamicImage, way: Coding, limit: usize) -> Result<Option<Picture>> {
        let mut out = Bounded::new(limit);
        let (kind, written) = match way {
            Coding::Png(compression) => {
                let encoder = PngEncoder::new_with_quality(&mut out, compression, FilterType::Adaptive);
                (PictureKind::Png, self.write_with(pixels, encoder))
            }
            Coding::Jpeg(quality) => {
                let encoder = JpegEncoder::new_with_quality(&mut out, quality);
                let written = if pixels.color().has_alpha() {
                    self.write_with(&DynamicImage::ImageRgb8(pixels.to_rgb8()), encoder)
                } else {
                    self.write_with(pixels, encoder)
                };
                (PictureKind::Jpeg, written)
            }
            Coding::Webp(quality) => (PictureKind::Webp, self.write_webp(pixels, Some(quality), &mut out)),
            Coding::LosslessWebp => (PictureKind::Webp, self.write_webp(pixels, None, &mut out)),
        };
        match written {
            Ok(()) => Ok(Some(Picture { kind, bytes: out.bytes.into() })),
            Err(_) if out.exceeded => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_with(&self, pixels: &DynamicImage, mut encoder: impl ImageEncoder) -> Result<()> {
        if let Some(profile) = &self.profile {
            encoder.set_icc_profile(profile.clone()).map_err(Error::internal)?;
        }
        pixels.write_with_encoder(encoder).map_err(Error::internal)
    }

    /// Without loss if no quality is given.
    fn write_webp(&self, pixels: &DynamicImage, quality: Option<u8>, out: &mut Bounded) -> Result<()> {
        let (width, height) = (pixels.width(), pixels.height());
        if width.max(height) > MAX_WEBP_SIDE {
            out.exceeded = true;
            return Err(Error::internal("WebP cannot be that large"));
        }
        let small = u64::from(width) * u64::from(height) <= THOROUGH_PIXELS;
        let mut config =
            webp::WebPConfig::new().map_err(|()| Error::internal("libwebp has no configuration"))?;
        if let Some(quality) = quality {
            config.quality = f32::from(quality);
            config.method = if small { 4 } else { 2 };
        } else {
            config.lossless = 1;
            (config.quality, config.method) = if small { (50.0, 3) } else { (10.0, 0) };
        }
        let failed = |error: webp::WebPEncodingError| Error::internal(format!("{error:?}"));
        let coded = if pixels.color().has_alpha() {
            let rgba = pixels.as_rgba8().map_or_else(|| Cow::Owned(pixels.to_rgba8()), Cow::Borrowed);
            webp::Encoder::from_rgba(&rgba, width, height).encode_advanced(&config).map_err(failed)?
        } else {
            let rgb = pixels.as_rgb8().map_or_else(|| Cow::Owned(pixels.to_rgb8()), Cow::Borrowed);
            webp::Encoder::from_rgb(&rgb, width, height).encode_advanced(&config).map_err(failed)?
        };
        match &self.profile {
            None => out.write_all(&coded).map_err(Error::internal),
            Some(profile) => {
                let alpha = pixels.color().has_alpha();
                with_profile(&coded, profile, (width, height), alpha, out).map_err(Error::internal)
            }
        }
    }
}

fn is_opaque(pixels: &DynamicImage) -> bool {
    match pixels {
        DynamicImage::ImageRgba8(pixels) => pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX),
        DynamicImage::ImageLumaA8(pixels) => pixels.pixels().all(|pixel| pixel.0[1] == u8::MAX),
        other => !other.color().has_alpha(),
    }
}

/// The WebP file with a colour profile in its extended form (RFC 9649, 2.7): a header with the size of the canvas, the
/// profile, and the coded pixels.
fn with_profile(
    webp: &[u8],
    profile: &[u8],
    (width, height): (u32, u32),
    alpha: bool,
    out: &mut Bounded,
) -> io::Result<()> {
    const HAS_PROFILE: u8 = 0x20;
    const HAS_ALPHA: u8 = 0x10;
    let mut coded = webp.get(12..).unwrap_or_default();
    if coded.starts_with(b"VP8X") {
        coded = coded.get(18..).unwrap_or_default();
    }
    let mut body = b"WEBPVP8X\x0a\0\0\0".to_vec();
    body.extend([HAS_PROFILE | if alpha { HAS_ALPHA } else { 0 }, 0, 0, 0]);
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    body.extend(b"ICCP");
    body.extend(size(profile.len())?.to_le_bytes());
    body.extend(profile);
    if profile.len() % 2 == 1 {
        body.push(0);
    }
    out.write_all(b"RIFF")?;
    out.write_all(&size(body.len() + coded.len())?.to_le_bytes())?;
    out.write_all(&body)?;
    out.write_all(coded)
}

fn size(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(io::Error::other)
}

/// Takes no more than its limit.
pub(super) struct Bounded {
    limit: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) exceeded: bool,
}

impl Bounded {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), exceeded: false }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            self.exceeded = true;
            return Err(io::Error::other("the picture takes more than may be stored"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Facts};

    /// Noise, whose size as PNG is about that of its pixels: 12 or 16 KB.
    fn noise(alpha: bool, from: PictureKind) -> Drawing {
        let mut random = fastrand::Rng::with_seed(7);
        let mut shade = || random.u8(..);
        let pixels = image::RgbaImage::from_fn(64, 64, |x, _| {
            image::Rgba([shade(), shade(), shade(), if alpha && x < 9 { 0 } else { 255 }])
        });
        let pixels = DynamicImage::ImageRgba8(pixels);
        Drawing { pixels, profile: None, from, lossless: from == PictureKind::Webp }
    }

    #[test]
    fn a_picture_that_would_exceed_the_bound_is_coded_with_loss_and_keeps_what_is_see_through() {
        const BOUND: usize = 8_000;
        for (alpha, from, expected) in [
            (false, PictureKind::Png, PictureKind::Jpeg),
            (true, PictureKind::Png, PictureKind::Webp),
            (true, PictureKind::Webp, PictureKind::Webp),
            (false, PictureKind::Jpeg, PictureKind::Jpeg),
        ] {
            let drawing = noise(alpha, from);
            let picture = drawing.within(BOUND).expect("it fits");
            assert_eq!(picture.kind, expected);
            assert!(picture.bytes.len() <= BOUND, "{} bytes", picture.bytes.len());
            let read = image::load_from_memory(&picture.bytes).expect("a picture");
            assert_eq!((read.width(), read.height()), (64, 64));
            assert_eq!(is_opaque(&read), !alpha);
            let unbounded = drawing.full().expect("it fits");
            assert_eq!(unbounded.kind, from, "it keeps its format where it can");
        }
        let error = noise(true, PictureKind::Png).within(500).expect_err("nothing suffices");
        assert_eq!(error.code(), Code::ImageInvalid);
        assert_eq!(error.facts(), &Facts::Picture(PictureFault::TooLargeToStore));
    }
}
