//! What belongs together across processes ([W3C Trace Context](https://www.w3.org/TR/trace-context/)), and the spans
//! that tell how long each part of it took.
//!
//! Work runs inside of [`Work::run`]; log lines and outgoing calls ask there which trace and which request they belong
//! to. A span is made only when somebody listens ([`send_spans_to`]) and the trace is sampled: else nothing is kept.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::kernel::{RequestId, Timestamp};
use crate::ports::{Clock, Entropy, Failure};

/// The name of the header.
pub const TRACEPARENT: &str = "traceparent";

const SAMPLED: u128 = 1;

/// The number of a trace. Shown as 32 hexadecimal digits.
///
/// ```
/// use dream_core::trace::TraceContext;
///
/// let here = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
/// assert_eq!(here.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(here.trace_id().to_bytes()[0], 0x4b);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// As bytes, the highest first.
    ///
    /// ```
    /// use dream_core::trace::TraceContext;
    ///
    /// let here = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// // As OTLP wants it in protobuf.
    /// let bytes = here.trace_id().to_bytes();
    /// assert_eq!(hex::encode(bytes), here.trace_id().to_string());
    /// ```
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The number of a span. Shown as 16 hexadecimal digits.
///
/// ```
/// use dream_core::trace::TraceContext;
///
/// let here = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
/// assert_eq!(here.span_id().to_string(), "00f067aa0ba902b7");
/// assert_eq!(here.span_id().to_bytes()[7], 0xb7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl SpanId {
    /// As bytes, the highest first.
    ///
    /// ```
    /// use dream_core::trace::TraceContext;
    ///
    /// let here = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// let bytes = here.span_id().to_bytes();
    /// assert_eq!(hex::encode(bytes), here.span_id().to_string());
    /// ```
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Another number for each `part` of this span.
    const fn part(self, part: u64) -> Self {
        // SplitMix64: of one span no two parts get the same number.
        let mut z = self.0.wrapping_add(part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        Self(if z == 0 { 1 } else { z })
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in a trace. Shown as the value of `traceparent`.
///
/// ```
/// use dream_core::adapters::OsEntropy;
/// use dream_core::trace::TraceContext;
///
/// // What a caller sent goes on; without it, or where it is malformed, a trace begins here.
/// let begin = |header: Option<&str>| {
///     header.and_then(TraceContext::parse).unwrap_or_else(|| TraceContext::fresh(&OsEntropy))
/// };
/// let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// assert_eq!(begin(Some(sent)).to_string(), sent);
/// assert_ne!(begin(Some("nonsense")).trace_id(), begin(None).trace_id());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

impl TraceContext {
    /// Reads the value of `traceparent`; `None` if it is malformed, as the specification wants such a one ignored.
    ///
    /// ```
    /// use dream_core::trace::TraceContext;
    ///
    /// let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// assert_eq!(TraceContext::parse(sent).unwrap().to_string(), sent);
    /// assert_eq!(TraceContext::parse("00-4bf92f35-00f067aa-01"), None, "too short");
    /// ```
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.splitn(5, '-');
        let version = number(parts.next()?, 2)?;
        let (trace, span) = (number(parts.next()?, 32)?, number(parts.next()?, 16)?);
        let flags = number(parts.next()?, 2)?;
        // Later versions may add something at the end.
        if version == 0xff || (version == 0 && parts.next().is_some()) || trace == 0 || span == 0 {
            return None;
        }
        let span = SpanId(u64::try_from(span).ok()?);
        Some(Self { trace: TraceId(trace), span, sampled: flags & SAMPLED == SAMPLED })
    }

    /// The beginning of a new trace, sampled if somebody listens to spans.
    ///
    /// ```
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::trace::TraceContext;
    ///
    /// let begun = TraceContext::fresh(&OsEntropy);
    /// assert!(!begun.is_sampled(), "nobody listens to spans here");
    /// assert_ne!(begun.trace_id(), TraceContext::fresh(&OsEntropy).trace_id());
    /// ```
    pub fn fresh(entropy: &dyn Entropy) -> Self {
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        entropy.fill(&mut trace);
        entropy.fill(&mut span);
        let (trace, span) = (u128::from_be_bytes(trace).max(1), u64::from_be_bytes(span).max(1));
        Self { trace: TraceId(trace), span: SpanId(span), sampled: is_heard() }
    }

    /// The place of what we do for a caller at this place. Where nobody listens to spans it is the caller's own: a
    /// span that nobody ever sees must not come between those that are seen.
    ///
    /// ```
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::trace::{self, Span, SpanSink, TraceContext};
    ///
    /// # #[derive(Debug)]
    /// # struct Somewhere;
    /// # impl SpanSink for Somewhere {
    /// #     fn take(&self, _: Span) {}
    /// # }
    /// let caller = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// assert_eq!(caller.entered(&OsEntropy), caller, "nobody would see a span of ours");
    /// trace::send_spans_to(Box::new(Somewhere));
    /// let ours = caller.entered(&OsEntropy);
    /// assert_eq!(ours.trace_id(), caller.trace_id());
    /// assert_ne!(ours.span_id(), caller.span_id());
    /// ```
    #[must_use]
    pub fn entered(self, entropy: &dyn Entropy) -> Self {
        if !is_heard() {
            return self;
        }
        let mut span = [0; 8];
        entropy.fill(&mut span);
        Self { span: SpanId(u64::from_be_bytes(span).max(1)), ..self }
    }

    /// The place of one part of what is done here; the same number is the same part.
    ///
    /// ```
    /// use dream_core::trace::{self, Span, SpanSink, TraceContext};
    ///
    /// # #[derive(Debug)]
    /// # struct Somewhere;
    /// # impl SpanSink for Somewhere {
    /// #     fn take(&self, _: Span) {}
    /// # }
    /// # trace::send_spans_to(Box::new(Somewhere));
    /// let here = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// // Two calls of one request.
    /// assert_ne!(here.part(0), here.part(1));
    /// assert_eq!(here.part(1), here.part(1), "nothing is drawn");
    /// ```
    #[must_use]
    pub fn part(self, number: u64) -> Self {
        if is_heard() { Self { span: self.span.part(number), ..self } } else { self }
    }

    /// The number of the trace.
    ///
    /// ```
    /// use dream_core::trace::TraceContext;
    ///
    /// let here = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// // For a line of a log, by which all lines of all processes are found.
    /// assert_eq!(here.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// ```
    pub const fn trace_id(self) -> TraceId {
        self.trace
    }

    /// The number of the span.
    ///
    /// ```
    /// use dream_core::trace::TraceContext;
    ///
    /// let here = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// assert_eq!(here.span_id().to_string(), "00f067aa0ba902b7");
    /// ```
    pub const fn span_id(self) -> SpanId {
        self.span
    }

    /// Whether its spans are kept.
    ///
    /// ```
    /// use dream_core::trace::TraceContext;
    ///
    /// let sent = |flags: &str| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
    /// // Whoever began the trace has decided.
    /// assert!(TraceContext::parse(&sent("01")).unwrap().is_sampled());
    /// assert!(!TraceContext::parse(&sent("00")).unwrap().is_sampled());
    /// ```
    pub const fn is_sampled(self) -> bool {
        self.sampled
    }
}

fn number(digits: &str, length: usize) -> Option<u128> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let right = digits.len() == length && digits.bytes().all(lower);
    right.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

tokio::task_local! {
    static CURRENT: Work;
}

/// What a task is doing: its place in a trace, and the request that it answers, if it does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::trace::{self, TraceContext, Work};
///
/// let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
/// let work = Work::new(context).for_request("9f1c-4711".parse().unwrap());
/// let seen = work.run(async {
///     // Anywhere below, in the same task.
///     trace::current(|work| (work.context().trace_id(), work.request_id().cloned()))
/// });
/// let (trace, request) = seen.await.ok_or("no work")?;
/// assert_eq!((trace, request.unwrap().as_str()), (context.trace_id(), "9f1c-4711"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Work {
    context: TraceContext,
    request: Option<RequestId>,
    parts: AtomicU64,
}

impl Work {
    /// Work at this place.
    ///
    /// ```
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::trace::{TraceContext, Work};
    ///
    /// // Something that nobody asked for by a request.
    /// let work = Work::new(TraceContext::fresh(&OsEntropy));
    /// assert!(work.request_id().is_none());
    /// ```
    pub fn new(context: TraceContext) -> Self {
        Self { context, request: None, parts: AtomicU64::new(0) }
    }

    /// Answering this request.
    ///
    /// ```
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::trace::{TraceContext, Work};
    ///
    /// // The id that the client is told, for its support.
    /// let work = Work::new(TraceContext::fresh(&OsEntropy)).for_request("9f1c-4711".parse().unwrap());
    /// assert_eq!(work.request_id().unwrap().as_str(), "9f1c-4711");
    /// ```
    #[must_use]
    pub fn for_request(mut self, id: RequestId) -> Self {
        self.request = Some(id);
        self
    }

    /// Does it. Whatever is logged, called and put into the outbox meanwhile, in the same task, belongs to it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::trace::{self, TraceContext, Work};
    ///
    /// let work = Work::new(TraceContext::fresh(&OsEntropy));
    /// let (inside, elsewhere) = work
    ///     .run(async {
    ///         let elsewhere = tokio::spawn(async { trace::current(|_| ()) });
    ///         (trace::current(|_| ()), elsewhere.await)
    ///     })
    ///     .await;
    /// assert_eq!((inside, elsewhere?), (Some(()), None), "another task does other work");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The place in the trace.
    ///
    /// ```
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::trace::{TraceContext, Work};
    ///
    /// let here = TraceContext::fresh(&OsEntropy);
    /// assert_eq!(Work::new(here).context(), here);
    /// ```
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// The request that is answered.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use dream_core::adapters::OsEntropy;
    /// use dream_core::trace::{self, TraceContext, Work};
    ///
    /// # let work = Work::new(TraceContext::fresh(&OsEntropy)).for_request("9f1c-4711".parse().unwrap());
    /// # work.run(async {
    /// // Anywhere below: for an error's answer, say.
    /// let id = trace::current(|work| work.request_id().cloned()).flatten();
    /// assert_eq!(id.unwrap().as_str(), "9f1c-4711");
    /// # })
    /// # .await;
    /// # }
    /// ```
    pub fn request_id(&self) -> Option<&RequestId> {
        self.request.as_ref()
    }
}

/// Asks the work that this task does; `None` if it does none that has a name.
///
/// ```
/// use dream_core::trace;
///
/// assert_eq!(trace::current(|work| work.context()), None, "nothing that has a name is done here");
/// ```
pub fn current<T>(ask: impl FnOnce(&Work) -> T) -> Option<T> {
    CURRENT.try_with(ask).ok()
}

/// A part of the current work: a call, for example.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::trace::{self, Part, TRACEPARENT, TraceContext, Work};
///
/// let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
/// let header = Work::new(context).run(async {
///     let Part { context, parent } = trace::next_part()?;
///     println!("a part of {parent}");
///     Some((TRACEPARENT, context.to_string()))
/// });
/// // An own adapter sends this along, so that the other side's spans hang below ours.
/// assert!(header.await.unwrap().1.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its place in the trace, which goes along with the call as `traceparent`.
    pub context: TraceContext,
    /// The work that it is a part of.
    pub parent: SpanId,
}

/// The next part of the current work, for whoever calls something that should know of the trace; `None` outside of any.
///
/// ```
/// use dream_core::trace;
///
/// assert!(trace::next_part().is_none(), "outside of any work a call is a part of nothing");
/// ```
pub fn next_part() -> Option<Part> {
    current(|work| {
        let number = work.parts.fetch_add(1, Ordering::Relaxed);
        Part { context: work.context.part(number), parent: work.context.span }
    })
}

/// Makes a call as a part of the current work: the call learns its place in the trace, for the other side, and once it
/// is over a span tells of it. Outside of any work it is just made.
///
/// `status` is the HTTP status of what came back, where there is one; all but 2xx count as failed.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ports::Failure;
/// use dream_core::trace::{self, TRACEPARENT, TraceContext, Work};
///
/// # let clock = dream_testkit::clock::TestClock::at(world.now());
/// let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
/// // What an adapter of one's own does at each call.
/// let send = async |header: Option<(&str, String)>| -> Result<(u16, String), Failure> {
///     Ok((200, header.map(|(_, value)| value).unwrap_or_default()))
/// };
/// let call = trace::call(
///     &clock,
///     "greeter.greet",
///     |place| send(place.map(|place| (TRACEPARENT, place.to_string()))),
///     |(status, _)| Some(*status),
/// );
/// let (_, heard) = Work::new(context).run(call).await?;
/// assert!(heard.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
/// # Ok(())
/// # });
/// ```
///
/// # Errors
/// Those of the call.
pub async fn call<T, F: Future<Output = Result<T, Failure>>>(
    clock: &dyn Clock,
    name: impl Into<Cow<'static, str>>,
    make: impl FnOnce(Option<TraceContext>) -> F,
    status: impl FnOnce(&T) -> Option<u16>,
) -> Result<T, Failure> {
    let Some(Part { context, parent }) = next_part() else { return make(None).await };
    let begun = clock.now();
    let outcome = make(Some(context)).await;
    tell(context, || {
        let (failed, facts) = match &outcome {
            Ok(answer) => match status(answer) {
                Some(status) => {
                    let fact = ("http.response.status_code", Fact::Number(status.into()));
                    (!(200..300).contains(&status), vec![fact])
                }
                None => (false, Vec::new()),
            },
            Err(failure) => (true, vec![("error.type", Fact::Text(format!("{:?}", failure.kind).into()))]),
        };
        Span {
            context,
            parent: Some(parent),
            parent_is_remote: false,
            kind: SpanKind::Client,
            name: name.into(),
            begun,
            took: clock.now().since(begun),
            failed,
            facts,
        }
    });
    outcome
}

/// From which side a span was seen.
///
/// ```
/// use dream_core::trace::SpanKind;
///
/// // In the words of OpenTelemetry.
/// let name = |kind| match kind {
///     SpanKind::Server => "SERVER",
///     SpanKind::Client => "CLIENT",
///     SpanKind::Task => "CONSUMER",
/// };
/// assert_eq!(name(SpanKind::Task), "CONSUMER");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// We were called.
    Server,
    /// We called.
    Client,
    /// We did what a commit had left to be done.
    Task,
}

/// A fact about a span.
///
/// ```
/// use dream_core::trace::Fact;
///
/// let facts = vec![
///     ("http.request.method", Fact::Text("GET".into())),
///     ("http.response.status_code", Fact::Number(200)),
/// ];
/// assert_eq!(facts[1].1, Fact::Number(200));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// Something that was done, and is over.
///
/// ```
/// use dream_core::trace::Span;
///
/// // A line of a log of slow calls.
/// fn line(span: &Span) -> Option<String> {
///     let slow = span.took.as_millis() > 500;
///     slow.then(|| format!("{} {} took {} ms", span.context.trace_id(), span.name, span.took.as_millis()))
/// }
/// # let context = dream_core::trace::TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
/// # let span = Span { context, parent: None, parent_is_remote: false, kind: dream_core::trace::SpanKind::Client,
/// #     name: "image_api.submit".into(), begun: Default::default(), took: std::time::Duration::from_secs(2), failed: false, facts: vec![] };
/// # assert!(line(&span).unwrap().ends_with("image_api.submit took 2000 ms"));
/// ```
#[derive(Debug, Clone)]
pub struct Span {
    /// Its place.
    pub context: TraceContext,
    /// What it is a part of.
    pub parent: Option<SpanId>,
    /// Whether that happened in another process.
    pub parent_is_remote: bool,
    /// From which side it was seen.
    pub kind: SpanKind,
    /// One of few names, without ids.
    pub name: Cow<'static, str>,
    /// When it began.
    pub begun: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Whether it failed for a reason that its caller is not to blame for.
    pub failed: bool,
    /// What else is known of it.
    pub facts: Vec<(&'static str, Fact)>,
}

/// Takes spans, quickly: it is called by whoever did the work.
///
/// ```
/// use dream_core::trace::{self, Span, SpanSink};
/// use std::sync::mpsc::SyncSender;
///
/// /// Hands spans to a thread that sends them on. Where that is slow they are lost, and no request waits.
/// #[derive(Debug)]
/// struct Queue(SyncSender<Span>);
///
/// impl SpanSink for Queue {
///     fn take(&self, span: Span) {
///         drop(self.0.try_send(span));
///     }
/// }
/// # let (sender, _spans) = std::sync::mpsc::sync_channel(1000);
/// # let _sink: Box<dyn SpanSink> = Box::new(Queue(sender));
/// ```
pub trait SpanSink: fmt::Debug + Send + Sync + 'static {
    /// This one is over.
    ///
    /// ```
    /// use dream_core::trace::{Span, SpanSink};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// #[derive(Debug, Default)]
    /// struct Failures(AtomicU64);
    ///
    /// impl SpanSink for Failures {
    ///     fn take(&self, span: Span) {
    ///         self.0.fetch_add(u64::from(span.failed), Ordering::Relaxed);
    ///     }
    /// }
    /// # let context = dream_core::trace::TraceContext::fresh(&dream_core::adapters::OsEntropy);
    /// # let span = Span {
    /// #     context, parent: None, parent_is_remote: false, kind: dream_core::trace::SpanKind::Task,
    /// #     name: "job.poll".into(), begun: Default::default(), took: std::time::Duration::ZERO,
    /// #     failed: true, facts: vec![],
    /// # };
    /// # let failures = Failures::default();
    /// # failures.take(span);
    /// # assert_eq!(failures.0.into_inner(), 1);
    /// ```
    fn take(&self, span: Span);
}

static SINK: OnceLock<Box<dyn SpanSink>> = OnceLock::new();

/// Sends the spans of this process there, from now on. The first call counts; whether this was it.
///
/// ```
/// use dream_core::trace::{self, Span, SpanSink};
///
/// #[derive(Debug)]
/// struct Print;
///
/// impl SpanSink for Print {
///     fn take(&self, span: Span) {
///         eprintln!("{} took {} ms", span.name, span.took.as_millis());
///     }
/// }
/// assert!(trace::send_spans_to(Box::new(Print)), "once, when the program starts");
/// ```
pub fn send_spans_to(sink: Box<dyn SpanSink>) -> bool {
    SINK.set(sink).is_ok()
}

fn is_heard() -> bool {
    SINK.get().is_some()
}

/// Tells of what is over, if somebody listens and the trace is sampled; else the span is not even made.
///
/// ```
/// use dream_core::trace::{self, TraceContext};
///
/// let not_sampled = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
/// // Telling costs nothing where nobody wants to know.
/// trace::tell(not_sampled, || unreachable!("it is not even made"));
/// ```
pub fn tell(context: TraceContext, span: impl FnOnce() -> Span) {
    if context.sampled
        && let Some(sink) = SINK.get()
    {
        sink.take(span());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::OsEntropy;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_alike() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.is_sampled());
        assert!(!TraceContext::parse(&GOOD.replace("-01", "-00")).unwrap().is_sampled());
        // A later version is read as far as it is known.
        let later = TraceContext::parse(&format!("cc{}-what-comes", &GOOD[2..])).unwrap();
        assert_eq!(later.to_string(), GOOD);
    }

    #[test]
    fn a_malformed_traceparent_is_none() {
        for bad in [
            "",
            "00",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-四bf92f3577b34da6a3ce929d0e0e4-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_fresh_trace_is_like_no_other_and_can_be_sent() {
        let (one, other) = (TraceContext::fresh(&OsEntropy), TraceContext::fresh(&OsEntropy));
        assert_ne!(one.trace_id(), other.trace_id());
        assert_eq!(TraceContext::parse(&one.to_string()), Some(one));
        assert!(!one.is_sampled(), "nobody listens here");
    }

    #[test]
    fn no_two_parts_have_the_same_number() {
        let span = TraceContext::parse(GOOD).unwrap().span_id();
        let parts: std::collections::HashSet<_> = (0..10_000).map(|part| span.part(part)).collect();
        assert!(parts.len() == 10_000 && !parts.contains(&span));
    }
}
