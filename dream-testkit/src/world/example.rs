use std::error::Error;

use super::{TestDream, WorldOptions};
use crate::backends::{self, BackendKind};

/// Runs an example in a world of its own, on SQLite, and checks the books at its end. It is made for documentation:
/// the few lines around an example are hidden, and its `?` works.
///
/// ```
/// use dream_testkit::world;
///
/// world::example(async |world| {
///     let me = world.alice().await.session().await;
///     assert_eq!(me.balance().await?.balance.get(), 0);
///     Ok(())
/// });
/// ```
///
/// # Panics
/// If the example fails, or something is wrong with the books.
pub fn example(body: impl AsyncFnOnce(&TestDream) -> Result<(), Box<dyn Error>>) {
    example_on(|world| world, body);
}

/// As [`example`], in a world that differs from what most want.
///
/// ```
/// use dream_testkit::world;
///
/// world::example_on(|world| world.daily_quota(0), async |world| {
///     let alice = world.alice().await;
///     let refused = alice.generate(&world::draft("a cat", 1)).await.unwrap_err();
///     assert_eq!(refused.code(), dream_core::Code::QuotaExceeded);
///     Ok(())
/// });
/// ```
///
/// # Panics
/// As [`example`].
pub fn example_on(
    options: impl FnOnce(WorldOptions) -> WorldOptions,
    body: impl AsyncFnOnce(&TestDream) -> Result<(), Box<dyn Error>>,
) {
    backends::run(BackendKind::Sqlite, backends::migrate, async |backend| {
        let world = options(TestDream::on(&backend)).start().await;
        body(&world).await.expect("the example goes well");
        world.check_books().await;
        world.dream().close().await;
    });
}
