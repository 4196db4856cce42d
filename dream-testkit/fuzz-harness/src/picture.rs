//! Reads bytes as an image file.
//!
//! Any input is either refused or re-encoded as an image that is accepted again, with the same size (or turned by a
//! quarter), within the limits of bytes and pixels, and with a thumbnail that fits its box.

use std::io::Cursor;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dream_core::media::{self, MAX_BYTES, MAX_PIXELS, Owner, Picture, PictureKind, THUMBNAIL_SIDE};
use image::ImageReader;

/// Larger ones are only recognised: their pixels would take all of the time.
const FEW_PIXELS: u64 = 256 * 1024;

/// Makes the decoder work in place, without its pool of threads.
pub fn init() {
    media::work_in_place();
}

/// Checks one input; whether it belongs into a corpus.
///
/// # Panics
/// If an invariant of the decoder is broken.
pub fn check(data: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(picture) = media::recognise(bytes.clone()) else { return true };
    let (width, height) = size(&picture).expect("what was recognised has a size");
    assert!(width > 0 && height > 0, "{width} × {height}");
    assert!(u64::from(width) * u64::from(height) <= MAX_PIXELS, "{width} × {height}");
    if pixels(&picture, width, height) > FEW_PIXELS {
        return false;
    }
    // In place nothing is waited for.
    let mut cleaned = pin!(media::clean_with_thumbnail(Owner::Service, bytes));
    let Poll::Ready(cleaned) = cleaned.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("work in place does not wait")
    };
    let Ok(cleaned) = cleaned else { return true };
    let (picture, thumbnail) = (cleaned.picture, cleaned.thumbnail);
    for anew in [&picture, &thumbnail] {
        let again = media::recognise(anew.bytes.clone()).expect("what was written anew is a picture");
        assert_eq!(again.kind, anew.kind);
    }
    assert!(picture.bytes.len() <= MAX_BYTES);
    let turned = size(&picture).expect("a picture");
    assert!(turned == (width, height) || turned == (height, width), "{turned:?} out of {width} × {height}");
    let (width, height) = size(&thumbnail).expect("a picture");
    assert!(width.max(height) <= THUMBNAIL_SIDE, "{width} × {height}");
    true
}

fn size(picture: &Picture) -> Option<(u32, u32)> {
    let reader = ImageReader::new(Cursor::new(&picture.bytes)).with_guessed_format().ok()?;
    reader.into_dimensions().ok()
}

/// How many are decoded: those of an animation by a guess, since each frame takes a few bytes at least.
fn pixels(picture: &Picture, width: u32, height: u32) -> u64 {
    let one = u64::from(width) * u64::from(height);
    match picture.kind {
        PictureKind::Gif => one * picture.bytes.split(|byte| *byte == b',').count() as u64,
        PictureKind::Jpeg | PictureKind::Png | PictureKind::Webp => one,
    }
}
