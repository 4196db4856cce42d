//! Setting storage and rows against each other: what no row names is removed, and what is missing is told.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::dream::Core;
use crate::error::{Error, Fault, Result};
use crate::kernel::Timestamp;
use crate::outbox::{self, TaskKind};
use crate::ports::{BlobInfo, BlobKey, Blobs};
use crate::store::{Change, Tx};
use crate::{characters, gallery, jobs, templates, uploads, users};

/// Removals under way at once.
const SIDE_BY_SIDE: usize = 16;

/// How storage is to be swept.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{Code, SweepOptions};
/// use std::time::Duration;
///
/// let admin = world.admin().await;
/// let rash = SweepOptions { grace: Duration::from_mins(5), ..SweepOptions::default() };
/// let refused = admin.sweep_storage(&rash, |_| {}).await.unwrap_err();
/// assert_eq!(refused.code(), Code::ValidationFailed, "at least an hour");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepOptions {
    /// Only tells what would be removed.
    pub dry_run: bool,
    /// What was written less than this long ago stays. At least an hour.
    pub grace: Duration,
}

impl SweepOptions {
    /// The shortest grace. Whatever is being written right now is much younger.
    pub const LEAST_GRACE: Duration = Duration::from_hours(1);
}

impl Default for SweepOptions {
    /// Removes what is a day old.
    fn default() -> Self {
        Self { dry_run: false, grace: Duration::from_hours(24) }
    }
}

/// How far a sweep is.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::{SweepOptions, SweepProgress};
///
/// # let admin = world.admin().await;
/// let told = |progress| match progress {
///     SweepProgress::Listing { objects } => println!("{objects} objects so far"),
///     SweepProgress::Reading { names } => println!("{names} names so far"),
///     SweepProgress::Removing { done, of } => println!("{done} of {of} removed"),
/// };
/// admin.sweep_storage(&SweepOptions::default(), told).await?;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepProgress {
    /// Objects are listed; so many so far.
    Listing {
        /// Objects.
        objects: usize,
    },
    /// Rows are read that name objects; so many names so far.
    Reading {
        /// Names.
        names: usize,
    },
    /// Objects are removed.
    Removing {
        /// So many of them are done.
        done: usize,
        /// So many there are.
        of: usize,
    },
}

/// An object that no row named.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::SweepOptions;
///
/// # world.blobs().put(&"left/over.png".parse().unwrap(), "image/png", "old".into()).await?;
/// # let in_two_days = std::time::SystemTime::now() + std::time::Duration::from_hours(48);
/// # world.clock().set(dream_core::kernel::Timestamp::from_secs(in_two_days.duration_since(std::time::UNIX_EPOCH)?.as_secs() as i64));
/// let report = world.admin().await.sweep_storage(&SweepOptions::default(), |_| {}).await?;
/// let removed = &report.removed[0];
/// assert_eq!((removed.key.as_str(), removed.size), ("left/over.png", 3), "bytes");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub key: BlobKey,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Timestamp,
}

/// An object that is not there.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::SweepOptions;
///
/// # let me = world.alice().await.session().await;
/// # let mut png = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(16, 16).write_to(&mut png, image::ImageFormat::Png)?;
/// # let upload = me.upload_picture(png.into_inner().into(), "me.png").await?;
/// # let (type_, bytes) = ("image/png", world.blobs().get(&upload.key, None).await?.unwrap().bytes);
/// // Somebody has removed an object past us.
/// world.blobs().delete(&upload.key).await?;
/// let options = SweepOptions { dry_run: true, ..SweepOptions::default() };
/// let report = world.admin().await.sweep_storage(&options, |_| {}).await?;
/// assert_eq!(report.missing[0].key, upload.key);
/// assert!(report.missing[0].named_by.starts_with("upload:"));
/// # world.blobs().put(&upload.key, type_, bytes).await?;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub key: BlobKey,
    /// The row that names it, such as `upload:7`.
    pub named_by: String,
}

/// What a sweep found and did.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::SweepOptions;
///
/// # world.blobs().put(&"left/over.png".parse().unwrap(), "image/png", "old".into()).await?;
/// let report = world.admin().await.sweep_storage(&SweepOptions::default(), |_| {}).await?;
/// // Nobody names it, but it was written just now: perhaps its row is still to come.
/// assert_eq!((report.objects, report.bytes, report.young, report.removed.len()), (1, 3, 1, 0));
/// # world.blobs().delete(&"left/over.png".parse().unwrap()).await?;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Objects there were.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that no row names, but that are too young to be removed.
    pub young: usize,
    /// Objects whose removal is planned already.
    pub leaving: usize,
    /// Objects that were removed, or would be.
    pub removed: Vec<Removed>,
    /// Objects that could not be removed, and why.
    pub failed: Vec<(BlobKey, String)>,
    /// Objects that rows name and that are not there.
    pub missing: Vec<Missing>,
}

/// An object that a row names.
#[derive(Debug)]
pub(crate) struct Named {
    key: BlobKey,
    by: String,
    /// Whether something is wrong if it is not there.
    needed: bool,
}

/// Collects what rows name.
pub(crate) struct Names<'a> {
    blobs: &'a dyn Blobs,
    found: Vec<Named>,
}

impl Names<'_> {
    /// The row has an object of this name.
    pub(crate) fn key(&mut self, by: impl Into<String>, key: Option<&str>) {
        if let Some(key) = key.and_then(|key| key.parse().ok()) {
            self.found.push(Named { key, by: by.into(), needed: true });
        }
    }

    /// The row has a picture under this address, which may be ours.
    pub(crate) fn url(&mut self, by: impl Into<String>, url: Option<&str>) {
        if let Some(key) = url.and_then(|url| self.blobs.key_of(url)) {
            self.found.push(Named { key, by: by.into(), needed: true });
        }
    }

    /// The row shows a picture under this address that it does not have.
    pub(crate) fn foreign_url(&mut self, by: impl Into<String>, url: &str) {
        if let Some(key) = self.blobs.key_of(url) {
            self.found.push(Named { key, by: by.into(), needed: false });
        }
    }
}

impl Admin {
    /// Removes the objects in storage that no row names, and tells which ones are missing that a row names.
    ///
    /// Safe on a live system: what is being written is planned to be removed until a row names it, so it is known, and
    /// what is young stays in any case.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::SweepOptions;
    ///
    /// let admin = world.admin().await;
    /// // Look first, remove afterwards.
    /// let options = SweepOptions { dry_run: true, ..SweepOptions::default() };
    /// let report = admin.sweep_storage(&options, |progress| println!("{progress:?}")).await?;
    /// println!("{} of {} objects could go", report.removed.len(), report.objects);
    /// assert!(report.missing.is_empty(), "no row names an object that is not there");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a grace of less than an hour; `UPSTREAM_ERROR` and its kin if the objects cannot be
    /// listed; `UNAVAILABLE` if the database cannot be asked. An object that cannot be removed is told in the report.
    pub async fn sweep_storage(
        &self,
        options: &SweepOptions,
        mut progress: impl FnMut(SweepProgress) + Send,
    ) -> Result<SweepReport> {
        if options.grace < SweepOptions::LEAST_GRACE {
            let least = i64::try_from(SweepOptions::LEAST_GRACE.as_secs()).unwrap_or(i64::MAX);
            return Err(Error::invalid_field("grace", Fault::Range { min: least, max: i64::MAX }));
        }
        let core = &self.core;
        let cutoff = core.now().minus(options.grace);
        let mut there = list(core, &mut progress).await?;
        let mut report = SweepReport {
            objects: there.len(),
            bytes: there.values().map(|info| info.size).sum(),
            ..SweepReport::default()
        };
        // Planned removals before names: what is called off in between is named by then.
        let leaving = leaving(core).await?;
        strike_named(core, &mut there, &mut report, &mut progress).await?;
        let mut orphans = Vec::new();
        for (key, info) in there {
            if leaving.contains(&key) {
                report.leaving += 1;
            } else if info.modified >= cutoff {
                report.young += 1;
            } else {
                orphans.push(info);
            }
        }
        if options.dry_run {
            report.removed = orphans.into_iter().map(removed).collect();
        } else {
            remove(core, orphans, &mut report, &mut progress).await;
            core.store.run(&Record { admin: self, report: &report, now: core.now() }).await?;
        }
        Ok(report)
    }
}

fn removed(info: BlobInfo) -> Removed {
    Removed { key: info.key, size: info.size, modified: info.modified }
}

async fn list(
    core: &Core,
    progress: &mut (impl FnMut(SweepProgress) + Send),
) -> Result<BTreeMap<BlobKey, BlobInfo>> {
    let mut there = BTreeMap::new();
    let mut after = None;
    loop {
        let page = core.blobs.list("", after.as_ref()).await?;
        there.extend(page.items.into_iter().map(|info| (info.key.clone(), info)));
        progress(SweepProgress::Listing { objects: there.len() });
        after = page.next;
        if after.is_none() {
            return Ok(there);
        }
    }
}

async fn leaving(core: &Core) -> Result<HashSet<BlobKey>> {
    let subjects = outbox::subjects(&mut core.store.db(), TaskKind::BlobDelete).await?;
    Ok(subjects.iter().filter_map(|subject| subject.parse().ok()).collect())
}

/// Where names of objects stand.
#[derive(Debug, Clone, Copy)]
enum Source {
    Uploads,
    Photos,
    Jobs,
    Gallery,
    Users,
    PromptTemplates,
    ParamTemplates,
}

impl Source {
    const ALL: [Source; 7] = [
        Source::Uploads,
        Source::Photos,
        Source::Jobs,
        Source::Gallery,
        Source::Users,
        Source::PromptTemplates,
        Source::ParamTemplates,
    ];

    /// Reads some rows behind the one with this id; the id of the last, unless there are no more.
    async fn read(self, core: &Core, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
        let db = &mut core.store.db();
        match self {
            Source::Uploads => uploads::names(db, after, names).await,
            Source::Photos => characters::names(db, after, names).await,
            Source::Jobs => jobs::names(db, after, names).await,
            Source::Gallery => gallery::names(db, after, names).await,
            Source::Users => users::names(db, after, names).await,
            Source::PromptTemplates => templates::prompt_names(db, after, names).await,
            Source::ParamTemplates => templates::param_names(db, after, names).await,
        }
    }
}

/// Takes what rows name out of what is there, and notes what they name in vain.
async fn strike_named(
    core: &Core,
    there: &mut BTreeMap<BlobKey, BlobInfo>,
    report: &mut SweepReport,
    progress: &mut (impl FnMut(SweepProgress) + Send),
) -> Result<()> {
    let mut struck = HashSet::new();
    let mut read = 0;
    for source in Source::ALL {
        let mut after = Some(0);
        while let Some(id) = after {
            let mut names = Names { blobs: core.blobs.as_ref(), found: Vec::new() };
            after = source.read(core, id, &mut names).await?;
            read += names.found.len();
            for name in names.found {
                if there.remove(&name.key).is_some() {
                    struck.insert(name.key);
                } else if name.needed
                    && !struck.contains(&name.key)
                    // It may have been written after the list was read.
                    && core.blobs.head(&name.key).await?.is_none()
                {
                    report.missing.push(Missing { key: name.key, named_by: name.by });
                }
            }
            progress(SweepProgress::Reading { names: read });
        }
    }
    Ok(())
}

async fn remove(
    core: &Core,
    orphans: Vec<BlobInfo>,
    report: &mut SweepReport,
    progress: &mut (impl FnMut(SweepProgress) + Send),
) {
    let of = orphans.len();
    let mut removals = stream::iter(orphans)
        .map(|info| async move {
            let outcome = match core.blobs.head(&info.key).await {
                // Somebody has written it again since. S3 tells the second of one object, and more of a list.
                Ok(Some(now)) if now.modified.as_secs() != info.modified.as_secs() => Ok(false),
                Ok(_) => core.blobs.delete(&info.key).await.map(|()| true),
                Err(failure) => Err(failure),
            };
            (info, outcome)
        })
        .buffer_unordered(SIDE_BY_SIDE);
    let mut done = 0;
    while let Some((info, outcome)) = removals.next().await {
        done += 1;
        match outcome {
            Ok(true) => report.removed.push(removed(info)),
            Ok(false) => report.young += 1,
            Err(failure) => report.failed.push((info.key, failure.to_string())),
        }
        progress(SweepProgress::Removing { done, of });
    }
    report.removed.sort_by(|one, other| one.key.cmp(&other.key));
}

struct Record<'a> {
    admin: &'a Admin,
    report: &'a SweepReport,
    now: Timestamp,
}

impl Change for Record<'_> {
    const NAME: &'static str = "blobs.record_sweep";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let bytes: u64 = self.report.removed.iter().map(|removed| removed.size).sum();
        let figures = serde_json::json!({
            "removed": self.report.removed.len(),
            "bytes": bytes,
            "failed": self.report.failed.len(),
            "missing": self.report.missing.len(),
        });
        let entry = AuditEntry::new("storage.sweep", "storage".to_owned()).after(figures);
        admin::record(tx, self.admin, entry, self.now).await
    }
}
