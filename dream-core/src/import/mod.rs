//! Taking over the database of the original NestJS service: whatever state it is in, nothing of it is lost without a
//! word, and doing it again changes nothing.
//!
//! Each table is read in batches and written in batches, each a unit of work. What became of a row is noted in
//! `taken_over` in the commit that writes it, so a run that is broken off goes on where it was.

mod balances;
mod batch;
mod people;
mod pictures;
mod rules;
mod shop;
mod source;
mod store;

use std::collections::BTreeMap;

use crate::access::Admin;
use crate::admin::{self, AuditEntry};
use crate::error::Result;
use crate::kernel::{Timestamp, UserId, Zone};
use crate::settings::Settings;
use crate::store::{Change, Series, Tx};
use crate::{gallery, templates};

use batch::{Batch, Became, Taking};
use rules::Cells;
pub use source::OriginalDatabase;
use source::Spec;

/// Which of its two figures is somebody's balance, where they disagree.
///
/// ```
/// use dream_core::{ImportOptions, TrustedBalance};
///
/// // The original service overwrote balances; where the entries are known to be whole, trust them instead.
/// let options = ImportOptions { balance: TrustedBalance::History, ..ImportOptions::default() };
/// # assert_ne!(options.balance, TrustedBalance::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustedBalance {
    /// The one that the user's row shows.
    #[default]
    Shown,
    /// What the entries add up to.
    History,
}

/// How the database of the original service is taken over.
///
/// ```no_run
/// use dream_core::kernel::Zone;
/// use dream_core::{Admin, ImportOptions, OriginalDatabase};
///
/// # async fn take_over(admin: Admin) -> dream_core::Result<()> {
/// let mut original = OriginalDatabase::open("postgres://reader@old.example/dream", "public").await?;
/// // Its server wrote times as a clock in Shanghai showed them.
/// let options = ImportOptions { zone: Zone::named("Asia/Shanghai").ok(), ..ImportOptions::default() };
/// let report = admin.import_original(&mut original, &options, |news| println!("{news:?}")).await?;
/// println!("{} rows taken over", report.taken_over());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Which of two balances counts.
    pub balance: TrustedBalance,
    /// What the clock showed that wrote times without a zone; UTC unless said otherwise.
    pub zone: Option<Zone>,
}

/// What kind of thing is said.
///
/// ```
/// use dream_core::RemarkKind;
///
/// assert_eq!(RemarkKind::LeftOut.as_str(), "LEFT_OUT");
/// // Worst first.
/// assert!(RemarkKind::LeftOut < RemarkKind::Schema);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemarkKind {
    /// A row that is not here now.
    LeftOut,
    /// A user whose balance is not what the entries add up to.
    Balance,
    /// A row that is here, but not as it was.
    Changed,
    /// A table or column that is missing, or that nobody knows.
    Schema,
}

impl RemarkKind {
    /// The kind's name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            RemarkKind::LeftOut => "LEFT_OUT",
            RemarkKind::Balance => "BALANCE",
            RemarkKind::Changed => "CHANGED",
            RemarkKind::Schema => "SCHEMA",
        }
    }
}

/// Something that whoever takes the database over should know.
///
/// ```
/// use dream_core::{Remark, RemarkKind};
///
/// let remark = Remark {
///     kind: RemarkKind::Balance,
///     table: "users".to_owned(),
///     row: Some("7".to_owned()),
///     what: "its row shows 120 points, its entries add up to 100".to_owned(),
/// };
/// let row = remark.row.as_deref().unwrap_or("-");
/// assert_eq!(format!("{} {} {row}", remark.kind.as_str(), remark.table), "BALANCE users 7");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What kind of thing it is.
    pub kind: RemarkKind,
    /// The table of the original service.
    pub table: String,
    /// The row's id there; `None` where it is about the table, or the row has none.
    pub row: Option<String>,
    /// What is to be said, for an operator.
    pub what: String,
}

/// What is told while it goes on.
///
/// ```
/// use dream_core::{ImportNews, RemarkKind};
///
/// // Counts rows for a progress bar, and keeps only what is lost.
/// let (mut rows, mut lost) = (0, Vec::new());
/// let mut told = |news: ImportNews| match news {
///     ImportNews::Rows { more, .. } => rows += more,
///     ImportNews::Remark(remark) if remark.kind == RemarkKind::LeftOut => lost.push(remark),
///     ImportNews::Remark(_) => {}
/// };
/// told(ImportNews::Rows { table: "users", more: 200 });
/// assert_eq!((rows, lost.len()), (200, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportNews {
    /// So many more rows of a table were gone through.
    Rows {
        /// The table.
        table: &'static str,
        /// How many more.
        more: usize,
    },
    /// Something to know. There may be as many as there are rows, so none of them is kept.
    Remark(Remark),
}

/// What became of a table's rows: each of them is one of new, here before, joined and left out.
///
/// ```
/// use dream_core::ImportCount;
///
/// // Of ten rows each has become one of the four.
/// let count = ImportCount { found: 10, new: 6, here_before: 2, joined: 1, left_out: 1 };
/// assert_eq!(count.found, count.new + count.here_before + count.joined + count.left_out);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportCount {
    /// Rows of it.
    pub found: u64,
    /// Those that were taken over now.
    pub new: u64,
    /// Those that were taken over before.
    pub here_before: u64,
    /// Those that are part of a row that was here: another with the same openid, the same favorite.
    pub joined: u64,
    /// Those that were not taken over. Each has a remark.
    pub left_out: u64,
}

/// What came of taking the database over.
///
/// ```
/// use dream_core::{ImportCount, ImportReport, RemarkKind};
///
/// let count = ImportCount { found: 10, new: 9, left_out: 1, ..ImportCount::default() };
/// let report = ImportReport {
///     tables: vec![("users", count)],
///     remarks: [(RemarkKind::LeftOut, 1)].into(),
///     ..ImportReport::default()
/// };
/// assert_eq!((report.taken_over(), report.remarks_of(RemarkKind::LeftOut)), (9, 1));
/// assert!(!report.is_whole(), "somebody should look at the row that is missing");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// The tables, in the order in which they were taken over. Missing ones are not among them.
    pub tables: Vec<(&'static str, ImportCount)>,
    /// How many remarks there were of each kind.
    pub remarks: BTreeMap<RemarkKind, u64>,
    /// Points that all users had by what their rows show, and by what their entries add up to.
    pub shown_points: i64,
    /// As `shown_points`, by the entries.
    pub entered_points: i64,
}

impl ImportReport {
    /// How many remarks there were of this kind.
    pub fn remarks_of(&self, kind: RemarkKind) -> u64 {
        self.remarks.get(&kind).copied().unwrap_or(0)
    }

    /// Rows that were taken over now, or joined to what was here.
    pub fn taken_over(&self) -> u64 {
        self.tables.iter().map(|(_, count)| count.new + count.joined).sum()
    }

    /// Whether every row is here, and no balance was in doubt.
    pub fn is_whole(&self) -> bool {
        self.remarks_of(RemarkKind::LeftOut) == 0 && self.remarks_of(RemarkKind::Balance) == 0
    }
}

/// What the work on every table needs.
struct Context<'a> {
    settings: &'a Settings,
    options: &'a ImportOptions,
    zone: Zone,
    now: Timestamp,
}

/// A run through the tables.
struct Run<'a, F> {
    source: &'a mut OriginalDatabase,
    series: Series<'a>,
    context: Context<'a>,
    report: ImportReport,
    told: F,
}

struct MakeRoom {
    table: &'static str,
    greatest: i64,
}

impl Change for MakeRoom {
    const NAME: &'static str = "import.make_room";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        store::make_room(tx, self.table, self.greatest).await
    }
}

struct WriteDown<'a> {
    admin: &'a Admin,
    report: &'a ImportReport,
    now: Timestamp,
}

impl Change for WriteDown<'_> {
    const NAME: &'static str = "import.write_down";
    type Out = ();

    async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let counts: serde_json::Map<String, serde_json::Value> = self
            .report
            .tables
            .iter()
            .map(|(table, count)| ((*table).to_owned(), (count.new + count.joined).into()))
            .collect();
        let entry = AuditEntry::new("import.original", "database".to_owned()).after(counts.into());
        admin::record(tx, self.admin, entry, self.now).await
    }
}

impl Admin {
    /// Takes over everything that the database of the original service holds and that can be held here. In a
    /// rehearsal all of it is one transaction that is taken back.
    ///
    /// Ids are kept where they are free here and may be ids; others are made from the old ones. Rows that were taken
    /// over before are left alone, whatever became of them since.
    ///
    /// # Errors
    /// `UNAVAILABLE` if one of the databases cannot be reached. What was committed stays, and the next run goes on.
    pub async fn import_original(
        &self,
        source: &mut OriginalDatabase,
        options: &ImportOptions,
        told: impl FnMut(ImportNews) + Send,
    ) -> Result<ImportReport> {
        let core = &self.core;
        let now = core.now();
        let zone = options.zone.clone().or_else(|| Zone::named("UTC").ok()).unwrap_or_default();
        let context = Context { settings: &core.settings, options, zone, now };
        let series = core.store.series().await?;
        let mut run = Run { source, series, context, report: ImportReport::default(), told };
        run.everything().await?;
        if run.report.taken_over() > 0 {
            run.series.run(&WriteDown { admin: self, report: &run.report, now }).await?;
            if !run.series.is_rehearsal() {
                for topic in ["plans", templates::TOPIC, gallery::TOPIC] {
                    core.announce(topic).await;
                }
            }
        }
        Ok(run.report)
    }
}

impl<F: FnMut(ImportNews) + Send> Run<'_, F> {
    /// Tables come behind those that they refer to.
    async fn everything(&mut self) -> Result<()> {
        self.look_around().await?;
        self.table::<people::Users>(Some("users")).await?;
        self.table::<shop::Plans>(Some("plans")).await?;
        self.table::<shop::Orders>(Some("orders")).await?;
        self.table::<people::Entries>(None).await?;
        self.balances().await?;
        self.table::<pictures::Images>(Some("gallery_images")).await?;
        self.table::<shop::Prompts>(None).await?;
        self.table::<shop::Params>(None).await?;
        self.table::<people::Favorites>(Some("favorites")).await?;
        self.table::<people::Characters>(Some("characters")).await?;
        self.table::<pictures::Photos>(Some("character_photos")).await?;
        self.table::<pictures::Generations>(Some("generations")).await
    }

    fn remark(&mut self, kind: RemarkKind, table: &str, row: Option<&str>, what: String) {
        *self.report.remarks.entry(kind).or_default() += 1;
        let row = row.map(str::to_owned);
        (self.told)(ImportNews::Remark(Remark { kind, table: table.to_owned(), row, what }));
    }

    async fn look_around(&mut self) -> Result<()> {
        for found in self.source.surprises().await? {
            let what = match &found.column {
                Some(column) => {
                    format!("{} rows have a value in {column}, which nobody here knows", found.rows)
                }
                None => format!("nobody here knows this table; it has {} rows", found.rows),
            };
            self.remark(RemarkKind::Schema, &found.table, None, what);
        }
        Ok(())
    }

    /// Whether the table is there; what is missing is said.
    fn is_there(&mut self, spec: &Spec) -> bool {
        if !self.source.has(spec) {
            self.remark(RemarkKind::Schema, spec.name, None, "there is no such table".to_owned());
            return false;
        }
        for field in self.source.absent(spec) {
            if !spec.may_lack(field) {
                self.remark(RemarkKind::Schema, spec.name, None, format!("there is no column {field}"));
            }
        }
        true
    }

    /// Takes over a table, under the same numbers where `ours` says which table of ours has them.
    async fn table<T: Taking>(&mut self, ours: Option<&'static str>) -> Result<()> {
        let spec = T::SPEC;
        if !self.is_there(spec) {
            return Ok(());
        }
        if let Some(table) = ours
            && let Some(greatest) = self.source.greatest_id(spec, batch::GREATEST_ID).await?
            && !self.series.is_rehearsal()
        {
            self.series.run(&MakeRoom { table, greatest }).await?;
        }
        let mut count = ImportCount::default();
        let mut before: Option<String> = None;
        let cursor = self.source.read(spec, spec.name).await?;
        let mut history = balances::History::default();
        loop {
            let lines = self.source.fetch(&cursor).await?;
            if lines.is_empty() {
                break;
            }
            let more = lines.len();
            count.found += more as u64;
            let mut batch = Batch::<T> { rows: Vec::with_capacity(more), context: &self.context };
            let mut remarks = Vec::new();
            let mut ids = Vec::with_capacity(more);
            for line in &lines {
                let id = line.get("id").map(str::to_owned);
                let mut cells = Cells { line, notes: Vec::new(), zone: &self.context.zone };
                let item = match &id {
                    None => cells.left_out("it has no id"),
                    Some(_) if id == before => cells.left_out("another row has the same id"),
                    Some(_) => T::read(&mut cells, &self.context),
                };
                remarks.extend(cells.notes.into_iter().map(|(kind, what)| (kind, id.clone(), what)));
                before.clone_from(&id);
                match (id, item) {
                    (Some(id), Some(item)) => {
                        T::remember(&item, &mut history);
                        batch.rows.push((T::key(&item, &id), item));
                        ids.push(id);
                    }
                    _ => count.left_out += 1,
                }
            }
            let outcome = self.series.run(&batch).await?;
            for (id, (became, notes)) in ids.into_iter().zip(outcome) {
                match became {
                    Became::New => count.new += 1,
                    Became::HereBefore => count.here_before += 1,
                    Became::Joined => count.joined += 1,
                    Became::LeftOut => count.left_out += 1,
                }
                remarks.extend(notes.into_iter().map(|(kind, what)| (kind, Some(id.clone()), what)));
            }
            drop(batch);
            for (kind, id, what) in remarks {
                self.remark(kind, spec.name, id.as_deref(), what);
            }
            self.keep(history.finished()).await?;
            (self.told)(ImportNews::Rows { table: spec.name, more });
        }
        self.keep(history.all()).await?;
        self.source.close(cursor).await?;
        self.report.tables.push((spec.name, count));
        Ok(())
    }
}

/// A user of the original service, by its id there.
fn user_here(here: Option<i64>) -> Option<UserId> {
    here.and_then(UserId::new)
}
