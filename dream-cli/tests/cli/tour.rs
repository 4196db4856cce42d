//! The tour of the README is typed as it stands there, against the server that `dream serve` starts.
//!
//! A `bash` block is typed; the `text` block after it is what comes out, where `…` stands for anything.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(1);
/// Printed after each block, so that what comes out can be told apart.
const MARK: &str = "--- end of a block ---";
/// Where the README says that the server is, unless `DREAM` says otherwise.
const DOCUMENTED: &str = "http://localhost:3000";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_path_buf()
}

/// What is typed, and what comes out.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    typed: String,
    printed: Option<String>,
}

/// The steps of the tour in this file.
fn tour_of(file: &str) -> Vec<Step> {
    let text = fs::read_to_string(root().join(file)).expect("a README");
    let tour =
        text.split_once("<!-- tour:start -->").and_then(|(_, rest)| rest.split_once("<!-- tour:end -->"));
    let (tour, _) = tour.expect("the marks of a tour");
    let mut steps: Vec<Step> = Vec::new();
    let mut block: Option<(&str, String)> = None;
    for line in tour.lines() {
        match (block.take(), line.strip_prefix("```")) {
            (None, None) => {}
            (None, Some(language)) => block = Some((language, String::new())),
            (Some((language, text)), None) => block = Some((language, text + line + "\n")),
            (Some(("bash", typed)), Some(_)) => steps.push(Step { typed, printed: None }),
            (Some(("text", text)), Some(_)) => {
                let step = steps.last_mut().filter(|step| step.printed.is_none());
                step.expect("what comes out stands after what is typed").printed = Some(text);
            }
            (Some((language, _)), Some(_)) => panic!("{file}: a block of {language:?} in the tour"),
        }
    }
    steps
}

/// `dream serve` on a free port, with nothing around it.
struct Server {
    child: Child,
    banner: Vec<String>,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dream"))
            .arg("serve")
            .current_dir(folder)
            .env_clear()
            .envs([("PORT", "0"), ("HOST", "127.0.0.1"), ("LOG_LEVEL", "warn")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (tell, told) = mpsc::channel();
        // Reads to the end, so that the server never waits for a reader.
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        let mut server = Self { child, banner: Vec::new() };
        // The banner ends with three commands to type.
        while !server.banner.last().is_some_and(|line| line.contains("/v1/proxy/jobs")) {
            let line = told.recv_timeout(PATIENCE).expect("the whole banner");
            server.banner.push(line);
        }
        server
    }

    /// What the banner says of this.
    fn told(&self, name: &str) -> &str {
        let said = self.banner.iter().find_map(|line| line.trim_start().strip_prefix(name));
        said.unwrap_or_else(|| panic!("the banner says nothing of {name}: {:#?}", self.banner)).trim()
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) {
        let asked = Command::new("bash").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(asked.expect("bash").success());
        assert!(self.child.wait().expect("an end").success(), "it did not stop cleanly");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Types everything into one shell; what came out, block by block.
fn type_all(steps: &[Step], address: &str, folder: &Path) -> (Vec<String>, Output) {
    let blocks: String =
        steps.iter().map(|step| step.typed.clone() + "printf '\\n%s\\n' '" + MARK + "'\n").collect();
    let script = format!("set -euo pipefail\n{blocks}");
    let output = Command::new("timeout")
        .args(["120", "bash", "-c", &script])
        .current_dir(folder)
        .envs([("DREAM", address), ("no_proxy", "*")])
        .output()
        .expect("bash");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut blocks: Vec<String> = printed.split(&format!("\n{MARK}\n")).map(str::to_owned).collect();
    blocks.pop();
    (blocks, output)
}

/// Whether the text has this shape: the pieces between the gaps, in their order, with nothing else at the ends.
fn has_shape(text: &str, shape: &str) -> bool {
    let mut pieces = shape.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for piece in pieces {
        last = Some(piece);
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    match last {
        None => rest.is_empty(),
        // It may have been found too early, so only the end counts.
        Some(last) => rest.is_empty() || rest.ends_with(last),
    }
}

#[test]
fn the_tour_of_the_readme_can_be_typed_as_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let steps = tour_of("README.md");
    assert!(steps.len() > 10, "the tour is not there");
    let (printed, output) = type_all(&steps, server.told("address"), folder.path());
    let complaints = String::from_utf8_lossy(&output.stderr);
    for (step, printed) in steps.iter().zip(&printed) {
        let expected = step.printed.as_deref().unwrap_or_default();
        assert!(
            has_shape(printed.trim_end(), expected.trim_end()),
            "typed:\n{}\nREADME:\n{expected}\nprinted:\n{printed}\n{complaints}",
            step.typed
        );
    }
    assert_eq!(printed.len(), steps.len(), "it broke off: {:?} {complaints}", steps.get(printed.len()));
    assert!(output.status.success(), "{complaints}");
    server.stop();
}

#[test]
fn the_tour_goes_to_the_address_that_the_server_has_by_default() {
    let steps = tour_of("README.md");
    let first = &steps.first().expect("a step").typed;
    assert!(first.contains(&format!("DREAM=${{DREAM:-{DOCUMENTED}}}")), "{first}");
}

#[test]
fn both_readmes_have_one_tour() {
    assert_eq!(tour_of("README.md"), tour_of("README.zh-CN.md"));
}

#[test]
fn shapes_leave_gaps_and_nothing_else() {
    for (text, shape, fits) in [
        (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#, true),
        (r#"{"a":1,"b":2}"#, r#"{"a":…}"#, true),
        (r#"{"a":1,"b":{"c":2}}"#, r#"{"a":…}"#, true),
        (r#"{"a":1,"b":2}"#, r#"…"b":2…"#, true),
        (r#"{"a":1,"b":2}"#, r#"{"a":…"b":3}"#, false),
        (r#"{"a":1,"b":2}"#, r#"{"a":1"#, false),
        (r#"{"a":1,"b":2}"#, r#"{"b":…"a":…}"#, false),
        ("", "", true),
        ("x", "", false),
    ] {
        assert_eq!(has_shape(text, shape), fits, "{text} {shape}");
    }
}
