//! What becomes of a value that may be absent.

/// A change of a value that may be absent.
///
/// ```
/// use dream_core::kernel::Patch;
///
/// assert_eq!(Patch::Keep.apply(Some("old")), Some("old"));
/// assert_eq!(Patch::Clear.apply(Some("old")), None);
/// assert_eq!(Patch::Set(" new ").map(str::trim).apply(Some("old")), Some("new"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// The value after the change.
    ///
    /// ```
    /// use dream_core::kernel::Patch;
    ///
    /// assert_eq!(Patch::Set("new").apply(None), Some("new"));
    /// assert_eq!(Patch::<&str>::default().apply(None), None, "what is not spoken of stays");
    /// ```
    pub fn apply(self, before: Option<T>) -> Option<T> {
        match self {
            Patch::Keep => before,
            Patch::Clear => None,
            Patch::Set(value) => Some(value),
        }
    }

    /// The same change of another value.
    ///
    /// ```
    /// use dream_core::kernel::Patch;
    ///
    /// assert_eq!(Patch::Set("7").map(|text| text.len()), Patch::Set(1));
    /// assert_eq!(Patch::Clear.map(|text: &str| text.len()), Patch::Clear);
    /// ```
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(value) => Patch::Set(change(value)),
        }
    }
}
