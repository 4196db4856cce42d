//! Whether a file is whole. Decoders fill what is missing with grey; who sends half a picture should hear of it.

use super::PictureKind;

/// Follows the structure of the file to its end, without looking at what is in it.
pub(super) fn is_whole(kind: PictureKind, bytes: &[u8]) -> bool {
    match kind {
        PictureKind::Jpeg => jpeg_end(bytes).is_some(),
        PictureKind::Png => png_end(bytes).is_some(),
        // Its frames were all counted, up to the mark that ends it; a missing mark alone is common.
        PictureKind::Gif => true,
        PictureKind::Webp => webp_end(bytes).is_some(),
    }
}

/// The bytes behind the end (ITU-T T.81, B.1). Within the coded pixels a marker's first byte is escaped.
fn jpeg_end(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(2..)?;
    loop {
        let marker = rest.iter().position(|byte| *byte == 0xFF)?;
        rest = &rest[marker + 1..];
        match *rest.first()? {
            // An escaped byte, or a marker without content.
            0x00 | 0x01 | 0xD0..=0xD7 => rest = &rest[1..],
            // Padding: the marker's second byte is still to come.
            0xFF => {}
            0xD9 => return Some(&rest[1..]),
            _ => {
                let length = u16::from_be_bytes([*rest.get(1)?, *rest.get(2)?]);
                rest = rest.get(1 + usize::from(length)..)?;
            }
        }
    }
}

/// The bytes behind the end (PNG, 5.3).
fn png_end(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(8..)?;
    loop {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
        let is_end = rest.get(4..8)? == b"IEND";
        rest = rest.get(usize::try_from(length).ok()?.checked_add(12)?..)?;
        if is_end {
            return Some(rest);
        }
    }
}

/// The bytes behind the end (RFC 9649, 2.4).
fn webp_end(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    bytes.get(usize::try_from(length).ok()?.checked_add(8)?..)
}
