//! GIF, whose frames are kept. They are written anew index by index, so that nothing is lost and no colour chosen.
//!
//! Frames are counted by their headers before one is decoded. A frame may exceed the canvas, as browsers accept: what
//! is beyond the edge is cut off, and a frame that is beyond it altogether keeps its time as a single transparent
//! pixel. What is written is bounded as every other picture is.

use std::borrow::Cow;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, Decoder, Encoder, EncodingError, Frame, MemoryLimit};

use super::encode::Bounded;
use super::{
    MAX_ANIMATION_PIXELS, MAX_BYTES, MAX_FRAMES, MAX_PIXELS, Picture, PictureFault, PictureKind, invalid,
    refused,
};
use crate::error::{Error, Result};

fn open(bytes: &[u8], skip_pixels: bool) -> Result<Decoder<&[u8]>> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(NonZeroU64::new(MAX_PIXELS).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    options.skip_frame_decoding(skip_pixels);
    options.read_info(bytes).map_err(invalid)
}

/// Counts frames and their pixels by their headers, and refuses too many.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let mut decoder = open(bytes, true)?;
    let (mut frames, mut pixels) = (0, 0);
    while let Some(frame) = decoder.next_frame_info().map_err(invalid)? {
        frames += 1;
        pixels += u64::from(frame.width) * u64::from(frame.height);
        if frames > MAX_FRAMES || pixels > MAX_ANIMATION_PIXELS {
            let found = format!("{frames} frames or more, with {pixels} pixels");
            return Err(refused(PictureFault::TooManyPixels, found));
        }
    }
    if frames == 0 { Err(invalid("no frame")) } else { Ok(()) }
}

/// The same frames at the same times, without comments and what else there is between them.
pub(super) fn anew(bytes: &[u8]) -> Result<Picture> {
    let mut decoder = open(bytes, false)?;
    let palette = decoder.global_palette().unwrap_or_default().to_vec();
    let (width, height) = (decoder.width(), decoder.height());
    let mut out = Bounded::new(MAX_BYTES);
    let written = (|| {
        let mut encoder = Encoder::new(&mut out, width, height, &palette).map_err(unwritten)?;
        let mut first = true;
        loop {
            let damaged = |error: gif::DecodingError| refused(PictureFault::Damaged, error);
            let Some(frame) = decoder.read_next_frame().map_err(damaged)? else { return Ok(()) };
            let mut frame = clipped(frame, width, height);
            // The decoder has put the lines in their order.
            frame.interlaced = false;
            frame.needs_user_input = false;
            if first {
                // It comes before the first frame in the file, and is known once that one was read.
                encoder.set_repeat(decoder.repeat()).map_err(unwritten)?;
                first = false;
            }
            encoder.write_frame(&frame).map_err(unwritten)?;
        }
    })();
    if out.exceeded {
        return Err(refused(PictureFault::TooLargeToStore, "the frames take more than may be stored"));
    }
    written.map(|()| Picture { kind: PictureKind::Gif, bytes: out.bytes.into() })
}

fn unwritten(error: EncodingError) -> Error {
    match error {
        EncodingError::Format(error) => invalid(error),
        other => Error::internal(other),
    }
}

/// The part of the frame that is on the canvas.
fn clipped(frame: &Frame<'_>, width: u16, height: u16) -> Frame<'static> {
    let across = width.saturating_sub(frame.left).min(frame.width);
    let down = height.saturating_sub(frame.top).min(frame.height);
    let mut on_canvas = Frame {
        delay: frame.delay,
        dispose: frame.dispose,
        transparent: frame.transparent,
        palette: frame.palette.clone(),
        ..Frame::default()
    };
    if across == 0 || down == 0 {
        (on_canvas.width, on_canvas.height) = (1, 1);
        on_canvas.transparent = Some(0);
        on_canvas.buffer = Cow::Borrowed(&[0]);
    } else {
        (on_canvas.left, on_canvas.top) = (frame.left, frame.top);
        (on_canvas.width, on_canvas.height) = (across, down);
        let lines = frame.buffer.chunks_exact(usize::from(frame.width)).take(usize::from(down));
        let lines = lines.flat_map(|line| line.iter().take(usize::from(across)).copied());
        on_canvas.buffer = Cow::Owned(lines.collect());
    }
    on_canvas
}
