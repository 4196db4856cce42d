//! Runs the binary as a person or a script would, with nothing of the environment but what a test says.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use dream_testkit::backends::Backend;
use dream_testkit::world::TestDream;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Prints why a test cannot run here, and fails it where every test is demanded.
pub(crate) fn left_out(why: &str) {
    use std::io::Write as _;
    assert!(std::env::var("DREAM_TEST_BACKENDS").as_deref() != Ok("all"), "{why}");
    // Past the capture of a passing test's output. A closed standard error is no reason to fail.
    drop(writeln!(std::io::stderr(), "LEFT OUT: {why}"));
}

/// Where commands are typed: a folder of its own, and an environment.
pub(crate) struct Shell {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shell {
    /// With these variables and no others.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Self { folder: tempfile::tempdir().expect("a folder"), variables: variables.collect() }
    }

    /// Beside a world: on its database, with its pictures, and with its payments if it takes any.
    pub(crate) fn beside(world: &TestDream, backend: &Backend, payments: bool) -> Self {
        let uploads = backend.folder().join("uploads").display().to_string();
        let mut variables = vec![
            ("DATABASE_URL", backend.database_url().to_owned()),
            ("BASE_URL", "https://dream.test".to_owned()),
            ("UPLOAD_DIR", uploads),
        ];
        if payments {
            let config = world.wechat_pay().config("https://dream.test/v1/orders/payment-callback", "");
            let keys = world.wechat_pay().credentials();
            variables.extend([
                ("WECHAT_APPID", config.appid),
                ("WECHAT_SECRET", "0123456789abcdef0123456789abcdef".to_owned()),
                ("WECHAT_PAY_BASE_URL", keys.base_url),
                ("WECHAT_PAY_MCH_ID", keys.mchid),
                ("WECHAT_PAY_SERIAL_NO", keys.merchant_serial),
                ("WECHAT_PAY_API_V3_KEY", keys.api_v3_key),
                ("WECHAT_PAY_PRIVATE_KEY", keys.merchant_key_pem),
                ("WECHAT_PAY_PUBLIC_KEY_ID", keys.platform_key_id),
                ("WECHAT_PAY_PUBLIC_KEY", keys.platform_key_pem),
            ]);
        }
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Self::with(&variables)
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command that is about to be run.
    pub(crate) fn prepare(&self, args: &[&str]) -> Command {
        self.around(env!("CARGO_BIN_EXE_dream"), args)
    }

    /// Another program that runs the binary.
    pub(crate) fn around(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.variables.iter().map(|(name, text)| (name, text)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Types a command and waits for its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let output = self.prepare(args).output().await.expect("the binary runs");
        let ran = Ran {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        };
        assert!(!ran.err.contains("panicked"), "{args:?}: {ran:?}");
        ran
    }

    /// What a command prints that succeeds.
    pub(crate) async fn out(&self, args: &[&str]) -> String {
        self.run(args).await.done()
    }

    /// What a command says to programs that succeeds.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let ran = self.run(&args).await;
        assert_eq!(ran.err, "", "{args:?}");
        serde_json::from_str(&ran.done()).expect("JSON")
    }
}

impl Ran {
    /// What it printed, if it succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Checks that it failed with this exit code and this word, and printed no result.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, word: &str) -> Self {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert!(self.err.contains(word), "{self:?}");
        self
    }

    /// The columns of the line that begins with this.
    #[track_caller]
    pub(crate) fn columns(&self, first: &str) -> Vec<String> {
        columns(&self.out, first)
    }
}

/// The columns of the line that begins with this: they are two spaces apart or more.
#[track_caller]
pub(crate) fn columns(text: &str, first: &str) -> Vec<String> {
    let line = text.lines().map(str::trim).find(|line| line.starts_with(first));
    let line = line.unwrap_or_else(|| panic!("no line begins with {first:?}:\n{text}"));
    line.split("  ").map(str::trim).filter(|column| !column.is_empty()).map(str::to_owned).collect()
}
