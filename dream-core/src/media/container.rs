//! The structure of a picture file: where it ends, which of its bytes code pixels, and what else it carries.
//!
//! One walk through the markers, chunks or blocks of the file serves every check: whether it is complete, what comes
//! after its end, where a page or a script may be hidden, how it is turned, and whether it is an animation. The walk
//! allocates nothing but the list of ranges, never looks into coded pixels, and stops at the first part whose length
//! exceeds the file.
//!
//! Sources: JPEG ITU-T T.81 annex B; PNG (third edition) section 5; `GIF89a`; WebP RFC 9649.

use std::ops::Range;

use super::PictureKind;

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Where the picture ends. Anything may follow: phones append films and second pictures.
    pub(super) end: usize,
    /// Everything before the end that codes no pixels, in order.
    pub(super) metadata: Vec<Range<usize>>,
    /// The TIFF structure of the EXIF data, without the header that JPEG puts before it.
    pub(super) exif: Option<Range<usize>>,
    /// Frames, as far as the format names them outside of the coded pixels.
    pub(super) frames: usize,
    /// Whether WebP codes its pixels without loss.
    pub(super) lossless: bool,
}

/// Six bytes that JPEG puts before EXIF data. Some writers of PNG and WebP copy them along.
const EXIF_HEADER: &[u8] = b"Exif\0\0";

/// The layout of the file; `None` if it breaks off.
pub(super) fn read(kind: PictureKind, bytes: &[u8]) -> Option<Layout> {
    let mut walk = Walk { bytes, at: 0, layout: Layout { frames: 1, ..Layout::default() } };
    match kind {
        PictureKind::Jpeg => walk.jpeg()?,
        PictureKind::Png => walk.png()?,
        PictureKind::Gif => walk.gif()?,
        PictureKind::Webp => walk.webp()?,
    }
    walk.layout.end = walk.at.min(bytes.len());
    Some(walk.layout)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    layout: Layout,
}

impl Walk<'_> {
    fn byte(&self, offset: usize) -> Option<u8> {
        self.bytes.get(self.at.checked_add(offset)?).copied()
    }

    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let from = self.at.checked_add(offset)?;
        self.bytes.get(from..from.checked_add(N)?)?.try_into().ok()
    }

    /// Moves on, within the file.
    fn skip(&mut self, length: usize) -> Option<()> {
        self.at = self.at.checked_add(length).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// Moves on over something that codes no pixels.
    fn skip_metadata(&mut self, length: usize) -> Option<()> {
        let from = self.at;
        self.skip(length)?;
        match self.layout.metadata.last_mut() {
            Some(last) if last.end == from => last.end = self.at,
            _ => self.layout.metadata.push(from..self.at),
        }
        Some(())
    }

    fn note_exif(&mut self, mut range: Range<usize>) {
        while self.bytes.get(range.clone()).is_some_and(|exif| exif.starts_with(EXIF_HEADER)) {
            range.start += EXIF_HEADER.len();
        }
        self.layout.exif.get_or_insert(range);
    }

    /// Within the coded pixels the first byte of a marker is escaped (T.81, B.1.1.5).
    fn jpeg(&mut self) -> Option<()> {
        self.skip(2)?;
        loop {
            let gap = self.bytes.get(self.at..)?.iter().position(|byte| *byte == 0xFF)?;
            self.skip(gap)?;
            match self.byte(1)? {
                // An escaped byte, or a marker without content.
                0x00 | 0x01 | 0xD0..=0xD7 => self.skip(2)?,
                // Padding: the marker's second byte is still to come.
                0xFF => self.skip(1)?,
                0xD9 => return self.skip(2),
                marker => {
                    let length = 2 + usize::from(u16::from_be_bytes(self.array(2)?));
                    let content = self.at + 4..self.at + length;
                    self.skip_metadata(length)?;
                    let exif = marker == 0xE1
                        && self.bytes.get(content.clone()).is_some_and(|it| it.starts_with(EXIF_HEADER));
                    if exif {
                        self.note_exif(content);
                    }
                }
            }
        }
    }

    fn png(&mut self) -> Option<()> {
        self.skip(8)?;
        loop {
            let length = usize::try_from(u32::from_be_bytes(self.array(0)?)).ok()?;
            let name: [u8; 4] = self.array(4)?;
            let content = self.at + 8..self.at.checked_add(8)?.checked_add(length)?;
            let chunk = length.checked_add(12)?;
            match &name {
                b"IDAT" | b"fdAT" => self.skip(chunk)?,
                b"IEND" => {
                    self.skip_metadata(chunk)?;
                    return Some(());
                }
                b"acTL" => {
                    self.layout.frames = usize::try_from(u32::from_be_bytes(self.array(8)?)).ok()?;
                    self.skip_metadata(chunk)?;
                }
                b"eXIf" => {
                    self.skip_metadata(chunk)?;
                    self.note_exif(content);
                }
                _ => self.skip_metadata(chunk)?,
            }
        }
    }

    /// A missing trailer is common, and every reader forgives it.
    fn gif(&mut self) -> Option<()> {
        let colors = |packed: u8| if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) };
        let table = colors(self.byte(10)?);
        self.skip(13 + table)?;
        self.layout.frames = 0;
        loop {
            match self.byte(0) {
                Some(0x3B) => return self.skip(1),
                Some(0x2C) => {
                    self.layout.frames += 1;
                    let table = colors(self.byte(9)?);
                    self.skip(11 + table)?;
                    while self.sub_block(Self::skip)? {}
                }
                Some(0x21) => {
                    self.skip_metadata(2)?;
                    while self.sub_block(Self::skip_metadata)? {}
                }
                // What decoders do with an unknown block they decide; nothing here is known to be a picture.
                _ => return Some(()),
            }
        }
    }

    /// Skips a block of data with the byte that holds its length; `false` after the empty one, which ends them.
    fn sub_block(&mut self, skip: fn(&mut Self, usize) -> Option<()>) -> Option<bool> {
        let length = usize::from(self.byte(0)?);
        if length == 0 {
            return self.skip(1).map(|()| false);
        }
        skip(self, 1 + length).map(|()| true)
    }

    fn webp(&mut self) -> Option<()> {
        let length = u32::from_le_bytes(self.array(4)?);
        let end = usize::try_from(length).ok()?.checked_add(8)?;
        if end > self.bytes.len() {
            return None;
        }
        self.skip(12)?;
        self.layout.frames = 0;
        let mut has_pixels = false;
        // A last byte of padding is missing now and then.
        while self.at + 8 <= end {
            let name: [u8; 4] = self.array(0)?;
            let length = usize::try_from(u32::from_le_bytes(self.array(4)?)).ok()?;
            let content = self.at + 8..self.at.checked_add(8)?.checked_add(length)?;
            if content.end > end {
                return None;
            }
            let chunk = (8 + length).next_multiple_of(2).min(end - self.at);
            has_pixels |= matches!(&name, b"VP8 " | b"VP8L" | b"ANMF");
            match &name {
                b"VP8 " | b"ALPH" => self.skip(chunk)?,
                b"VP8L" => {
                    self.layout.lossless = true;
                    self.skip(chunk)?;
                }
                b"ANMF" => {
                    self.layout.frames += 1;
                    self.skip(chunk)?;
                }
                b"EXIF" => {
                    self.skip_metadata(chunk)?;
                    self.note_exif(content);
                }
                _ => self.skip_metadata(chunk)?,
            }
        }
        self.at = end;
        // Decoders look for pixels beyond the size that the file states, and a copy that ends there would have none.
        has_pixels.then_some(())
    }
}
