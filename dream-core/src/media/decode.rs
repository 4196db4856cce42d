//! From a file to pixels.
//!
//! The header is read and the limits are checked before a pixel is decoded, so that time and memory never depend on
//! what a header promises. Pixels come out upright and with at most eight bits a channel.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::container::Layout;
use super::encode::Drawing;
use super::{MAX_PIXELS, Picture, PictureFault, PictureKind, invalid, jpeg_scan, polyglot, refused};
use crate::error::Result;

/// What a decoder may use beside the pixels themselves, in bytes: for a line, for a profile that is unpacked.
const DECODER_MEMORY: u64 = 8 * 1024 * 1024;
/// A profile that says how colours are meant is kept up to this size, in bytes. Those of scanners and of wide screens
/// take hundreds of kilobytes, and no known one more than this.
const MAX_PROFILE: usize = 4 * 1024 * 1024;

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
    if width == 0 || height == 0 {
        return Err(invalid(format!("{width} × {height} pixels")));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(refused(PictureFault::TooManyPixels, format!("{width} × {height} pixels")));
    }
    Ok(Box::new(decoder))
}

/// Decodes a picture whose header was checked; of an animation its first frame.
pub(super) fn decode(picture: &Picture, layout: &Layout) -> Result<Drawing> {
    if picture.kind == PictureKind::Jpeg {
        let damaged = |damage| refused(PictureFault::Damaged, format!("the coded pixels: {damage:?}"));
        jpeg_scan::check(&picture.bytes).map_err(damaged)?;
    }
    let mut decoder = open(picture.kind, &picture.bytes)?;
    let profile = decoder.icc_profile().ok().flatten();
    let damaged = |error: image::ImageError| refused(PictureFault::Damaged, error);
    let mut pixels = eight_bits(DynamicImage::from_decoder(decoder).map_err(damaged)?);
    pixels.apply_orientation(orientation(&picture.bytes, layout));
    let profile = profile.filter(|profile| fits(profile, &pixels));
    Ok(Drawing { pixels, profile, from: picture.kind, lossless: layout.lossless })
}

fn orientation(bytes: &[u8], layout: &Layout) -> Orientation {
    let exif = layout.exif.clone().and_then(|range| bytes.get(range));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
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

/// Whether the colour profile (ICC.1, 7.2) is one for the pixels as they were decoded. One for print is not. It is the
/// only part of a file that is kept as it came, so one with a page or script in it is dropped.
fn fits(profile: &[u8], pixels: &DynamicImage) -> bool {
    let space = profile.get(16..20);
    profile.len() <= MAX_PROFILE
        && pixels.color().has_color()
        && space == Some(b"RGB ")
        && !polyglot::is_hidden_in(profile)
}
