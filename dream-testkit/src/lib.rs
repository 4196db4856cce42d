//! Everything outside of Dream, played by real servers on a loopback port, with faults on demand; and a world around
//! Dream for tests.
//!
//! # A test
//!
//! ```no_run
//! use dream_testkit::fakes::image_api::operation;
//! use dream_testkit::faults::Fault;
//! use dream_testkit::on_every_backend;
//! use dream_testkit::world::TestDream;
//!
//! // Makes the tests `a_lost_answer_makes_no_second_job::sqlite` and `…::postgres`.
//! on_every_backend!(a_lost_answer_makes_no_second_job, |backend| async move {
//!     let world = TestDream::start(&backend).await;
//!     let alice = world.alice().await;
//!     // The image API does what it is asked, and hangs up in place of answering.
//!     world.image_api().faults().next(operation::SUBMIT, Fault::DropAfter);
//!     let job = alice.generates("a lighthouse").await;
//!     // Time passes, and what falls due is done, until nothing is left to do.
//!     world.settle().await;
//!     assert_eq!(alice.job(&job.job_id).await.result_urls.len(), 1);
//!     assert_eq!(world.image_api().jobs().len(), 1);
//!     // Checks the books: balances against entries, jobs against the image API, objects against rows.
//!     world.finish().await;
//! });
//! ```
//!
//! # What there is
//!
//! | module | what it is |
//! |---|---|
//! | [`fakes`] | WeChat, WeChat Pay, R2 and the image API; they speak the wire protocols, check signatures, and keep state as the real ones do, so that the adapters that talk to them run for real |
//! | [`faults`] | what goes wrong, and when |
//! | [`sandbox`] | all fakes at once, with credentials that fit: what `dream sandbox` runs |
//! | [`control`] | the sandbox's page in a browser: payments, trouble, requests with their signatures explained |
//! | [`world`] | Dream among the fakes, people who log in, and books that are checked |
//! | [`backends`] | SQLite, PostgreSQL and Redis for a test, on private servers that end with the run |
//! | [`conformance`] | what every adapter of a port has to keep, to be held against one of your own |
//! | [`clock`], [`entropy`] | time that stands until it is moved, and randomness that comes again |
//! | [`wait`] | waiting for a condition, with a limit |
//!
//! # Time
//!
//! A world's clock stands still. `settle` and `pass` move it to whatever falls due next; nothing sleeps, and six hours
//! of retries take milliseconds.
//!
//! # Errors and panics
//!
//! What runs tests panics where something is wrong, since that is how a test fails: [`world`], [`conformance`] and the
//! macros. The fakes and the sandbox do not: they fail with an [`std::io::Error`] if a port cannot be had, and answer
//! whatever they are asked.
//!
//! # Dropping
//!
//! A fake stops when it is dropped. A world that is dropped without `finish` or `check_books` checks its books then,
//! which needs a runtime of several threads.
//!
//! # Features and the minimum supported Rust version
//!
//! There are no cargo features. It needs Rust 1.94.1, and for tests on PostgreSQL and Redis their servers, which it finds
//! where Debian puts them.

mod alone;
pub mod backends;
pub mod clock;
pub mod conformance;
pub mod control;
pub mod entropy;
pub mod fakes;
pub mod faults;
pub mod flaky_blobs;
pub mod sandbox;
pub mod sandbox_state;
pub mod simulation;
pub mod wait;
pub mod world;

pub use alone::alone;
