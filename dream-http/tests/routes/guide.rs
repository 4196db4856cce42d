//! The guides say what is true: tables that follow from the code, links that lead somewhere, tests that are there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dream_core::kernel::Timestamp;
use dream_core::{Code, Error, Fault, Format};
use dream_http::problem::{Asked, Lang, Problem, status};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// What people are told of an error.
fn told(error: &Error, lang: Lang) -> Problem<'_> {
    Problem::new(error, Asked { lang, request_id: "", path: "", now: Timestamp::from_secs(0) })
}

fn codes() -> String {
    let mut table = String::from("| code | status | again | English | 中文 |\n|---|---|---|---|---|\n");
    for code in Code::ALL {
        let error = Error::new(*code);
        let again = if error.is_retryable() { "yes" } else { "" };
        let (english, chinese) = (told(&error, Lang::En).message, told(&error, Lang::Zh).message);
        let status = status(*code).as_u16();
        writeln!(table, "| `{code}` | {status} | {again} | {english} | {chinese} |").unwrap();
    }
    table
}

fn faults() -> String {
    let every = [
        Fault::Required,
        Fault::Unknown,
        Fault::Type("integer"),
        Fault::Range { min: 1, max: 100 },
        Fault::Length { min: 1, max: 20 },
        Fault::OneOf(&["draft", "final"]),
        Fault::Format(Format::Day),
        Fault::Conflict("cursor"),
        Fault::Duplicate,
        Fault::NotFound,
    ];
    let mut table = String::from("| code | for example | 例如 |\n|---|---|---|\n");
    for fault in every {
        let name = fault.as_str();
        let error = Error::invalid_field("field", fault);
        let sentence = |lang| told(&error, lang).errors.remove(0).message;
        writeln!(table, "| `{name}` | {} | {} |", sentence(Lang::En), sentence(Lang::Zh)).unwrap();
    }
    table
}

/// The text with what stands between these marks replaced.
fn with_part(text: &str, name: &str, part: &str) -> String {
    let (start, end) = (format!("<!-- {name}:start -->\n"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&start).expect("the first mark");
    let (_, after) = rest.split_once(&end).expect("the second mark");
    format!("{before}{start}{part}{end}{after}")
}

#[tokio::test]
async fn the_guide_to_the_api_has_every_code_as_it_is() {
    let kept = tokio::fs::read_to_string(root().join("docs/api.md")).await.unwrap();
    let fresh = with_part(&with_part(&kept, "codes", &codes()), "faults", &faults());
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/api.md");
    tokio::fs::write(path, &fresh).await.unwrap();
    // No `assert_eq`: nobody wants to see both of them.
    assert!(fresh == kept, "docs/api.md is out of date: copy {path} over it");
}

/// Targets of links to files of this repository, and their texts.
fn links(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split(')').next().unwrap();
        let label = text[..at].rsplit('[').next().unwrap();
        if !target.contains("://") && !target.starts_with('#') {
            found.push((label, target.split('#').next().unwrap()));
        }
    }
    found
}

/// Every guide: those at the top, those of the crates, and `docs`.
async fn guides() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let crates =
        ["", "docs", "docs/decisions", "dream-core", "dream-http", "dream-cli", "dream-testkit", "examples"];
    for folder in crates {
        let mut files = tokio::fs::read_dir(root().join(folder)).await.unwrap();
        while let Some(file) = files.next_entry().await.unwrap() {
            if file.path().extension().is_some_and(|extension| extension == "md") {
                found.push(file.path());
            }
        }
    }
    found
}

#[tokio::test]
async fn links_between_the_guides_lead_somewhere() {
    for guide in guides().await {
        let text = tokio::fs::read_to_string(&guide).await.unwrap();
        for (label, target) in links(&text) {
            let there = guide.parent().unwrap().join(target);
            assert!(there.exists(), "{}: [{label}]({target})", guide.display());
        }
    }
}

#[tokio::test]
async fn every_test_that_a_guide_names_is_there() {
    let mut named = 0;
    for guide in guides().await {
        let text = tokio::fs::read_to_string(&guide).await.unwrap();
        for (label, target) in links(&text).into_iter().filter(|(_, target)| target.ends_with("rs")) {
            let Some(test) = label.strip_prefix('`').and_then(|label| label.strip_suffix('`')) else {
                continue;
            };
            let code = tokio::fs::read_to_string(guide.parent().unwrap().join(target)).await.unwrap();
            assert!(code.contains(test), "{}: {target} has no {test}", guide.display());
            named += 1;
        }
    }
    assert!(named > 30, "docs/security.md names its tests");
}
