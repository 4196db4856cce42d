//! `.env.example` and `docs/configuration.md`, as the table tells them.

use std::fmt::Write as _;

use super::table::GROUPS;
use super::variable::Spec;

/// Longest line of a comment in `.env.example`, in characters.
const WIDTH: usize = 110;

/// A file that can be copied to `.env`: every variable, commented out, with its default.
pub(crate) fn env_example() -> String {
    let mut text = String::from(
        "# Copy this to .env and uncomment what is to differ. Read in development only; elsewhere set the environment.\n\
         # `dream config check` shows what is in force and names every fault.\n",
    );
    for group in GROUPS {
        let _ = write!(text, "\n# ---- {} ----\n", group.title);
        for spec in group.variables {
            let _ = write!(text, "\n{}", comment(&sentence(spec)));
            let _ = writeln!(text, "#{}={}", spec.name, spec.default.unwrap_or_default());
        }
    }
    text
}

fn sentence(spec: &Spec) -> String {
    let mut sentence = format!("{}.", spec.meaning.replace('`', ""));
    if let Some(otherwise) = spec.otherwise {
        let _ = write!(sentence, " Unset: {otherwise}.");
    }
    for alias in spec.aliases {
        let _ = write!(sentence, " {alias} is read too.");
    }
    sentence
}

fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(lines, "{line}");
            "#".clone_into(&mut line);
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(lines, "{line}");
    lines
}

/// The page of the documentation.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Dream is configured by environment variables. In development `.env` in the working folder is read as well; the\n\
         environment wins over it. `dream config check` prints what is in force, secrets masked, and names every fault at\n\
         once; so does a failed start. An empty secret is a fault.\n\n\
         This page and `.env.example` are made from the program's own table by `dream config docs`.\n",
    );
    for group in GROUPS {
        let _ = write!(text, "\n## {}\n\n| variable | default | meaning |\n|---|---|---|\n", group.title);
        for spec in group.variables {
            let _ = writeln!(text, "{}", row(spec));
        }
    }
    text.push_str(PROSE);
    text
}

fn row(spec: &Spec) -> String {
    let told = spec.told_default();
    let default = if spec.default == Some(told) { format!("`{told}`") } else { told.to_owned() };
    let mut row = format!("| `{}` | {default} | {}.", spec.name, spec.meaning);
    for alias in spec.aliases {
        let _ = write!(row, " `{alias}` is read too.");
    }
    if spec.is_secret() {
        row.push_str(" Secret.");
    }
    row.push_str(" |");
    row
}

const PROSE: &str = "
## The sandbox

In development, whatever of WeChat, WeChat Pay and the image API has no credentials is played: fakes that speak the
real protocols are started in the same process on loopback ports, and the start-up banner says so. The real adapters
talk to them. Pictures are kept on the local disk unless R2 is configured. Programs built with
`--no-default-features` have no sandbox.

## Production

`APP_ENV=production` refuses to start without `JWT_SECRET`, WeChat's and the image API's credentials, with secrets that
are short or well-known placeholders, and with any part of the sandbox. `CORS_ORIGIN=*` never allows credentials; `*`
beside listed origins, which may send them, is a fault. Without WeChat Pay the server starts, says so, and sells nothing.
";
