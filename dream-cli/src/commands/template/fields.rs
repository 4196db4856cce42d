//! What a template says, as it is given on the command line.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use super::file;
use crate::exit::{Exit, Trouble};

/// What the template says. The rules are those of the server, which names whatever breaks them.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// All of it, from a file in JSON or YAML; `-` for standard input. What is given beside it wins
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its name, for people
    #[arg(long)]
    title: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// The prompt
    #[arg(long)]
    prompt: Option<String>,
    /// What kind of picture the prompt makes
    #[arg(long)]
    category: Option<String>,
    /// Whether the prompt is to be pointed out
    #[arg(long, value_name = "YES")]
    hot: Option<bool>,
    /// The address of a small example
    #[arg(long, value_name = "URL")]
    thumbnail: Option<String>,
    /// The address of an example; may be given several times, and takes the place of all that there were
    #[arg(long, value_name = "URL")]
    preview: Vec<String>,
    /// Draft or final
    #[arg(long)]
    mode: Option<String>,
    /// 1K, 2K or 4K
    #[arg(long)]
    resolution: Option<String>,
    /// Such as 16:9
    #[arg(long)]
    aspect_ratio: Option<String>,
    /// How many pictures
    #[arg(long, value_name = "N")]
    sample_count: Option<i64>,
}

impl Fields {
    /// The fields by the names that the server knows them by.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Trouble> {
        let mut object = match &self.file {
            None => Map::new(),
            Some(file) => match file::read(file, None)? {
                Value::Object(object) => object,
                _ => return Err(Trouble::new(Exit::Usage, "USAGE", "the file has to hold one template")),
            },
        };
        let texts = [
            ("title", &self.title),
            ("description", &self.description),
            ("prompt", &self.prompt),
            ("category", &self.category),
            ("thumbnailUrl", &self.thumbnail),
            ("mode", &self.mode),
            ("resolution", &self.resolution),
            ("aspectRatio", &self.aspect_ratio),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                object.insert(name.to_owned(), text.as_str().into());
            }
        }
        if let Some(hot) = self.hot {
            object.insert("isHot".to_owned(), hot.into());
        }
        if let Some(count) = self.sample_count {
            object.insert("sampleCount".to_owned(), count.into());
        }
        if !self.preview.is_empty() {
            object.insert("previewImages".to_owned(), self.preview.clone().into());
        }
        Ok(object)
    }
}
