//! GIF, whose frames are kept. They are written anew index by index, so that nothing is lost and no colour chosen.

use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, Decoder, Encoder, MemoryLimit};

use super::{MAX_ANIMATION_PIXELS, MAX_FRAMES, MAX_PIXELS, Picture, PictureKind, invalid};
use crate::error::{Error, Result};

fn open(bytes: &[u8], skip_pixels: bool) -> Result<Decoder<&[u8]>> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(NonZeroU64::new(MAX_PIXELS).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    // A frame that sticks out of the canvas would make its size another than the header says.
    options.check_frame_consistency(true);
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
            return Err(invalid(format!("{frames} frames or more, with {pixels} pixels")));
        }
    }
    if frames == 0 { Err(invalid("no frame")) } else { Ok(()) }
}

/// The same frames at the same times, without comments and what else there is between them.
pub(super) fn anew(bytes: &[u8]) -> Result<Picture> {
    let mut decoder = open(bytes, false)?;
    let palette = decoder.global_palette().unwrap_or_default().to_vec();
    let mut out = Vec::with_capacity(bytes.len());
    let mut encoder = Encoder::new(&mut out, decoder.width(), decoder.height(), &palette).map_err(invalid)?;
    let mut first = true;
    while decoder.read_next_frame().map_err(invalid)?.is_some() {
        if first {
            // It stands before the first frame, and is known once that one was read.
            encoder.set_repeat(decoder.repeat()).map_err(Error::internal)?;
            first = false;
        }
        let Some(frame) = decoder.current_frame_info() else { break };
        let mut frame = frame.clone();
        // The decoder has put the lines in their order.
        frame.interlaced = false;
        frame.needs_user_input = false;
        encoder.write_frame(&frame).map_err(invalid)?;
    }
    drop(encoder);
    Ok(Picture { kind: PictureKind::Gif, bytes: out.into() })
}
