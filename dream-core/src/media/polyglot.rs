//! Files that are a picture and something else at the same time.
//!
//! Coded pixels are never searched: they are as good as random, and a picture of some megabytes contains any four
//! letters sooner or later. Encoding the pixels again leaves metadata and whatever follows the picture behind, so a
//! search is needed only where
//! - a page or a script follows the picture as plain text, which no camera writes: such a file is refused, and
//! - a file is stored as it came: then its metadata is searched too.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::container::Layout;

/// Beginnings of pages and scripts. Old browsers ran them wherever they found them in a file.
const SCRIPTS: &[&str] = &["<script", "<!doctype html", "<html", "<body", "<iframe", "<svg", "<?php"];
/// The header of a PDF, and the record that ends a ZIP archive (APPNOTE.TXT, 4.3.16).
const DOCUMENTS: [&[u8]; 2] = [b"%PDF-", b"PK\x05\x06"];

static SCRIPT: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(SCRIPTS).ok());

/// Whether a page or script is in it.
fn has_markup(bytes: &[u8]) -> bool {
    SCRIPT.as_ref().is_none_or(|script| script.is_match(bytes))
}

/// Whether what follows the picture is the text of a page or script.
pub(super) fn is_followed_by_page(bytes: &[u8], layout: &Layout) -> bool {
    let tail = bytes.get(layout.end..).unwrap_or_default();
    std::str::from_utf8(tail).is_ok_and(|text| !text.contains('\0')) && has_markup(tail)
}

/// Whether the metadata of the picture holds a page, a script, a PDF or an archive.
pub(super) fn is_in_metadata(bytes: &[u8], layout: &Layout) -> bool {
    let parts = layout.metadata.iter().filter_map(|range| bytes.get(range.clone()));
    parts.into_iter().any(is_hidden_in)
}

/// Whether a page, a script, a PDF or an archive is in this part of a file.
pub(super) fn is_hidden_in(part: &[u8]) -> bool {
    has_markup(part) || DOCUMENTS.iter().any(|start| part.windows(start.len()).any(|it| it == *start))
}
