//! Files that are a picture and something else at the same time. Writing pixels anew would leave the other part
//! behind, but nobody makes such a file by accident.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Beginnings of pages and scripts. A browser of old ran them wherever they stood.
const SCRIPTS: &[&str] = &["<script", "<!doctype html", "<html", "<body", "<iframe", "<svg", "<?php"];
/// Readers take a PDF whose header stands within its first 1024 bytes.
const PDF: (&[u8], usize) = (b"%PDF-", 1024);
/// The record that ends an archive (APPNOTE.TXT, 4.3.16), of this size, with a comment of at most 64 KiB behind it.
const ZIP_END: &[u8] = b"PK\x05\x06";
const ZIP_END_SIZE: usize = 22;

static SCRIPT: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(SCRIPTS).ok());

/// What else the file is.
pub(super) fn found_in(bytes: &[u8]) -> Option<&'static str> {
    let (pdf, within) = PDF;
    let start = &bytes[..bytes.len().min(within)];
    if start.windows(pdf.len()).any(|window| window == pdf) {
        Some("a PDF")
    } else if ends_as_archive(bytes) {
        Some("an archive")
    } else if SCRIPT.as_ref().is_none_or(|script| script.is_match(bytes)) {
        Some("a page or script")
    } else {
        None
    }
}

/// An archive is read from its end: the last record says how long the comment behind it is.
fn ends_as_archive(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(ZIP_END_SIZE + usize::from(u16::MAX))..];
    let records = tail.windows(ZIP_END_SIZE).enumerate().filter(|(_, record)| record.starts_with(ZIP_END));
    records.into_iter().any(|(at, record)| {
        let comment = usize::from(u16::from_le_bytes([record[20], record[21]]));
        at + ZIP_END_SIZE + comment <= tail.len()
    })
}
