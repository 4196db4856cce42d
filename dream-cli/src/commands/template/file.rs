//! Templates in files: JSON or YAML.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::exit::{Exit, Trouble};
use crate::output::Output;

/// Most bytes of a file of templates.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON
    Json,
    /// YAML 1.2
    Yaml,
}

impl Format {
    /// The format that was asked for, else the one of the file's name, else JSON.
    fn of(asked: Option<Self>, file: Option<&Path>) -> Self {
        let ending = file.and_then(Path::extension).and_then(|ending| ending.to_str());
        asked.unwrap_or(match ending {
            Some("yaml" | "yml") => Format::Yaml,
            _ => Format::Json,
        })
    }
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(file: &Path, format: Option<Format>) -> Result<Value, Trouble> {
    let format = Format::of(format, Some(file));
    let named = file.display().to_string();
    let text = whole(file).map_err(|error| Trouble::from(error).while_(&format!("reading {named}")))?;
    let parsed = match format {
        Format::Json => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Format::Yaml => from_yaml(&text),
    };
    parsed.map_err(|error| {
        let word = if format == Format::Json { "JSON" } else { "YAML" };
        let mut trouble = Trouble::new(Exit::Usage, "UNREADABLE", format!("{named} is no {word}"));
        trouble.details = error.lines().map(str::to_owned).collect();
        trouble
    })
}

/// YAML 1.2, in which `no` is a text.
fn from_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

fn whole(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "more than 16 MiB");
    let read = if file == Path::new("-") {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_string(&mut text)?
    } else {
        File::open(file)?.take(MAX_BYTES + 1).read_to_string(&mut text)?
    };
    if u64::try_from(read).is_ok_and(|read| read <= MAX_BYTES) { Ok(text) } else { Err(too_large()) }
}

/// Writes a file that is there once it is whole, or to standard output.
pub(super) fn write<T: Serialize>(
    value: &T,
    file: Option<&Path>,
    format: Option<Format>,
    output: Output,
) -> Result<(), Trouble> {
    let text = match Format::of(format, file) {
        Format::Json => serde_json::to_string_pretty(value).map_err(io::Error::other)? + "\n",
        Format::Yaml => serde_saphyr::to_string(value).map_err(io::Error::other)?,
    };
    let Some(file) = file else { return output.bytes(text.as_bytes()) };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = file.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!(".{named}.part"));
    let written = File::create(&unfinished)
        .and_then(|mut part| part.write_all(text.as_bytes()).and_then(|()| part.sync_all()))
        .and_then(|()| fs::rename(&unfinished, file));
    written.map_err(|error| {
        drop(fs::remove_file(&unfinished));
        Trouble::from(error).while_(&format!("writing {}", file.display()))
    })?;
    output.note(&format!("the templates are in {}", file.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use dream_core::templates::TemplateSet;
    use dream_http::input::read_value;
    use dream_http::wire::templates::{StoredTemplates, TemplateFile};
    use serde_json::{Value, json};

    /// Texts that YAML could take for something else.
    fn tricky() -> TemplateSet {
        let prompts: Vec<Value> = [
            "no",
            "null",
            "~",
            "1:30",
            "0x1F",
            "1e3",
            "- a",
            "a: b",
            "# a",
            "\"quoted\"",
            "tab\there",
            "two\nlines\n",
            "trailing \n spaces",
            "小明",
            "@at",
            "%percent",
            "!tag",
            "&anchor",
            "*alias",
            "2026-01-28",
            " leading",
            "'",
            "{a}",
            "[b]",
            "| block",
            "> folded",
            "emoji 🐈",
            "end:",
        ]
        .iter()
        .enumerate()
        .map(|(number, text)| {
            json!({
                "templateId": format!("t.{number}"), "title": text, "prompt": text, "category": "1",
                "description": if number % 2 == 0 { Some(text) } else { None }, "isHot": number % 3 == 0,
            })
        })
        .collect();
        let params = json!([{
            "templateId": "16-9", "title": "1K", "mode": "final", "resolution": "1K", "aspectRatio": "16:9",
            "sampleCount": 4, "previewImages": ["https://pictures.example/1.png"],
        }]);
        let file: TemplateFile = read_value(json!({ "prompts": prompts, "params": params })).unwrap();
        file.into()
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let set = tricky();
        let json = serde_json::to_string_pretty(&StoredTemplates::from(&set)).unwrap();
        let yaml = serde_saphyr::to_string(&StoredTemplates::from(&set)).unwrap();
        let from_json: TemplateFile = read_value(serde_json::from_str(&json).unwrap()).unwrap();
        let from_yaml: TemplateFile = read_value(super::from_yaml(&yaml).unwrap()).unwrap();
        assert_eq!(TemplateSet::from(from_json), set);
        assert_eq!(TemplateSet::from(from_yaml), set, "{yaml}");
    }
}
