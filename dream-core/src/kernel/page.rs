//! Pages by keyset, and the signed cursors that lead from one to the next.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::secret;
use crate::error::{Code, Error, Fault, Format, Result};

/// How many items a page holds: 1 to 100, 20 unless said otherwise.
///
/// ```
/// use dream_core::Fault;
/// use dream_core::kernel::Limit;
///
/// assert_eq!((Limit::default().get(), "50".parse::<Limit>().unwrap().get()), (20, 50));
/// assert_eq!(Limit::new(101), Err(Fault::Range { min: 1, max: 100 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    /// The largest page.
    pub const MAX: i64 = 100;

    /// The limit, if it is within 1 to 100.
    ///
    /// ```
    /// use dream_core::kernel::Limit;
    ///
    /// assert!(Limit::new(100).is_ok() && Limit::new(0).is_err());
    /// ```
    ///
    /// # Errors
    /// [`Fault::Range`] otherwise.
    pub fn new(items: i64) -> Result<Self, Fault> {
        match u8::try_from(items) {
            Ok(n) if (1..=100).contains(&n) => Ok(Self(n)),
            _ => Err(Fault::Range { min: 1, max: Self::MAX }),
        }
    }

    /// Items on a page.
    ///
    /// ```
    /// use dream_core::kernel::Limit;
    ///
    /// assert_eq!(Limit::default().get(), 20);
    /// ```
    pub const fn get(self) -> i64 {
        self.0 as i64
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// An opaque place in a list.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::Code;
/// use dream_core::kernel::{Cursor, Limit, PageRequest};
///
/// # let me = world.alice().await.session().await;
/// // It is signed, for one list and one user: nobody walks through another's by changing it.
/// let made_up = PageRequest::after(Limit::default(), Cursor::from_client("AQAAAAA"));
/// assert_eq!(me.jobs(None, &made_up).await.unwrap_err().code(), Code::InvalidCursor);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor as a client sent it. Whether it is one of ours is found when the page is read.
    ///
    /// ```
    /// use dream_core::kernel::Cursor;
    ///
    /// // Anything is taken here; what is not ours is refused with `INVALID_CURSOR` once it is used.
    /// assert_eq!(Cursor::from_client("made up").as_str(), "made up");
    /// ```
    pub fn from_client(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to hand to the client.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::kernel::{Limit, PageRequest};
    ///
    /// # let alice = world.alice().await;
    /// # for prompt in ["one", "two"] { alice.generates(prompt).await; }
    /// let one = PageRequest::first(Limit::new(1).unwrap());
    /// let page = alice.session().await.jobs(None, &one).await?;
    /// // It stands in an address as it is.
    /// let cursor = page.next.ok_or("there is more")?;
    /// assert!(cursor.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    /// # Ok(())
    /// # });
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a page starts.
///
/// ```
/// use dream_core::kernel::{Limit, PageRequest, Start};
///
/// assert_eq!(PageRequest::default().start, Start::Newest);
/// assert_eq!(PageRequest::numbered(Limit::default(), 3)?.start, Start::Number(3));
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// At the newest item.
    #[default]
    Newest,
    /// Behind the item where an earlier page ended.
    After(Cursor),
    /// At the first item of the page with this number, counted from 1. Only some lists offer it.
    Number(i64),
}

/// Which page of a list is wanted.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::kernel::{Limit, PageRequest};
///
/// # let alice = world.alice().await;
/// # let me = alice.session().await;
/// # for prompt in ["one", "two", "three", "four", "five"] { alice.generates(prompt).await; }
/// let mut prompts = Vec::new();
/// let mut request = PageRequest::first(Limit::new(2).unwrap());
/// loop {
///     let page = me.jobs(None, &request).await?;
///     prompts.extend(page.items.into_iter().map(|job| job.prompt));
///     let Some(next) = page.next else { break };
///     request = PageRequest::after(request.limit, next);
/// }
/// assert_eq!(prompts, ["five", "four", "three", "two", "one"], "each once, also while new ones are made");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// How many items.
    pub limit: Limit,
    /// From where.
    pub start: Start,
}

impl PageRequest {
    /// The deepest row that can be reached by page number; behind it only cursors go.
    pub const MAX_NUMBERED_ROW: i64 = 10_000;

    /// The first page with this many items.
    ///
    /// ```
    /// use dream_core::kernel::{Limit, PageRequest, Start};
    ///
    /// let ten = PageRequest::first(Limit::new(10).unwrap());
    /// assert_eq!((ten.limit.get(), ten.start), (10, Start::Newest));
    /// ```
    pub fn first(limit: Limit) -> Self {
        Self { limit, start: Start::Newest }
    }

    /// The page that starts at this place.
    ///
    /// ```
    /// use dream_core::kernel::{Cursor, Limit, PageRequest, Start};
    ///
    /// let cursor = Cursor::from_client("as the page before said");
    /// let next = PageRequest::after(Limit::default(), cursor.clone());
    /// assert_eq!(next.start, Start::After(cursor));
    /// ```
    pub fn after(limit: Limit, cursor: Cursor) -> Self {
        Self { limit, start: Start::After(cursor) }
    }

    /// The page with this number, counted from 1.
    ///
    /// ```
    /// use dream_core::Code;
    /// use dream_core::kernel::{Limit, PageRequest};
    ///
    /// // As older clients ask.
    /// assert!(PageRequest::numbered(Limit::default(), 3).is_ok());
    /// let deep = PageRequest::numbered(Limit::default(), 501).unwrap_err();
    /// assert_eq!(deep.code(), Code::ValidationFailed, "500 pages of 20 are 10 000 rows");
    /// ```
    ///
    /// # Errors
    /// [`Code::ValidationFailed`] beyond row 10 000, where only cursors go.
    pub fn numbered(limit: Limit, number: i64) -> Result<Self> {
        let last = Self::MAX_NUMBERED_ROW / limit.get();
        if (1..=last).contains(&number) {
            Ok(Self { limit, start: Start::Number(number) })
        } else if number > last {
            Err(Error::invalid_field("page", Fault::Format(Format::FirstRows)))
        } else {
            Err(Error::invalid_field("page", Fault::Range { min: 1, max: last }))
        }
    }

    /// Rows before the page, where it is asked for by number.
    pub(crate) fn offset(&self) -> i64 {
        match self.start {
            Start::Number(number) => (number - 1) * self.limit.get(),
            Start::Newest | Start::After(_) => 0,
        }
    }
}

impl FromStr for Limit {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| Fault::Type("integer")).and_then(Self::new)
    }
}

/// One page of a list.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::kernel::PageRequest;
///
/// # let alice = world.alice().await;
/// # for prompt in ["one", "two"] { alice.generates(prompt).await; }
/// let page = alice.session().await.jobs(None, &PageRequest::default()).await?;
/// let page = page.map(|job| job.prompt);
/// assert_eq!(
///     (page.items, page.next, page.total),
///     (vec!["two".to_owned(), "one".to_owned()], None, Some(2))
/// );
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, newest first unless the list says otherwise.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Cursor>,
    /// How many items the list has in all, where the list keeps count.
    pub total: Option<i64>,
}

impl<T> Page<T> {
    /// The same page with each item changed.
    ///
    /// ```
    /// use dream_core::kernel::Page;
    ///
    /// let page = Page { items: vec![1, 2], next: None, total: Some(2) };
    /// assert_eq!(page.map(|number| number * 10).items, [10, 20]);
    /// ```
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next, total: self.total }
    }
}

/// The place of a row in its list's total order: what it is sorted by, then its id.
///
/// ```
/// use dream_core::kernel::{SortKey, Timestamp};
///
/// // Two rows of one microsecond are still told apart, so no page loses or repeats one.
/// let at = Timestamp::from_secs(1_769_600_000).as_micros();
/// assert_ne!(SortKey { by: at, id: 7 }, SortKey { by: at, id: 8 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// Creation time in microseconds, or a count.
    pub by: i64,
    /// The row.
    pub id: i64,
}

impl SortKey {
    /// Before the first row of any list that counts down.
    pub(crate) const START: SortKey = SortKey { by: i64::MAX, id: i64::MAX };
}

/// Which list a cursor belongs to: name, owner and filters. A cursor opens only for the scope it was sealed for.
///
/// ```
/// use dream_core::kernel::ListScope;
///
/// let of = |user: i64| ListScope::of("jobs").with("user", user).with("status", "FAILED");
/// assert_ne!(of(7), of(8), "a cursor of one is refused for the other");
/// // A value that looks like a filter is none.
/// assert_ne!(ListScope::of("a").with("b", "1&c=1:2"), ListScope::of("a").with("b", 1).with("c", 2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListScope(String);

impl ListScope {
    /// The list of this name.
    ///
    /// ```
    /// use dream_core::kernel::ListScope;
    ///
    /// assert_ne!(ListScope::of("jobs"), ListScope::of("orders"));
    /// ```
    pub fn of(list: &str) -> Self {
        Self(list.to_owned())
    }

    /// The same list with this filter or owner as well.
    ///
    /// ```
    /// use dream_core::kernel::ListScope;
    ///
    /// // Another filter is another list, in which the same place means something else.
    /// let orders = || ListScope::of("orders").with("user", 7);
    /// assert_ne!(orders().with("status", "PAID"), orders().with("status", "PENDING"));
    /// ```
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        use fmt::Write as _;
        let value = value.to_string();
        // The length keeps `a=1&b` apart from a value that looks like it.
        let _ = write!(self.0, "&{name}={}:{value}", value.len());
        self
    }
}

/// Version, two numbers, and half of an HMAC-SHA256.
const VERSION: u8 = 1;
const KEY_LEN: usize = 17;
const TAG_LEN: usize = 16;

/// Seals and opens cursors.
pub(crate) struct CursorSealer {
    key: hmac::Key,
}

impl CursorSealer {
    pub(crate) fn new(secret: &SecretString) -> Self {
        let key = secret::derive(secret, "dream/cursor/v1");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()) }
    }

    fn tag(&self, scope: &ListScope, head: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(head);
        context.update(scope.0.as_bytes());
        context.sign()
    }

    pub(crate) fn seal(&self, scope: &ListScope, key: SortKey) -> Cursor {
        let mut bytes = Vec::with_capacity(KEY_LEN + TAG_LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(&key.by.to_be_bytes());
        bytes.extend_from_slice(&key.id.to_be_bytes());
        let tag = self.tag(scope, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG_LEN]);
        Cursor(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// # Errors
    /// [`Code::InvalidCursor`] for everything that was not sealed for this very scope.
    pub(crate) fn open(&self, scope: &ListScope, cursor: &Cursor) -> Result<SortKey> {
        let refuse = || Error::new(Code::InvalidCursor);
        let bytes = URL_SAFE_NO_PAD.decode(&cursor.0).map_err(|_| refuse())?;
        if bytes.len() != KEY_LEN + TAG_LEN || bytes[0] != VERSION {
            return Err(refuse());
        }
        let (head, tag) = bytes.split_at(KEY_LEN);
        let expected = self.tag(scope, head);
        aws_lc_rs::constant_time::verify_slices_are_equal(tag, &expected.as_ref()[..TAG_LEN])
            .map_err(|_| refuse())?;
        let number = |at: usize| head[at..at + 8].try_into().map(i64::from_be_bytes).map_err(|_| refuse());
        Ok(SortKey { by: number(1)?, id: number(9)? })
    }

    /// The key behind which the requested page starts.
    pub(crate) fn start(&self, scope: &ListScope, request: &PageRequest) -> Result<SortKey> {
        match &request.start {
            Start::Newest | Start::Number(_) => Ok(SortKey::START),
            Start::After(cursor) => self.open(scope, cursor),
        }
    }

    /// Makes the page from its rows, of which one more than the limit was read.
    pub(crate) fn page<T>(
        &self,
        scope: &ListScope,
        limit: Limit,
        mut rows: Vec<T>,
        key: impl Fn(&T) -> SortKey,
    ) -> Page<T> {
        let size = usize::from(limit.0);
        let more = rows.len() > size;
        rows.truncate(size);
        let next = if more { rows.last().map(|row| self.seal(scope, key(row))) } else { None };
        Page { items: rows, next, total: None }
    }
}
