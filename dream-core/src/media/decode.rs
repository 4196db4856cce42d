//! From a file to pixels and back.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageReader, Limits};

use super::{MAX_PIXELS, Picture, PictureKind, THUMBNAIL_SIDE, invalid};
use crate::error::{Error, Result};

/// What a decoder may use beside the pixels themselves, in bytes: for a line, for a profile that is unpacked.
const DECODER_MEMORY: u64 = 8 * 1024 * 1024;
/// A profile that says how colours are meant is kept up to this size, in bytes.
const MAX_PROFILE: usize = 64 * 1024;
const JPEG_QUALITY: u8 = 90;

/// Reads the header, and refuses one that promises too much.
pub(super) fn check_header(kind: PictureKind, bytes: &[u8]) -> Result<()> {
    open(kind, bytes).map(drop)
}

fn open(kind: PictureKind, bytes: &[u8]) -> Result<Box<dyn ImageDecoder + '_>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind.format());
    let mut limits = Limits::default();
    // That of GIF may need its pixels twice, if the first frame does not fill the canvas.
    let twice = if kind == PictureKind::Gif { MAX_PIXELS * 4 } else { 0 };
    limits.max_alloc = Some(DECODER_MEMORY + twice);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(invalid)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(invalid(format!("{width} × {height} pixels")));
    }
    Ok(Box::new(decoder))
}

/// Upright pixels, and what is needed to show them as they were meant.
pub(super) struct Decoded {
    pixels: DynamicImage,
    profile: Option<Vec<u8>>,
    from: PictureKind,
}

/// Decodes a picture whose header was checked; of an animation its first frame.
pub(super) fn decode(picture: &Picture) -> Result<Decoded> {
    let mut decoder = open(picture.kind, &picture.bytes)?;
    let orientation = decoder.orientation().map_err(invalid)?;
    let profile = decoder.icc_profile().ok().flatten();
    let mut pixels = eight_bits(DynamicImage::from_decoder(decoder).map_err(invalid)?);
    pixels.apply_orientation(orientation);
    let profile = profile.filter(|profile| fits(profile, &pixels));
    Ok(Decoded { pixels, profile, from: picture.kind })
}

/// Nobody sees more than eight bits a channel, and they double the size.
fn eight_bits(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageLuma16(_) => DynamicImage::ImageLuma8(pixels.into_luma8()),
        DynamicImage::ImageLumaA16(_) => DynamicImage::ImageLumaA8(pixels.into_luma_alpha8()),
        DynamicImage::ImageRgb16(_) => DynamicImage::ImageRgb8(pixels.into_rgb8()),
        DynamicImage::ImageRgba16(_) => DynamicImage::ImageRgba8(pixels.into_rgba8()),
        other => other,
    }
}

/// Whether the colour profile (ICC.1, 7.2) is one for the pixels as they were decoded. One for print is not.
fn fits(profile: &[u8], pixels: &DynamicImage) -> bool {
    let space = profile.get(16..20);
    profile.len() <= MAX_PROFILE && pixels.color().has_color() && space == Some(b"RGB ")
}

impl Decoded {
    /// As it is. JPEG stays JPEG, and WebP becomes JPEG where nothing of it is see-through; the rest becomes PNG.
    pub(super) fn full(&self) -> Result<Picture> {
        let seen_through = self.pixels.color().has_alpha();
        let jpeg = self.from == PictureKind::Jpeg || (self.from == PictureKind::Webp && !seen_through);
        self.encode(&self.pixels, jpeg)
    }

    /// A small copy: JPEG unless something of it is see-through.
    pub(super) fn thumbnail(&self) -> Result<Picture> {
        let large = self.pixels.width().max(self.pixels.height()) > THUMBNAIL_SIDE;
        let small = large.then(|| self.pixels.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE));
        let small = small.as_ref().unwrap_or(&self.pixels);
        self.encode(small, !small.color().has_alpha())
    }

    fn encode(&self, pixels: &DynamicImage, jpeg: bool) -> Result<Picture> {
        let mut out = Vec::new();
        if jpeg {
            self.write(pixels, JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY))?;
        } else {
            self.write(pixels, PngEncoder::new(&mut out))?;
        }
        let kind = if jpeg { PictureKind::Jpeg } else { PictureKind::Png };
        Ok(Picture { kind, bytes: out.into() })
    }

    fn write(&self, pixels: &DynamicImage, mut encoder: impl ImageEncoder) -> Result<()> {
        if let Some(profile) = &self.profile {
            encoder.set_icc_profile(profile.clone()).map_err(Error::internal)?;
        }
        pixels.write_with_encoder(encoder).map_err(Error::internal)
    }
}
